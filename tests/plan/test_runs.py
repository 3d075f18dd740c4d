"""Runs: which populations, evaluations and records belong to them, and which variants share them."""

import re

import pytest

from genome.config.names import SCHEME, SCHEMES
from genome.errors import GenomeError
from genome.search.measure import Measure
from genome.workflow import runs, settings
from genome.workflow.names import RunName
from plan.plans import plan_of

RUN = RunName(("sums",), "genome_plus", 4, 1)


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("genome", "sums/genome/n4/seed1"),
        ("best_single", "sums/best_single"),
        ("lorahub", "sums/lorahub/seed1"),
        ("uniform", "sums/uniform"),
        ("randopt", "sums/randopt/seed1"),
        ("dare_ties", "static/dare_ties/seed1"),
        ("data_merge", "static/data_merge"),
        ("ties", "static/ties"),
        ("majority", "sums/majority"),
        ("validation_lora", "sums/validation_lora/seed1"),
        ("genome_plus-no_crossover", "sums/genome_plus-no_crossover/n4/seed1"),
        # Without its ensemble it is the same run.
        ("genome_plus-no_ensemble", "sums/genome_plus/n4/seed1"),
        ("cma_es-no_ensemble", "sums/cma_es/n4/seed1"),
        # A team is another outcome of another run: whole populations are not asked twice.
        ("genome_plus-team", "sums/genome_plus-team/n4/seed1"),
        ("study-cr01-imr02-gmr10", "sums/study-cr01-imr02-gmr10/n4/seed1"),
    ],
)
def test_run_of_leaves_out_size_and_seed_if_the_method_has_none(plan, variant, expected):
    assert str(runs.run_of(plan, variant, "sums", 1)) == expected


def test_run_of_takes_another_size(plan):
    assert str(runs.run_of(plan, "genome", "sums+emotions", 7, 6)) == "sums+emotions/genome/n6/seed7"


def test_variants_that_change_a_setting_of_the_search_share_no_run():
    plan = plan_of(variants={"mine": {"method": "genome_plus", "ensemble": False, "sigma": 0.5}})
    assert runs.searched_as(plan, "mine") == "mine"


def test_populations_begin_with_the_shared_generation_0(plan):
    assert runs.populations_of(plan, RUN) == [
        "results/runs/sums/initial-pairs/n4/seed1/population.json",
        *(f"results/runs/sums/genome_plus/n4/seed1/generation_{number}/population.json" for number in (1, 2, 3)),
    ]
    assert runs.populations_of(plan, RunName(("sums",), "lorahub", seed=1)) == [
        "results/runs/sums/lorahub/seed1/population.json"
    ]


@pytest.mark.parametrize(
    ("variant", "scheme"),
    [
        ("genome", "pairs"),
        ("genome_plus-no_initialisation", "experts"),
        ("model_swarms", "populated"),
        ("model_swarms-pairs", "pairs"),
        ("cma_es-product", "pairs-product"),
        ("study-cr01-imr02-gmr10", "pairs"),
        ("factors", "pairs-factors"),
        ("shared", "experts-shared-16"),
    ],
)
def test_generation_0_depends_on_initialisation_and_space(variant, scheme):
    variants = {
        "factors": {"method": "genome", "merge_space": "factors"},
        "shared": {"method": "genome", "merge_space": {"shared": {"rank": 16}}, "initialisation": "experts"},
    }
    assert runs.scheme_of(plan_of(variants=variants), variant) == scheme
    assert re.fullmatch(SCHEME, scheme)


def test_runs_in_a_shared_space_need_its_basis(plan):
    experts = runs.manifest_of(plan, "given", "sums", 1)
    assert runs.basis_of(experts, "shared-16") == ["results/experts/micro_shared-16.safetensors"]
    assert [runs.basis_of(experts, space) for space in ("", "factors", "product")] == [[], [], []]


def test_previous_returns_the_population_of_the_generation_before(plan):
    previous = [runs.previous_of(plan, RUN, generation) for generation in (1, 2, 3)]
    assert previous == runs.populations_of(plan, RUN)[:3]


@pytest.mark.parametrize("generation", [0, 4])
def test_generation_after_the_last_one_of_the_config_is_refused(plan, generation):
    with pytest.raises(GenomeError, match=f"generation {generation} is out of range: the config's `generations` is 3"):
        runs.previous_of(plan, RUN, generation)


