"""The answers of a run's individuals: to a test, read from kept responses, and to validation samples, by genotype."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genome.errors import GenomeError
from genome.genotype import Genotype
from genome.scoring.results import read_responses
from genome.search.population import Population, top
from genome.search.racing import RACED_AS
from genome.tasks import Task
from genome.tasks.scoring import extract

ValidationAnswers = Mapping[tuple[str, Any], str | None]
"""A model's answers to the validation samples of all tasks, by task and sample; None for a response without answer."""


@dataclass(frozen=True)
class ModelAnswers:
    """The answers found in an individual's responses to a test, one per sample."""

    individual: str
    answers: list[str | None]


def read_model_answers(
    task: Task, samples: Sequence[Mapping[str, Any]], responses: Path | str, members: int | None = None
) -> list[ModelAnswers]:
    """Return the answers of a run's best individual, then those of its members, fittest first.

    `members` limits how many members are read (None: all).
    """
    last = None if members is None else 1 + members
    return [
        ModelAnswers(name, [extract(task, sample, text) for sample, text in zip(samples, texts, strict=True)])
        for name, texts in list(read_responses(responses, samples).values())[:last]
    ]


def check_members(answered: Sequence[ModelAnswers], population: Population, k: int, responses: Path | str) -> None:
    """Raise GenomeError unless the responses are those of a population's best and of its k fittest members."""
    expected = [population.best.name, *(member.name for member in top(population, k))]
    found = [each.individual for each in answered]
    if found != expected:
        raise GenomeError(
            f"{responses}: responses of {' '.join(found)}, expected those of {' '.join(expected)}; "
            "delete the file to have it made again"
        )


def answers_by_genotype(
    populations: Iterable[Population], evaluations: Iterable[Mapping[str, Any]]
) -> dict[Genotype, dict[tuple[str, Any], str | None]]:
    """Return the validation answers of every genotype in a run's populations, by task and sample.

    `evaluations` are rows of the run's `evaluations.jsonl`, which name individuals. A genotype that a race stopped and
    that races on in a later generation has answered under another name before, and gets those answers too. The answers
    of genotypes that have been stopped for good are left out: they are in no population.
    """
    populations = list(populations)
    genotypes = {x.name: x.genotype for population in populations for x in (*population.created, *population.members)}
    for names in (names for population in populations for names in population.state.get(RACED_AS, {}).values()):
        known = next((genotypes[name] for name in names if name in genotypes), None)
        if known is not None:
            genotypes |= dict.fromkeys(names, known)
    answers: dict[Genotype, dict[tuple[str, Any], str | None]] = {}
    for row in evaluations:
        if row["individual"] in genotypes:
            answers.setdefault(genotypes[row["individual"]], {})[row["task"], row["sample"]] = row["answer"]
    return answers
