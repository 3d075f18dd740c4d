"""How much the members of a population differ, and how far they are from the base model, by generation."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

from genome.errors import GenomeError
from genome.experts.expert import Expert
from genome.genotype import Genotype, expert
from genome.lora.geometry import update_norms
from genome.report.figures.portraits import with_runs
from genome.report.figures.style import (
    BEST,
    INK,
    LEGEND,
    MEAN,
    MUTED,
    Row,
    end_label,
    generation_axis,
    pictures,
    styled,
    write_rows,
)
from genome.scoring.answers import ValidationAnswers, answers_by_genotype
from genome.scoring.manifest import read_experts
from genome.scoring.results import read_evaluations
from genome.search.population import Population
from genome.search.records import read_population

PANELS = (
    ("coefficients", "Distance of\ncoefficients"),
    ("answers", "Answers\nthat differ"),
)


def write(settings: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    """Draw how much the members of a run differ, and how far they are from the base."""
    experts = read_experts(inputs["experts"])
    contents = {path: read_population(path, experts) for path in inputs["populations"]}
    evaluations = (row for path in inputs["evaluations"] for row in read_evaluations(path))
    basis = next(map(Path, inputs["basis"]), None)
    rows = diversity(contents.values(), evaluations, experts, basis)
    write_rows(outputs["table"], with_runs(rows, {path: content.generation for path, content in contents.items()}))
    draw_diversity(rows, pictures(outputs), settings["title"])


def diversity(
    populations: Iterable[Population],
    evaluations: Iterable[Mapping[str, Any]],
    experts: Sequence[Expert],
    basis: Path | None = None,
) -> list[Row]:
    """Return a row per generation of a run; differences are means over all pairs of members.

    coefficients: the Euclidean distance of two members' coefficients of experts; if groups of layers have separate
        coefficients, the root of the mean square over groups
    answers: the share of validation samples that two members answer differently; a missing answer differs from others
    norm_best, norm_members: the Frobenius norm of the update of the best so far, and its mean over members
    norm_experts: its mean over experts

    `evaluations` are the rows of all the run's `evaluations.jsonl`. A genotype is evaluated once in a run; its answers
    apply to every individual that has it, in any generation. Races ask samples in another order and may leave some
    out, so pairs are compared on the samples that both answered. `basis` is the file of the joint basis of a run in a
    shared space.
    """
    populations = sorted(populations, key=lambda population: population.generation)
    answers = answers_by_genotype(populations, evaluations)
    norm_experts = fmean(update_norms([expert(i, len(experts)) for i in range(len(experts))], experts))
    rows = []
    for population in populations:
        genotypes = [member.genotype for member in population.members]
        missing = [member.name for member in population.members if member.genotype not in answers]
        if missing:
            raise GenomeError(
                f"no answers of {missing[0]}, a member of generation {population.generation}, in the run's "
                "evaluations.jsonl; delete those of the generation that made it"
            )
        best, *members = update_norms([population.best.genotype, *genotypes], experts, basis)
        rows.append(
            {
                "generation": population.generation,
                "coefficients": _mean_of_pairs(math.dist, _in_all_groups(genotypes, len(experts))),
                "answers": _mean_of_pairs(disagreement, [answers[genotype] for genotype in genotypes]),
                "best": population.best.name,
                "norm_best": best,
                "norm_members": fmean(members),
                "norm_experts": norm_experts,
            }
        )
    return rows


def _in_all_groups(genotypes: Sequence[Genotype], n: int) -> list[list[float]]:
    """Return coefficients in equally many groups of layers, scaled so that distances are means over groups."""
    groups = max(len(genotype.coefficients) for genotype in genotypes) // n
    copies = [genotype.coefficients * (groups * n // len(genotype.coefficients)) for genotype in genotypes]
    return [[value / math.sqrt(groups) for value in each] for each in copies]


def disagreement(first: ValidationAnswers, second: ValidationAnswers) -> float:
    """Return the share of samples with different answers, among those that both models answered."""
    return fmean(first[sample] != second[sample] for sample in first.keys() & second.keys())


def _mean_of_pairs(distance: Callable[[Any, Any], float], values: Sequence[Any]) -> float:
    return fmean(distance(one, other) for one, other in combinations(values, 2))


def draw_diversity(rows: Sequence[Row], out: Iterable[Path | str], title: str = "") -> None:
    """Draw three panels over one axis of generations: distance of coefficients, of answers, and from the base."""
    generations = [row["generation"] for row in rows]
    with styled(out, 4.0) as figure:
        top, middle, bottom = figure.subplots(3, sharex=True)
        for axes, (key, label) in zip((top, middle), PANELS, strict=True):
            values = [row[key] for row in rows]
            axes.plot(generations, values, color=INK, lw=1.2, marker="o", ms=2.8)
            axes.set(ylabel=label, ylim=(0, 1.15 * max(values) or 1))
            end_label(axes, values[-1], INK, "center")
        lines = (
            ("norm_best", "best so far", {"color": BEST, "lw": 1.7}),
            ("norm_members", "mean of members", {"color": MEAN, "lw": 1.2, "ls": (0, (3, 1.5))}),
            ("norm_experts", "mean of experts", {"color": MUTED, "lw": 0.9, "ls": (0, (1, 1.5))}),
        )
        for key, label, look in lines:
            bottom.plot(generations, [row[key] for row in rows], label=label, **look)
        largest = max(row[key] for row in rows for key, _, _ in lines)
        bottom.set(ylabel="Distance from\nthe base, ‖ΔW‖", ylim=(0, 1.15 * largest))
        top.set_title(title)
        generation_axis(bottom, generations)
        figure.align_ylabels()
        figure.legend(*bottom.get_legend_handles_labels(), loc="outside lower center", ncols=3, **LEGEND)