def test_evaluations_include_the_experts_if_these_are_generation_0(plan):
    from_experts = RunName(("sums",), "genome_plus-no_initialisation", 4, 1)
    assert runs.evaluations_of(plan, RUN)[0] == "results/runs/sums/initial-pairs/n4/seed1/evaluations.jsonl"
    assert runs.evaluations_of(plan, from_experts)[:2] == [
        "results/runs/sums/experts/evaluations.jsonl",
        "results/runs/sums/initial-experts/n4/seed1/evaluations.jsonl",
    ]
    swarm = RunName(("sums",), "model_swarms", 4, 1)
    assert runs.evaluations_of(plan, swarm)[0] == "results/runs/sums/experts/evaluations.jsonl"
    assert runs.evaluations_of(plan, RunName(("sums",), "randopt", seed=1)) == [
        "results/runs/sums/experts/evaluations.jsonl",
        "results/runs/sums/randopt/seed1/evaluations.jsonl",
    ]


def test_records_of_runs_count_shared_jobs_once(plan):
    found = runs.records_of(plan, [RUN, RunName(("sums",), "genome", 4, 1), RunName(("sums",), "lorahub", seed=1)])
    folder = "results/benchmarks/runs/sums"
    assert found == [
        f"{folder}/initial-pairs/n4/seed1.json",
        *(f"{folder}/genome_plus/n4/seed1/generation_{number}.json" for number in (1, 2, 3)),
        *(f"{folder}/genome/n4/seed1/generation_{number}.json" for number in (1, 2, 3)),
        f"{folder}/experts.json",
        f"{folder}/lorahub/seed1.json",
    ]


def test_records_of_controls_are_their_only_stage(plan):
    controls = [RunName(("sums",), "validation_lora", seed=1), RunName(("emotions",), "majority")]
    assert runs.records_of(plan, controls) == [
        "results/benchmarks/runs/sums/validation_lora/seed1.json",
        "results/benchmarks/runs/emotions/majority.json",
    ]


@pytest.mark.parametrize("tasks", [["sums", "sums"], ["sums", "sums@20"]])
def test_a_run_over_a_task_twice_is_refused(plan, tasks):
    with pytest.raises(GenomeError, match="task 'sums'"):
        runs.validation_of(plan, tasks)


def test_a_run_over_too_many_tasks_is_refused(plan):
    with pytest.raises(GenomeError, match="use fewer tasks or shorter names"):
        runs.validation_of(plan, [f"a_task_with_a_long_name_{number}" for number in range(20)])


LIKELY = {
    "likely": {"method": "genome_plus", "objective": "likelihood", "samples": 20},
    "likely-five": {"method": "genome_plus", "objective": "likelihood", "samples": 20, "finalists": 5},
    "likely-team": {"method": "genome_plus", "objective": "likelihood", "ensemble": {"choose": "team"}},
    "fewer": {"method": "lorahub", "samples": 20},
}


def test_result_of_another_measure_is_among_finalists():
    plan = plan_of(variants=LIKELY)
    run, initial = RunName(("sums",), "likely", 4, 1), "sums/initial-pairs-likelihood-s20/n4/seed1"
    assert runs.populations_of(plan, run)[0] == f"results/runs/{initial}/population.json"
    assert runs.result_of(plan, run) == f"results/runs/{run}/finalists/population.json"
    assert runs.shown_populations(plan, run) == [f"results/runs/{run}/finalists/population.json"]
    assert runs.stages_of(plan, run) == ["sums/experts", initial, str(run), f"{run}/finalists"]
    assert runs.records_of(plan, [run])[-1] == f"results/benchmarks/runs/{run}/finalists.json"
    baseline = RunName(("sums",), "fewer", seed=1)
    assert runs.result_of(plan, baseline) == "results/runs/sums/fewer/seed1/finalists/population.json"
    assert runs.records_of(plan, [baseline])[-1] == "results/benchmarks/runs/sums/fewer/seed1/finalists.json"


def test_result_of_the_papers_measure_is_its_last_population(plan):
    assert runs.result_of(plan, RUN) == RUN.generation(3)
    assert runs.shown_populations(plan, RUN) == runs.populations_of(plan, RUN)
    assert runs.finalists_of(plan, "genome_plus") == 0


RESULTS = {
    "cma_es-search": {"method": "cma_es", "result": "search"},
    "genome-best": {"method": "genome", "result": "best_of", "finalists": 2},
    "likely-search": {"method": "genome", "objective": "likelihood", "result": "search"},
}


