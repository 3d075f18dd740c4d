"""The family tree: every individual of a run, the operator that made it, and the ancestors of the best."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.lines import Line2D
from matplotlib.path import Path as Outline

from genome.report.figures.style import (
    BEST,
    LEGEND,
    MEAN,
    MEMBER,
    MUTED,
    PAGE,
    Row,
    by_generation,
    generation_axis,
    styled,
)
from genome.search.method import Marker
from genome.search.methods import METHODS
from genome.search.operators import MARKERS

CARRIED = "carried over"
OPERATORS: dict[str, Marker] = {
    **MARKERS,
    **{operator: marker for method in METHODS.values() for operator, marker in method.operators.items()},
    CARRIED: ("o", 3, 0.24),
}
"""Markers of operators, in areas that make all look equally large, and offsets from the middle of a generation: in the
order in which individuals are made, so that lines run to the right. A member that a generation kept is carried over."""

LINES = {"discarded": ("#c9c9c9", 0.5), "survived": ("#9a9a9a", 0.7), "descent": (BEST, 1.8)}
ROW = 0.155
"""Height of a row of individuals in inches."""

Node = tuple[int, str]
"""An individual in a generation."""


def family_tree(populations: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return a row for each individual that a run created, and for each that a generation kept from the previous one.

    Rows are ordered by generation and falling fitness: `rank` is the rank in a generation, from 1 on. `survived` is
    "yes" for members of the population after the generation, and `descent` marks the run's `best` and each `ancestor`
    of it. `populations` are the contents of a run's `population.json`, in any order.
    """
    rows = []
    for population in sorted(populations, key=lambda population: population["generation"]):
        created = population["created"]
        new = {individual["name"] for individual in created}
        kept = [
            {**member, "operator": CARRIED, "parents": [member["name"]]}
            for member in population["members"]
            if member["name"] not in new
        ]
        members = {member["name"] for member in population["members"]}
        ranked = sorted([*created, *kept], key=lambda individual: -individual["fitness"])
        rows += [
            {
                "generation": population["generation"],
                "individual": individual["name"],
                "operator": individual["operator"],
                "parents": " ".join(individual["parents"]),
                "fitness": individual["fitness"],
                "rank": rank,
                "survived": "yes" if individual["name"] in members else "no",
            }
            for rank, individual in enumerate(ranked, start=1)
        ]
        best = population["best"]["name"]
    founder = next(node(row) for row in rows if row["individual"] == best)
    line = descent(founder, parents_of(rows))
    return [
        {**row, "descent": "best" if node(row) == founder else "ancestor" if node(row) in line else ""} for row in rows
    ]


def node(row: Row) -> Node:
    """Return the individual and the generation of a row."""
    return row["generation"], row["individual"]


def parents_of(rows: Sequence[Row]) -> dict[Node, list[Node]]:
    """Return the parents of each node: their nodes in the same generation, or else in the last one before it.

    A parent that a race has stopped has no node and is left out.
    """
    last: dict[str, Node] = {}
    parents = {}
    for here in by_generation(rows).values():
        made_here = {row["individual"]: node(row) for row in here if row["operator"] != CARRIED}
        for row in here:
            known = last if row["operator"] == CARRIED else last | made_here
            parents[node(row)] = [known[name] for name in row["parents"].split() if name in known]
        last |= {row["individual"]: node(row) for row in here}
    return parents


def descent(start: Node, parents: Mapping[Node, Sequence[Node]]) -> set[Node]:
    """Return all nodes that `start` descends from, and itself."""
    found, left = set(), [start]
    while left:
        child = left.pop()
        if child not in found:
            found.add(child)
            left += parents[child]
    return found


