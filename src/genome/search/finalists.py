"""Finalists: the models among which the metric on all validation samples decides what a run hands out.

Not in the paper, which hands out what the search found. A likelihood may rise while answers get worse, a part of the
samples may favour a model by chance, and a search may find nothing better than it began with. So the search's best few,
the best expert and the base model are compared by the metric on all samples, and the best of them is the result. In a
tie, the earlier one in this order is. If likelihoods are calibrated, answers by likelihood are, too: each model's by
its validation answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from genome.experts.expert import Expert
from genome.genotype import Genotype, by_group, identity, mixture, shared_rank
from genome.search.driver import Evaluate, Scoreboard, drive, score_all, sha256_of
from genome.search.front import FRONT
from genome.search.measure import OF_PAPER, Measure
from genome.search.population import Individual, Population, fittest, top
from genome.search.racing import TRIALS

BASE = "base model"
"""The name of the base model among finalists: experts have names without spaces."""

VALIDATION_LORA = "validation_lora"
"""The name of the LoRA that was trained on validation samples, where it is one of the experts."""

Kind = Literal["search", "expert", "validation_lora", "base"]
"""What a genotype is: a model that only a search makes, or one that there is without a search."""

KINDS: tuple[Kind, ...] = ("search", "expert", "validation_lora", "base")


def finalists(
    population: Population, scored_experts: Population, number: int, *, others: bool = True
) -> list[Individual]:
    """Return the search's best `number`, the best expert, and the base model, each model once and without a fitness.

    The search's best are the best individual ever and the fittest members of its last population. Without `others`,
    they are the only ones.
    """
    distinct: dict[Genotype, Individual] = {}
    for each in fittest([population.best, *top(population, number)]):
        distinct.setdefault(each.genotype, each)
    chosen = list(distinct.values())[:number]
    single = fittest(scored_experts.members)[0]
    base = Individual(BASE, mixture([0.0] * len(single.genotype.coefficients)), "base")
    for each in (single, base) if others else ():
        if each.genotype not in {other.genotype for other in chosen}:
            chosen.append(each)
    return [replace(each, fitness=None, experience=None) for each in chosen]


def asked(number: int, *, others: bool, known: bool, calibrated: bool) -> int:
    """Return how many of `number` finalists `decide` has to ask for their answers, at most.

    The search's best, unless their metric is `known`; with `others`, the base model and, if answers are `calibrated`,
    the best expert, whose plain score is known.
    """
    return (0 if known else number) + (1 + calibrated if others else 0)


def decide(
    population: Population,
    scored_experts: Population,
    number: int,
    experts: Sequence[Expert],
    evaluate: Evaluate,
    measure: Measure = OF_PAPER,
    *,
    others: bool = True,
) -> Population:
    """Return the finalists of a run as a population, with their fitness by `evaluate`; its best is the result.

    `population` is the last of the run. What it or `scored_experts` have scored is known if `measure`, that of
    `evaluate`, is also theirs. The evaluations of the run and its samples, with those of the experts, are counted; once
    if the run has begun with the experts and their samples.
    """
    known = {
        identity: fitness
        for each in (population, scored_experts)
        if each.measure == measure
        for identity, fitness in each.scored.items()
    }
    board = Scoreboard(known, sha256_of(experts), evaluate)
    decided = drive(score_all(finalists(population, scored_experts, number, others=others)), board)
    continued = population.measure == scored_experts.measure
    shared = continued and scored_experts.scored.keys() <= population.scored.keys()
    asked = population.scored.keys() | population.state.get(TRIALS, {}).keys()
    new = (scored_experts.scored.keys() | decided.scored.keys()) - asked
    return replace(
        decided,
        generation=population.generation,
        samples=population.samples + (0 if shared else scored_experts.samples),
        earlier=population.evaluations + len(new) - len(decided.scored),
        measure=measure,
    )


def kind_of(genotype: Genotype, experts: Sequence[str]) -> Kind:
    """Return whether a genotype over the named experts is one of them, the base model, or neither.

    >>> from genome.genotype import expert
    >>> names = ["add", "validation_lora"]
    >>> [kind_of(each, names) for each in (expert(0, 2), expert(1, 2), mixture([0, 0]), mixture([0.5, 0.5]))]
    ['expert', 'validation_lora', 'base', 'search']
    """
    groups = {*by_group(genotype.coefficients, len(experts))}
    if genotype.noise or len(groups) > 1:
        return "search"
    [coefficients] = groups
    if not any(coefficients):
        return "base"
    if sorted(coefficients) != [0.0] * (len(experts) - 1) + [1.0] or shared_rank(genotype.space) is not None:
        return "search"  # in a shared space, experts are approximated
    return "validation_lora" if experts[coefficients.index(1.0)] == VALIDATION_LORA else "expert"


@dataclass(frozen=True)
class Comparison:
    """What a run hands out, and what there is without a search, by one validation fitness.

    best: what is handed out; kind: what it is; name: what people call it
    search: the fittest model that only the search has made, None if it has made none
    others: the best expert, the Validation LoRA if it is an expert, and the base model, as far as they are not handed
        out and their fitness is known
    """

    best: Individual
    kind: Kind
    name: str
    search: Individual | None
    others: Mapping[str, float]

    def text(self, samples: int) -> str:
        """Return, for people, what is handed out and whether it is better than what there is without a search."""
        score, least = self.best.score, max(self.others.values(), default=0.0)
        first = f"{self.name}, {_percent(score)} on {samples} validation samples"
        if self.kind != "search" and self.search is not None:
            first += f", because the search found nothing better ({self.search.name} {_percent(self.search.score)})"
        parts = [first, *(f"{name} {_percent(other)}" for name, other in self.others.items())]
        if BASE not in self.others and self.kind != "base":
            parts.append(f"{BASE} not asked")
        if self.kind == "search" and self.others and score <= least:
            better = [name for name, other in self.others.items() if other == least]
            parts.append(f"{'no better' if score == least else 'worse'} than {' and '.join(better)}")
        return "; ".join(parts)


def compare(population: Population, scored_experts: Population, experts: Sequence[Expert]) -> Comparison:
    """Return what a run hands out, the best of its last `population`, compared with what there is without a search.

    Fitness by another measure than the population's is not known.
    """
    names, digests = [each.name for each in experts], sha256_of(experts)
    known = {**population.scored, **(scored_experts.scored if population.measure == scored_experts.measure else {})}
    best, kind = population.best, kind_of(population.best.genotype, names)
    taken = names[best.genotype.coefficients.index(1.0) % len(names)] if kind in ("expert", VALIDATION_LORA) else None
    labels = {"search": f"the search's {best.name}", "base": "the base model", VALIDATION_LORA: "the Validation LoRA"}
    on_front = len(population.state.get(FRONT, ()))
    searched = [each for each in (best, *population.members) if kind_of(each.genotype, names) == "search"]

    def score_of(genotype: Genotype) -> float | None:
        found = known.get(identity(genotype, digests))
        return None if found is None else found.value

    singles = {each.name: score_of(each.genotype) for each in fittest(scored_experts.members)}
    single, *_ = singles
    others = {} if single == taken else {f"best expert {single}": singles[single]}
    if VALIDATION_LORA in singles and VALIDATION_LORA not in (single, taken):
        others["Validation LoRA"] = singles[VALIDATION_LORA]
    if kind != "base":
        zeros = Genotype((0.0,) * len(names))
        others[BASE] = score_of(zeros)
        if others[BASE] is None:
            others[BASE] = score_of(replace(zeros, space=best.genotype.space))
    return Comparison(
        best=best,
        kind=kind,
        name=labels.get(kind, f"the expert {taken}") + (f", the knee of a front of {on_front}" if on_front else ""),
        search=fittest(searched)[0] if searched else None,
        others={name: score for name, score in others.items() if score is not None},
    )


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
