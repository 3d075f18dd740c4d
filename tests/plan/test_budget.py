"""Budgets in the plan: which generations depend on them, and what is kept for finalists."""

import json

import pytest

from genome.errors import GenomeError
from genome.workflow import budget, settings
from genome.workflow.names import RunName
from plan.plans import plan_of

GENERATIONS = (1, 2, 3)


def text(plan, generation, method="cma_es", n=4, tasks=("sums",)):
    return settings.generation_text(plan, RunName(tasks, method, n, 1), generation)


def with_budget(amount, method="cma_es", **changes):
    return plan_of(methods={method: {"budget": amount, "result": "search", **changes}})


def test_generations_without_a_budget_ask_for_what_they_always_did(plan):
    for method in ("genome_plus", "cma_es", "model_swarms"):
        assert text(plan, 1, method) == settings.search_text(plan, ("sums",), method)


def test_a_generation_depends_on_a_budget_only_if_that_may_end_the_run_before_it():
    """CMA-ES answers four times 30 samples in generation 0 and in each other one."""
    free = with_budget(None)
    for amount, dependent in ((480, ()), (479, (3,)), (360, (3,)), (359, (2, 3)), (120, (1, 2, 3))):
        found = with_budget(f"{amount} samples")
        for generation in GENERATIONS:
            values = json.loads(text(found, generation))
            assert values.pop("budget", None) == (f"{amount} samples" if generation in dependent else None)
            assert values == json.loads(text(free, generation))


def test_equal_budgets_are_one():
    assert text(with_budget("0.2k samples"), 3) == text(with_budget("200 samples"), 3)


@pytest.mark.parametrize("changes", [{"samples": 20, "redraw": True}, {}])
def test_all_generations_depend_on_a_budget_if_what_they_spend_is_not_known(changes):
    found = with_budget("1 M samples" if changes else "1 M tokens", **changes)
    assert all('"budget": "1,000,000' in text(found, generation) for generation in GENERATIONS)


def test_what_genome_plus_spends_at_most_is_drawn_by_the_seed():
    found = with_budget("400 samples", "genome_plus")
    runs = [RunName(("sums",), "genome_plus", 4, seed) for seed in range(1, 9)]
    texts = {(run.seed, number): settings.generation_text(found, run, number) for run in runs for number in GENERATIONS}
    dependent = [name for name, text in texts.items() if "budget" in text]
    assert 0 < len(dependent) < len(texts)
    assert all((seed, 3) in dependent for seed, _ in dependent), "later generations have spent more"


def test_finalists_and_experts_are_kept_from_a_budget():
    def reserved(**changes):
        return budget.reserved(plan_of(variants={"mine": {"method": "cma_es", **changes}}), "mine")

    assert reserved(result="search", ensemble=False) == 0
    assert reserved() == 1, "the base model"
    assert reserved(result="knee") == 1
    assert reserved(objective="likelihood") == 5 + 1
    assert reserved(objective="likelihood", calibrated=True) == 5 + 2
    assert reserved(objective="likelihood", result="search", ensemble=False) == 1
    values = json.loads(text(with_budget("600 samples", result=None, samples=10), 3))
    assert (values["budget"], values["reserved"]) == ("600 samples", 5 + 1)


def test_a_budget_that_generation_0_and_finalists_use_up_is_refused():
    with pytest.raises(GenomeError, match=r"^budget of 119 samples: generation 0 of sums/cma_es/n4/seed1 and "):
        text(with_budget("119 samples"), 1)
    # Four candidates, the base and ten experts on 30 samples.
    with pytest.raises(GenomeError, match="need 450; raise `budget`, or lower population_size"):
        text(with_budget("449 samples", result=None), 1)
    assert text(with_budget("450 samples", result=None), 1)


def test_a_budget_in_tokens_needs_the_records_before_generation_1(plan):
    run, folder = RunName(("sums",), "cma_es", 4, 1), "results/benchmarks/runs/sums"
    initial, experts = f"{folder}/initial-pairs/n4/seed1.json", f"{folder}/experts.json"
    assert budget.spent_records(plan, run, 1) == []
    assert budget.spent_records(with_budget("500 samples"), run, 1) == []
    assert budget.spent_records(with_budget("9 k tokens"), run, 1) == [initial]
    assert budget.spent_records(with_budget("9 k tokens", result=None), run, 1) == [experts, initial]
    assert budget.spent_records(with_budget("9 k tokens"), run, 2) == []


@pytest.mark.parametrize(
    ("method", "changes", "known"),
    [
        ("cma_es", {}, True),
        ("genome", {}, True),
        ("genome_plus", {}, True),
        ("model_swarms", {}, True),
        ("gauss_newton", {}, True),
        ("cma_es", {"samples": 20, "redraw": True}, False),
    ],
)
def test_what_a_generation_may_spend_is_known_before_for_most_searches(method, changes, known):
    assert budget.is_known_before(with_budget("1 M samples", method, **changes), method) == known
    assert not budget.is_known_before(with_budget("1 M tokens", method, **changes), method)
