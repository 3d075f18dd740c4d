"""What a generation may spend of its run's budget: what is spent, what finalists need, what an evaluation costs."""

from collections.abc import Mapping, Sequence
from typing import Any

from genome.engine.messages import BUILT_IN
from genome.engine.usage import TOKENS
from genome.errors import GenomeError
from genome.experts.expert import Expert
from genome.genotype import expert, identity
from genome.jobs.site import Site
from genome.scoring.fitness import Evaluator
from genome.scoring.results import read_record
from genome.search.budget import Allowance, read_budget
from genome.search.driver import sha256_of
from genome.search.measure import OF_PAPER
from genome.search.population import Population
from genome.tasks import Task

Objectives = Sequence[tuple[Task, Sequence[Mapping[str, Any]]]]
"""Tasks, each with the samples that are answered."""


def allowance_of(
    site: Site,
    params: Mapping[str, Any],
    prompts: Sequence[str],
    records: Sequence[str],
    before: Population,
    experts: Sequence[Expert],
    evaluator: Evaluator,
) -> Allowance | None:
    """Return what is left of the budget in a generation's `params`; None if it cannot be spent by this generation.

    `before` is the population that the generation starts from. `records` are those of the stages before generation 1,
    which a budget in tokens needs. GenomeError if generation 0 leaves nothing to search with.
    """
    if not params.get("budget"):
        return None
    budget, decided = read_budget(params["budget"]), params.get("reserved", 0)
    own = [(each.task, each.samples) for each in evaluator.objectives]
    everything = [
        site.scored_task(task["name"], task["definition"], file)
        for task, file in zip(params["tasks"], prompts, strict=True)
    ]
    if budget.unit == "tokens":
        once = site.engine.get("backend") == BUILT_IN
        each = most_tokens_of(own, once=once, likelihood=evaluator.by_likelihood)
        reserved = decided * most_tokens_of(everything, once=once, likelihood=False)
        earlier = before.tokens + sum(read_record(path, *TOKENS)[name] for path in records for name in TOKENS)
    else:
        each = evaluator.sample_count
        # Finalists count the samples that scored the experts, if the run has not begun with these.
        scored = len(experts) if decided and not _began_with(experts, before) else 0
        reserved = (decided + scored) * sum(len(samples) for _, samples in everything)
        earlier = before.samples

    def spent() -> int:
        if budget.unit == "samples":
            return earlier + len(evaluator.records)
        return earlier + (sum(evaluator.engine.usage[name] for name in TOKENS) if evaluator.engine else 0)

    if before.generation == 0 and earlier + reserved > budget.amount:
        kept = f" and {reserved:,} are reserved for finalists" if reserved else ""
        raise GenomeError(
            f"budget of {budget}: generation 0 has spent {earlier:,}{kept}; raise `budget`, or lower population_size, "
            "`samples` or `finalists`"
        )
    return Allowance(budget, spent, reserved, each)


def _began_with(experts: Sequence[Expert], population: Population) -> bool:
    """Tell whether a run's generation 0 has the experts, with their answers to all samples."""
    digests, n = sha256_of(experts), len(experts)
    known = all(identity(expert(i, n), digests) in population.scored for i in range(n))
    return known and population.measure == OF_PAPER


def most_tokens_of(objectives: Objectives, *, once: bool, likelihood: bool) -> int:
    """Return the most tokens that one model reads and generates for all samples.

    `once`: the engine reads a prompt once for all of its continuations. `likelihood`: right answers are scored, so that
    those behind working are read once more with the working.
    """
    return sum(
        2 * _most_of(sample, task, once=once)
        if likelihood and "expected" in sample
        else _most_of(sample, task, once=once)
        for task, samples in objectives
        for sample in samples
    )


def _most_of(sample: Mapping[str, Any], task: Task, *, once: bool) -> int:
    """Return the most tokens of the answer to a sample: its prompt and a whole response, or all of its options."""
    prompt = len(sample["tokens"])
    if "continuations" not in sample:
        return prompt + task.max_tokens
    neutral = sample.get("neutral", {"tokens": [], "continuations": []})
    options = [len(each["tokens"]) for each in sample["continuations"]] + [
        len(each) for each in neutral["continuations"]
    ]
    repeated = 1 if once and "prompt" not in sample["continuations"][0] else max(1, len(sample["continuations"]))
    return repeated * (prompt + len(neutral["tokens"])) + sum(options)
