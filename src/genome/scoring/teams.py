"""The choice of an ensemble's members by the score of their ensemble on validation data.

Not in the paper, whose ensemble is the k fittest. Those are often near copies, whose votes repeat each other; a less
fit member with other errors may add more. The choice uses the validation answers that the run has kept and needs no
evaluation. Members cannot be added one by one, as Caruana et al. (2004) do for averages: of three voters, a pair
decides nothing, and two copies outvote any third member. So whole teams are compared.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from genome.genotype import Genotype
from genome.scoring.ensemble import combine_each
from genome.search.population import Individual, Population, top
from genome.tasks import Task
from genome.tasks.scoring import Sample, judge

Team = tuple[int, ...]
"""Positions of members among all, fittest first."""

TEAMS = 500
"""The maximum number of teams compared: three of ten are 120, of fifteen 455."""


def teams(members: int, k: int) -> list[Team]:
    """Return all teams of `k` among as many of the fittest `members` as give at most TEAMS teams; the fittest first."""
    pool = max(k, max((n for n in range(1, members + 1) if math.comb(n, k) <= TEAMS), default=k))
    return list(combinations(range(min(pool, members)), min(k, members)))


def choose_team(
    population: Population,
    k: int,
    objectives: Sequence[tuple[Task, Sequence[Sample], float]],
    answers: Mapping[Genotype, Mapping[str, Sequence[str | None]]],
    similarity: Mapping[str, Any],
) -> list[Individual]:
    """Return the members of `population` whose ensemble of `k` has the best fitness; the fittest of equal teams.

    `objectives` are the tasks of the run with their validation samples and weights; `answers` are one per sample, by
    genotype and task.
    """
    ranked = top(population, len(population.members))

    candidates = teams(len(ranked), k)
    totals = [0.0] * len(candidates)
    for task, samples, weight in objectives:
        given = [answers[member.genotype][task.name] for member in ranked]
        # All teams in one call: an answer that several of their members give is compared once.
        votes = combine_each(task, samples, [[given[i] for i in team] for team in candidates], similarity)
        for i, scores in enumerate(judge(task, samples, votes)):
            totals[i] += weight * scores.value
    return [ranked[i] for i in candidates[totals.index(max(totals))]]