def test_methods_beyond_the_paper_hand_out_the_best_of_their_search_and_what_there_was_before():
    plan = plan_of(variants=RESULTS)
    results = {name: plan.variant(name).result for name in ("genome", "lorahub", "best_single", "cma_es", *RESULTS)}
    assert results == {
        **dict.fromkeys(("genome", "lorahub", "best_single", "cma_es-search"), "search"),
        **dict.fromkeys(("cma_es", "genome-best"), "best_of"),
        "likely-search": "search",
    }
    run = RunName(("sums",), "cma_es", 4, 1)
    decided = f"results/runs/{run}/finalists/population.json"
    assert runs.result_of(plan, run) == decided
    assert runs.shown_populations(plan, run) == [*runs.populations_of(plan, run), decided]
    assert runs.stages_of(plan, run)[-1] == f"{run}/finalists"
    assert not runs.has_finalists(plan, "cma_es-search")
    assert runs.searched_as(plan, "cma_es-search") == "cma_es-search"
    assert (runs.finalists_of(plan, "genome-best"), runs.finalists_of(plan, "likely-search")) == (2, 1)
    assert "result" not in runs.search_settings(plan, "genome-best")


def test_finalists_are_at_least_as_many_as_an_ensemble():
    plan = plan_of(variants={"likely": {**LIKELY["likely"], "finalists": 1, "ensemble": {"k": 4}}})
    assert runs.finalists_of(plan, "likely") == 4


def test_team_is_chosen_by_the_answers_of_finalists():
    run = RunName(("sums",), "likely-team", 4, 1)
    assert runs.answers_of(plan_of(variants=LIKELY), run) == [
        "results/runs/sums/experts/evaluations.jsonl",
        f"results/runs/{run}/finalists/evaluations.jsonl",
    ]


def test_variants_with_other_finalists_share_no_run():
    changes = {"objective": "likelihood", "samples": 20}
    given = {"methods": {"genome_plus": changes}, "protocol": None}
    plan = plan_of(**given, variants={"two": {"method": "genome_plus", "finalists": 2}})
    assert runs.searched_as(plan, "two") == "two"
    plan = plan_of(**given, variants={"none": {"method": "genome_plus", "ensemble": False}})
    assert runs.searched_as(plan, "none") == "genome_plus"


def test_likelihood_needs_prompts_with_continuations(plan):
    assert runs.validation_of(plan, ["sums"], Measure("likelihood", 20)) == [
        "results/prompts/micro/sums/validation-likelihood.jsonl"
    ]
    assert runs.validation_of(plan, ["sums"], Measure(samples=20)) == ["results/prompts/micro/sums/validation.jsonl"]


SETS = {
    "genome-random": {"method": "genome", "experts": "random"},
    "cma_es-with_validation_lora": {"method": "cma_es", "experts": "with_validation_lora"},
    "lorahub-random": {"method": "lorahub", "experts": "random", "merge_space": {"shared": {"rank": 16}}},
}


def test_searches_on_other_experts_are_controls_with_files_apart():
    plan = plan_of(variants=SETS)
    assert {plan.variant(name).group for name in SETS} == {"control"}
    assert (plan.variant("genome").group, plan.variant("cma_es").group) == ("paper", "beyond")
    run = RunName(("sums",), "genome-random", 4, 2)
    assert runs.scheme_of(plan, run.variant) == "pairs-random"
    assert re.fullmatch(SCHEMES, "pairs-random")
    assert runs.stages_of(plan, run) == ["sums/initial-pairs-random/n4/seed2", str(run)]
    assert runs.scored_experts_of(plan, run) == "results/runs/sums/experts-random/seed2/population.json"
    other = RunName(("sums", "emotions"), "cma_es-with_validation_lora", 4, 2)
    assert runs.stages_of(plan, other)[0] == "sums+emotions/experts-with_validation_lora/seed2"
    assert "results/benchmarks/runs/sums+emotions/experts-with_validation_lora/seed2.json" in runs.records_of(
        plan, [other]
    )
    assert runs.answers_of(plan, other)[0].endswith("experts-with_validation_lora/seed2/evaluations.jsonl")


def test_other_experts_are_in_the_settings_of_their_stages_only():
    plan = plan_of(variants=SETS)
    assert runs.search_settings(plan, "genome-random") == {
        **runs.search_settings(plan, "genome"),
        "experts": "random",
    }
    given, other = (settings.of_initial(plan, ("sums",), scheme) for scheme in ("pairs", "pairs-random"))
    assert other == {**given, "experts": "random"}
    assert "experts" not in given
    run = RunName(("sums",), "cma_es-with_validation_lora", 4, 2)
    assert settings.of_finalists(plan, run)["experts"] == "with_validation_lora"
    assert runs.searched_as(plan, "genome-random") == "genome-random"


def test_an_engine_has_the_rank_of_a_validation_lora_if_a_job_needs_it():
    plan = plan_of(variants=SETS)
    assert plan.added_rank(["given", "random"]) == 0
    assert plan.added_rank(["given", "with_validation_lora"]) == 8
