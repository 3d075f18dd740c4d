"""A run's budget in the plan: what of it is kept for finalists, and which generations it may end.

Generations that cannot be ended by a budget do not depend on it. So a larger budget leaves them as they are, and only
those that the smaller one may have ended are made again. How much a generation spends at most is known before it runs,
if its samples are fixed and its method says how many candidates it has.
"""

from collections.abc import Mapping, Sequence
from functools import cache

from genome.errors import GenomeError
from genome.search.budget import Budget, read_budget
from genome.search.finalists import asked
from genome.search.measure import OF_PAPER
from genome.search.method import Most
from genome.search.settings import FROM_EXPERTS, SEARCH, WITH_VALIDATION_LORA, founders, measure_of, set_of
from genome.workflow import runs
from genome.workflow.names import RunName, part_of
from genome.workflow.plan import JSON, Plan


def budget_of(plan: Plan, variant: str) -> Budget:
    """Return the budget of a variant that has one."""
    return read_budget(plan.variant(variant).settings.budget)


def reserved(plan: Plan, variant: str) -> int:
    """Return how many evaluations on all validation samples the finalists of a variant's runs cost at most."""
    number, result = runs.decided_by(plan, variant)
    measure = measure_of(plan.variant(variant).settings)
    if not number:
        return 0
    return asked(number, others=result != SEARCH, known=measure == OF_PAPER, calibrated=measure.calibrated)


def is_known_before(plan: Plan, variant: str) -> bool:
    """Tell whether it is known before a generation runs what it spends at most of its variant's budget.

    Only then does a larger budget leave the generations before the end as they are.
    """
    return budget_of(plan, variant).unit == "samples" and _most(plan, variant) is not None


def _most(plan: Plan, variant: str) -> Most | None:
    """Return what returns the most genotypes that a generation of a variant scores; None if that is not known."""
    found = plan.variant(variant)
    return None if found.settings.redraw else found.method.most


def of_generation(plan: Plan, run: RunName, generation: int) -> Mapping[str, JSON]:
    """Return what a generation of a run depends on of its budget; nothing if this is not less than it may need.

    GenomeError if the budget does not even pay for generation 0 and the finalists.
    """
    budget, kept = budget_of(plan, run.variant), reserved(plan, run.variant)
    if budget.unit == "samples":
        least, most = _needed(plan, run)
        if least > budget.amount:
            raise GenomeError(
                f"budget of {budget}: generation 0 of {run} and its finalists need {least:,}; raise `budget`, or lower "
                "population_size, `samples` or `finalists`"
            )
        if generation < len(most) and most[generation] <= budget.amount:
            return {}
    return {"budget": str(budget), **({"reserved": kept} if kept else {})}


def spent_records(plan: Plan, run: RunName, generation: int) -> list[str]:
    """Return the records of what was spent before generation 1, for a budget in tokens; later ones carry the sum."""
    variant = plan.variant(run.variant)
    if generation > 1 or not variant.has_budget or budget_of(plan, run.variant).unit != "tokens":
        return []
    counted = reserved(plan, run.variant) or variant.settings.initialisation in FROM_EXPERTS
    experts = [runs.scoring_of(run.task_names, runs.set_of_run(plan, run), run.seed)] if counted else []
    return [f"results/benchmarks/runs/{stage}.json" for stage in (*experts, runs.initial_of(plan, run))]


@cache
def _needed(plan: Plan, run: RunName) -> tuple[int, Sequence[int]]:
    """Return the samples that a run needs at least, and at most up to the end of each generation, with its finalists.

    Generations of which that is not known are left out.
    """
    variant, size, seed = plan.variant(run.variant), run.n or 0, run.seed or 0
    settings, kept = variant.settings, reserved(plan, run.variant)
    sizes = [part_of(task)[1] or plan.config.splits.validation for task in run.tasks]
    one = sum(min(settings.samples or number, number) for number in sizes)
    unseen = set_of(settings) == WITH_VALIDATION_LORA  # a part of the samples, which is not known here
    experts, from_experts = len(plan.experts) + unseen, settings.initialisation in FROM_EXPERTS
    new = founders(settings.initialisation, size) * one + (experts * sum(sizes) if kept else 0)
    known = experts * sum(sizes) + max(0, size - experts) * one if from_experts else 0
    least = 0 if unseen else kept * sum(sizes) + (0 if from_experts else new)
    most = [kept * sum(sizes) + max(new, known)]
    if (most_of := _most(plan, run.variant)) is not None:
        for generation in plan.generations:
            most.append(most[-1] + most_of(settings, size, experts, seed, generation) * one)
    return least, most
