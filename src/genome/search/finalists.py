"""Finalists: the models among which the metric on all validation samples decides.

Not in the paper, whose search maximises that metric. A likelihood may rise while answers get worse, and a part of the
samples may favour a model by chance. So the search's best few, the best expert and the base model are compared by the
metric on all samples, and the best of them is the result. In a tie, the earlier one in this order is. If likelihoods
are calibrated, answers by likelihood are, too, each model's by its own validation answers.
"""

from collections.abc import Sequence
from dataclasses import replace

from genome.experts.expert import Expert
from genome.genotype import Genotype, mixture
from genome.search.driver import Evaluate, Scoreboard, drive, score_all, sha256_of
from genome.search.measure import OF_PAPER, Measure
from genome.search.population import Fitness, Individual, Population, fittest, top

BASE = "base model"
"""The name of the base model among finalists: experts have names without spaces."""


def finalists(population: Population, scored_experts: Population, number: int) -> list[Individual]:
    """Return the search's best `number`, the best expert, and the base model, each model once and without a fitness.

    The search's best are the best individual ever and the fittest members of its last population.
    """
    single = fittest(scored_experts.members)[0]
    base = Individual(BASE, mixture([0.0] * len(single.genotype.coefficients)), "base")
    distinct: dict[Genotype, Individual] = {}
    for each in fittest([population.best, *top(population, number)]):
        distinct.setdefault(each.genotype, each)
    chosen = list(distinct.values())[:number]
    for each in (single, base):
        if each.genotype not in {other.genotype for other in chosen}:
            chosen.append(each)
    return [replace(each, fitness=None, experience=None) for each in chosen]


def decide(
    population: Population,
    scored_experts: Population,
    number: int,
    experts: Sequence[Expert],
    evaluate: Evaluate,
    measure: Measure = OF_PAPER,
) -> Population:
    """Return the finalists of a run as a population, with their fitness by `evaluate`; its best is the result.

    `population` is the last of the run. If `measure`, that of `evaluate`, is also that of `scored_experts`, these are
    known. The evaluations of the run and its samples, with those of the experts, are counted.
    """
    known = scored_experts.scored if measure == scored_experts.measure else dict[str, Fitness]()
    board = Scoreboard(known, sha256_of(experts), evaluate)
    decided = drive(score_all(finalists(population, scored_experts, number)), board)
    return replace(
        decided,
        generation=population.generation,
        samples=population.samples + scored_experts.samples,
        earlier=population.evaluations + len(scored_experts.scored.keys() - decided.scored.keys()),
        measure=measure,
    )
