"""Costs of jobs, by the rows of the methods."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from builders import BASELINES, GENERATIONS, next_generation
from genome.forecast.cost import REST, STAGES, Cost, Job, Measured, Rate, Setting, forecast, response_limit
from genome.search.driver import NEEDS, Scoreboard, drive, score_all
from genome.search.methods import METHODS
from genome.search.operators import initialise
from genome.search.population import Fitness

PROJECT = Path(__file__).parent.parent.parent
NOTHING = Measured({}, {}, {}, None, None)
SETTING = Setting(
    base="micro",
    experts=[f"expert{i}" for i in range(10)],
    generations=5,
    adapters="all",
    splits={"validation": 20, "test": 50},
    tasks={
        "sums": {"max_tokens": 4},
        "facts": {},
        "all_left": {"test_samples": "rest"},
        "drawn": {"test_samples": "rest", "draw": {"pool": 300, "validation": [0, 20], "test": [20, 300]}},
    },
)
METHOD_SETTINGS = {name: json.loads(json.dumps(asdict(method.settings()))) for name, method in METHODS.items()}


def job(stage, settings=None, **parts):
    return Job(stage, parts, json.dumps(settings or {}))


def generation(method, number=1, n=10, tasks="sums", **changes):
    settings = {"method": method, **METHOD_SETTINGS[method], **changes}
    return job("generation", settings, tasks=tasks, variant=method, n=str(n), seed="1", generation=str(number))


def cost(*jobs, setting=SETTING, measured=NOTHING) -> Cost:
    return forecast(jobs, setting, measured).total


def test_methods_that_search_have_a_cost_and_known_needs():
    for name in (*GENERATIONS, *BASELINES):
        method = METHODS[name]
        assert method.run
        assert {*method.needs} <= {*NEEDS}
        if name != "best_single":  # its experts are scored by another stage
            assert method.cost(method.settings(), 10, 10) > 0


def test_every_rule_that_uses_the_engine_has_a_cost():
    text = "\n".join(path.read_text() for path in sorted((PROJECT / "workflow/rules").glob("*.smk")))
    blocks = text.replace("use rule baseline as searched_baseline", "\nrule searched_baseline").split("\nrule ")[1:]
    # `use rule` inherits the line that says so.
    asking = {block.split(maxsplit=1)[0].rstrip(":") for block in blocks if "localrule: not plan.per_job" in block}
    assert asking | {"searched_baseline"} == {*STAGES}


@pytest.mark.parametrize("method", GENERATIONS)
@pytest.mark.parametrize("size", [4, 11])
def test_cost_of_a_generation_is_the_mean_number_of_evaluations(method, size, make_experts):
    experts = make_experts(3)
    settings = {"method": method, **METHOD_SETTINGS[method]}
    counted: list[int] = []

    def evaluate(individuals):
        counted.append(len(individuals))
        return [Fitness(0.2 + 0.01 * i, {}) for i, _ in enumerate(individuals)]

    total, runs = 0, 60
    for seed in range(runs):
        population = drive(score_all(initialise(3, size, seed)), Scoreboard({}, ["0", "1", "2"], evaluate))
        counted.clear()
        next_generation(population, settings, seed, experts, evaluate)
        total += sum(counted)
    expected = cost(generation(method, n=size)).evaluations
    assert total / runs == pytest.approx(expected, rel=0.1)


def test_cost_with_rates_of_zero_is_the_cost_of_succession():
    idle = {"crossover_rate": 0, "individual_mutation_rate": 0}
    assert cost(generation("genome", **idle)).evaluations == 0
    assert cost(generation("genome_plus", **idle)).evaluations == 10


def test_cost_of_generation_0_does_not_count_known_scores():
    def initial(scheme, n):
        return cost(job("initial_population", tasks="sums", scheme=scheme, n=str(n), seed="1")).evaluations

    assert initial("experts-product", 10) == 10, "products of the experts have no scores yet"
    assert [initial("pairs", 10), initial("experts", 10), initial("experts", 15), initial("experts", 4)] == [
        10,
        0,
        5,
        0,
    ]


def test_cost_adds_samples_and_tokens_of_all_tasks():
    scored = cost(job("score_experts", tasks="sums+facts"))
    assert (scored.evaluations, scored.samples) == (10, 400)
    assert scored.response_tokens == 200 * 4 + 200 * 512
    assert scored.unmeasured == {"sums", "facts"}


def test_answers_by_likelihood_have_no_response_tokens():
    assert response_limit({"answer_by": "likelihood", "max_tokens": 9}) == 0
    assert response_limit({"max_tokens": 9}) == 9
    assert response_limit({}) == 512


def test_cost_prefers_measured_numbers_to_the_config():
    measured = Measured({"sums": {"validation": 7, "test": 9}}, {"sums": 12.5}, {"sums": 100.0}, 1000, None)
    scored = cost(job("score_experts", tasks="sums"), measured=measured)
    assert (scored.samples, scored.prompt_tokens, scored.unmeasured) == (70, 875, frozenset())
    answered = cost(job("answer_test", {"members": 3}, test_task="sums", run="x"), measured=measured)
    assert (answered.evaluations, answered.samples, answered.file_bytes) == (0, 36, 3600)


def test_pack_of_llms_reads_prompts_with_all_experts_and_answers_with_one():
    settings = {"method": "pack_of_llms", **METHOD_SETTINGS["pack_of_llms"]}
    pack = cost(job("baseline", settings, tasks="sums", variant="pack_of_llms"))
    assert (pack.evaluations, pack.samples, pack.response_tokens) == (1, 11 * 20, 20 * 4)


def test_likelihood_on_a_part_of_the_samples_costs_these_samples_and_no_responses():
    tasks = {**SETTING.tasks, "sums": {"max_tokens": 4, "kind": "choice"}}
    setting = Setting(**{**vars(SETTING), "tasks": tasks})
    plain = cost(generation("model_swarms"), setting=setting)
    likely = cost(generation("model_swarms", objective="likelihood", samples=5), setting=setting)
    assert (plain.samples, likely.samples) == (10 * 20, 10 * 5)
    assert (plain.response_tokens, likely.response_tokens) == (10 * 20 * 4, 0)
    assert cost(generation("model_swarms", objective="likelihood", samples=5)).response_tokens == 10 * 5 * 4
    assert cost(generation("model_swarms", samples=99)).samples == 10 * 20
    assert cost(generation("model_swarms", samples=5, redraw=True)).samples == (10 + 10) * 5


def test_finalists_answer_all_samples():
    run = "sums+facts/genome/n10/seed1"
    assert cost(job("finalists", {"finalists": 5}, run=run)).samples == (5 + 1) * 2 * 20
    assert cost(job("finalists", {"finalists": 5, "calibrated": True}, run=run)).samples == (5 + 2) * 2 * 20


def test_cost_assumes_the_size_of_tests_that_take_the_rest():
    jobs = [job("answer_test", {"members": 0}, test_task=task, run="x") for task in ("sums", "all_left", "drawn")]
    result = forecast(jobs, SETTING, NOTHING)
    assert result.total.samples == 50 + REST + 280
    assert result.assumed == ["all_left"]


@pytest.mark.parametrize(("kept", "number"), [("all", 10 + 10 + 4 * 10), ("final", 10), ("none", 0)])
def test_cost_counts_kept_adapters_once(kept, number):
    setting = Setting(**{**vars(SETTING), "adapters": kept})
    assert cost(*(generation("model_swarms", i) for i in range(1, 6)), setting=setting).adapters == number


def test_disk_is_unknown_until_an_adapter_exists():
    jobs = [generation("model_swarms", 1)]
    assert forecast(jobs, SETTING, NOTHING).disk is None
    measured = Measured({}, {}, {"sums": 100.0}, 1000, None)
    # 10 x 20 responses, 20 individuals in a population file, 20 adapters
    assert forecast(jobs, SETTING, measured).disk == 20_000 + 30_000 + 20_000


def test_seconds_are_scoring_and_overhead_per_job():
    jobs = [job("score_experts", tasks="sums"), job("split", task="sums")]
    measured = Measured({}, {}, {}, None, Rate(100, 0.5, "measured"))
    assert forecast(jobs, SETTING, NOTHING).seconds is None
    assert forecast(jobs, SETTING, measured).seconds == 200 / 100 + 0.5


def test_forecast_counts_jobs_without_engine_by_stage():
    result = forecast([job("split", task="sums"), job("split", task="facts"), job("compare")], SETTING, NOTHING)
    assert (result.total.jobs, result.total.samples, result.others) == (3, 0, {"split": 2, "compare": 1})
