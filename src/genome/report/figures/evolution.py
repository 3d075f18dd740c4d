"""Fitness by generation, with the population as dots."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from genome.report.figures.style import (
    BEST,
    LEGEND,
    MEAN,
    MEMBER,
    MUTED,
    Row,
    by_generation,
    end_label,
    generation_axis,
    styled,
)

MEMBERS = {"ls": "", "marker": "o", "ms": 3.4, "mfc": MEMBER, "mec": "white", "mew": 0.35, "zorder": 4}
DISCARDED = {"ls": "", "marker": "o", "ms": 2.8, "mfc": "white", "mec": MUTED, "mew": 0.5, "zorder": 2}


def evolution(populations: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return a row per dot, a member or a discarded candidate, with the best so far and the members' mean.

    `populations` are the contents of a run's `population.json` files, in any order.
    """
    rows = []
    for population in sorted(populations, key=lambda population: population["generation"]):
        members = population["members"]
        names = {member["name"] for member in members}
        discarded = [individual for individual in population["created"] if individual["name"] not in names]
        shared = {
            "best_so_far": population["best"]["fitness"],
            "mean_of_members": sum(member["fitness"] for member in members) / len(members),
        }
        for kept, individuals in (("yes", members), ("no", discarded)):
            rows += [
                {
                    "generation": population["generation"],
                    "individual": individual["name"],
                    "member": kept,
                    "fitness": individual["fitness"],
                    **shared,
                }
                for individual in individuals
            ]
    return rows


def draw_evolution(rows: Sequence[Row], out: Iterable[Path | str], title: str = "") -> None:
    """Draw validation fitness by generation: members and discarded candidates as dots, best and mean as lines."""
    generations = by_generation(rows)
    best = [dots[0]["best_so_far"] for dots in generations.values()]
    means = [dots[0]["mean_of_members"] for dots in generations.values()]
    everything = [*best, *(row["fitness"] for row in rows)]
    # A dot is about 1/40 of the axes high: values closer than that would cover each other.
    height = (max(everything) - min(everything)) / 40
    placed = []
    for generation, dots in generations.items():
        offsets = _swarm([dot["fitness"] for dot in dots], height)
        placed += [
            (generation + offset, dot["fitness"], dot["member"]) for offset, dot in zip(offsets, dots, strict=True)
        ]
    with styled(out, 2.5) as figure:
        axes = figure.add_subplot()
        axes.plot([*generations], best, color=BEST, lw=1.7, solid_capstyle="round", zorder=3, label="best so far")
        axes.plot([*generations], means, color=MEAN, lw=1.2, ls=(0, (3, 1.5)), zorder=5, label="mean of members")
        for label, shown, look in (("member", "yes", MEMBERS), ("discarded", "no", DISCARDED)):
            chosen = [(x, y) for x, y, kept in placed if kept == shown]
            if chosen:
                axes.plot(*zip(*chosen, strict=True), **look, label=label)
        # Labels of lines that end close together are moved apart.
        near = best[-1] - means[-1] <= 3 * height
        end_label(axes, best[-1], BEST, "bottom" if near else "center")
        end_label(axes, means[-1], MEAN, "top" if near else "center")
        axes.set(ylabel="Validation fitness", title=title)
        generation_axis(axes, generations)
        figure.legend(loc="outside lower center", ncols=4, **LEGEND)


def _swarm(values: Sequence[float], height: float) -> list[float]:
    """Return a horizontal offset for each dot of a generation, in generations, so that close values do not overlap.

    Dots are placed from the highest down, each as near to the middle as those within `height` above it allow.
    """
    places: list[int] = [0] * len(values)
    placed: list[int] = []
    for index in sorted(range(len(values)), key=lambda index: -values[index]):
        taken = {places[other] for other in placed if values[other] - values[index] <= height}
        places[index] = next(place for place in _from_the_middle() if place not in taken)
        placed.append(index)
    width = 2 * max(map(abs, places)) + 1
    # Neighbouring generations must not overlap, however many dots share a row.
    return [place * min(0.2, 0.85 / width) for place in places]


def _from_the_middle() -> Iterator[int]:
    yield 0
    for distance in count(1):
        yield from (distance, -distance)