def draw_family_tree(rows: Sequence[Row], out: Iterable[Path | str], title: str = "") -> None:
    """Draw a run's individuals by generation and rank, lines to their parents, and the ancestors of the best."""
    places = {node(row): place(row) for row in rows}
    parents = parents_of(rows)
    edges: dict[str, list[Outline]] = {kind: [] for kind in LINES}
    for row in rows:
        kind = "descent" if row["descent"] else "survived" if row["survived"] == "yes" else "discarded"
        edges[kind] += [_edge(places[parent], places[node(row)]) for parent in parents[node(row)]]
    deepest = max(row["rank"] for row in rows)
    with styled(out, 1.0 + ROW * deepest, PAGE) as figure:
        axes = figure.add_subplot()
        axes.grid(visible=False)
        for order, (kind, (colour, width)) in enumerate(LINES.items()):
            curves = PathCollection(edges[kind], facecolors="none", edgecolors=colour, linewidths=width, zorder=order)
            axes.add_collection(curves)
        for operator in _operators(rows):
            _dots(axes, [row for row in rows if row["operator"] == operator])
        axes.set(ylabel="Rank by fitness", title=title, ylim=(deepest + 0.7, 0.3))
        axes.set_yticks([1, *range(5, deepest + 1, 5)])
        generation_axis(axes, by_generation(rows))
        figure.legend(handles=_legend(rows), loc="outside lower center", ncols=8, **LEGEND)


def place(row: Row) -> tuple[float, float]:
    """Return the position of an individual, which no other one has."""
    return row["generation"] + OPERATORS[row["operator"]][2], row["rank"]


def _edge(parent: tuple[float, float], child: tuple[float, float]) -> Outline:
    """Return the curve from a parent to a child, level at both ends; an arc if both are in one column."""
    (x0, y0), (x1, y1) = parent, child
    handles = [((x0 + x1) / 2, y0), ((x0 + x1) / 2, y1)] if x1 > x0 else [(x0 + 0.15, y0), (x0 + 0.15, y1)]
    return Outline([parent, *handles, child], [Outline.MOVETO, *[Outline.CURVE4] * 3])


def _dots(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw the individuals of one operator: survivors filled, discarded ones hollow, ancestors of the best dark."""
    marker, area, _ = OPERATORS[rows[0]["operator"]]
    looks = [_look(row) for row in rows]
    axes.scatter(
        *zip(*map(place, rows), strict=True),
        s=[area * (2.2 if row["descent"] == "best" else 1) for row in rows],
        marker=marker,
        c=[fill for fill, _, _ in looks],
        edgecolors=[outline for _, outline, _ in looks],
        linewidths=[width for _, _, width in looks],
        zorder=6,
    )


def _look(row: Row) -> tuple[str, str, float]:
    """Return an individual's fill, outline, and the outline's width."""
    if row["operator"] == CARRIED:
        return (BEST, BEST, 0) if row["descent"] else (MUTED, MUTED, 0)
    if row["descent"] == "best":
        return MEAN, BEST, 1.4
    fill = "white" if row["survived"] == "no" else BEST if row["descent"] else MEMBER
    return (fill, BEST, 1.0) if row["descent"] else (fill, MUTED, 0.6)


def _operators(rows: Sequence[Row]) -> list[str]:
    used = {row["operator"] for row in rows}
    return [operator for operator in OPERATORS if operator in used]


def _legend(rows: Sequence[Row]) -> list[Line2D]:
    """Return the legend's entries: the operators of this run, hollow markers, and the best."""
    plain = {"ls": "", "mec": MUTED, "mew": 0.6, "ms": 4.5}
    entries = []
    for operator in _operators(rows):
        look = {"ls": "", "mfc": MUTED, "mew": 0, "ms": 2} if operator == CARRIED else {**plain, "mfc": MEMBER}
        entries.append(Line2D([], [], marker=OPERATORS[operator][0], label=operator, **look))
    if any(row["survived"] == "no" for row in rows):
        entries.append(Line2D([], [], marker="o", mfc="white", label="discarded", **plain))
    [best] = [row for row in rows if row["descent"] == "best"]
    marker = {"marker": OPERATORS[best["operator"]][0], "mfc": MEAN, "mec": BEST, "mew": 1.2, "ms": 6}
    label = f"best ({best['fitness']:.3f}) and its descent"
    return [*entries, Line2D([], [], color=BEST, lw=1.8, label=label, **marker)]
