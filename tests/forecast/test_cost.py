"""Costs of jobs, by the rows of the methods."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from builders import BASELINES, GENERATIONS, SIZED, initial_population, next_generation
from genome.forecast.cost import REST, STAGES, forecast, tokens_of_validation_lora, trained
from genome.forecast.rates import Rate
from genome.forecast.values import Cost, Job, Measured, Setting
from genome.search.driver import NEEDS, Scoreboard, drive, score_all, score_experts
from genome.search.methods import METHODS, read_method
from genome.search.operators import initialise
from genome.search.population import Fitness

PROJECT = Path(__file__).parent.parent.parent
NOTHING = Measured()
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
    inheriting = re.findall(r"^use rule \w+ as (\w+) with:", text, re.MULTILINE)
    blocks = re.sub(r"^use rule \w+ as (\w+) with:", r"rule \1:", text, flags=re.MULTILINE).split("\nrule ")[1:]
    asking = {block.split(maxsplit=1)[0].rstrip(":") for block in blocks if "localrule: not plan.per_job" in block}
    assert asking <= {*STAGES} <= asking | {*inheriting}


@pytest.mark.parametrize("method", SIZED)
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
    schemes = ("populated", "populated-factors", "populated-product", "populated-s20")
    assert [initial(scheme, 15) for scheme in schemes] == [5, 5, 15, 15]


def test_run_on_a_part_of_a_task_is_asked_for_its_samples():
    setting = replace(SETTING, tasks={**SETTING.tasks, "sums@50": SETTING.tasks["sums"]})
    assert cost(job("score_experts", tasks="sums@50+facts"), setting=setting).samples == 10 * (50 + 20)


def test_part_of_a_task_has_the_prompts_and_responses_of_the_whole_task():
    setting = replace(SETTING, tasks={"sums@50": SETTING.tasks["sums"]})
    scored = job("score_experts", tasks="sums@50")
    assert cost(scored, setting=setting).unmeasured == {"sums"}
    known = Measured(prompt_tokens={"sums": 30.0}, response_tokens={"sums": 2.0})
    found = cost(scored, measured=known, setting=setting)
    assert (found.prompt_tokens, found.response_tokens) == (10 * 50 * 30, 10 * 50 * 2)
    assert not found.unmeasured
    assert not found.bounded
    own = replace(known, prompt_tokens={"sums": 30.0, "sums@50": 40.0})
    assert cost(scored, measured=own, setting=setting).prompt_tokens == 10 * 50 * 40


def test_cost_adds_samples_and_tokens_of_all_tasks():
    scored = cost(job("score_experts", tasks="sums+facts"))
    assert (scored.evaluations, scored.samples) == (10, 400)
    assert scored.response_tokens == 200 * 4 + 200 * 512
    assert scored.unmeasured == {"sums", "facts"}


def test_cost_prefers_measured_numbers_to_the_config():
    measured = Measured({"sums": {"validation": 7, "test": 9}}, {"sums": 12.5}, {"sums": 2.5}, {"sums": 100.0})
    scored = cost(job("score_experts", tasks="sums"), measured=measured)
    assert (scored.samples, scored.prompt_tokens, scored.response_tokens) == (70, 875, 175)
    assert not scored.unmeasured | scored.bounded
    answered = cost(job("answer_test", {"members": 3}, test_task="sums", run="x"), measured=measured)
    assert (answered.evaluations, answered.samples, answered.file_bytes) == (0, 36, 3600)


def test_the_best_of_an_ensemble_is_usually_a_member_and_asked_once():
    measured = Measured(prompt_tokens={"sums": 10.0})
    answered = cost(job("answer_test", {"members": 3}, test_task="sums", run="x"), measured=measured)
    assert (answered.samples, answered.prompt_tokens) == (4 * 50, 3 * 50 * 10)


def test_responses_are_never_longer_than_the_task_allows():
    measured = Measured(response_tokens={"sums": 300.0})
    assert cost(job("score_experts", tasks="sums"), measured=measured).response_tokens == 200 * 4


def test_a_task_whose_answers_are_compared_has_no_response_tokens():
    setting = replace(SETTING, tasks={"sums": {"answer_by": "likelihood"}})
    scored = cost(job("score_experts", tasks="sums"), setting=setting)
    assert (scored.samples, scored.response_tokens, scored.bounded) == (200, 0, frozenset())


def test_pack_of_llms_reads_prompts_with_all_experts_and_answers_with_one():
    settings = {"method": "pack_of_llms_merge", **METHOD_SETTINGS["pack_of_llms_merge"]}
    pack = cost(job("baseline", settings, tasks="sums", variant="pack_of_llms_merge"))
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
    def samples(measure, result="best_of", **changes):
        settings = {"finalists": 5, "measure": measure, "result": result, **changes}
        return cost(job("finalists", settings, run="sums+facts/genome/n10/seed1")).samples

    assert samples({"samples": 5}) == (5 + 1) * 2 * 20
    assert samples({"objective": "likelihood"}, calibrated=True) == (5 + 2) * 2 * 20
    assert samples({"samples": 5}, "search") == 5 * 2 * 20
    assert samples({}) == 2 * 20, "the base only"


def test_a_search_with_a_validation_lora_looks_at_the_samples_that_it_has_not_seen():
    one_more, other = len(SETTING.experts) + 1, {"experts": "with_validation_lora"}
    parts = {"tasks": "sums", "set": "with_validation_lora", "seed": "1"}
    assert cost(job("score_set", other, **parts)).samples == one_more * 20 / 5
    assert cost(job("score_set", {"experts": "random"}, **parts)).samples == len(SETTING.experts) * 20
    assert cost(generation("model_swarms", **other)).samples == 10 * 20 / 5
    initial = {"tasks": "sums", "scheme": "experts-with_validation_lora", "n": str(one_more + 2), "seed": "1"}
    assert cost(job("initial_population", other, **initial)).samples == 2 * 20 / 5


def test_cost_assumes_the_size_of_tests_that_take_the_rest():
    jobs = [job("answer_test", {"members": 0}, test_task=task, run="x") for task in ("sums", "all_left", "drawn")]
    result = forecast(jobs, SETTING, NOTHING)
    assert result.total.samples == 50 + REST + 280
    assert result.assumed == ["all_left"]


@pytest.mark.parametrize(("kept", "number"), [("all", 10 + 10 + 4 * 10), ("final", 10), ("none", 0)])
def test_cost_counts_kept_adapters_once(kept, number):
    setting = replace(SETTING, adapters=kept)
    assert cost(*(generation("model_swarms", i) for i in range(1, 6)), setting=setting).adapters.total() == number


def test_disk_is_unknown_until_an_adapter_exists():
    jobs = [generation("model_swarms", 1)]
    assert forecast(jobs, SETTING, NOTHING).disk is None
    measured = Measured(row_bytes={"sums": 100.0}, adapter_bytes={"": 1000})
    # 10 x 20 responses, 20 individuals in a population file, 20 adapters
    assert forecast(jobs, SETTING, measured).disk == 20_000 + 30_000 + 20_000


def test_adapters_have_the_size_of_their_space():
    jobs = [replace(generation("model_swarms", 2), space=space) for space in ("", "product")]
    measured = Measured(row_bytes={"sums": 0.0}, adapter_bytes={"": 1000, "product": 10_000})
    assert forecast(jobs, SETTING, measured).disk == 2 * 30_000 + 10 * 1000 + 10 * 10_000


def timed(shortest=1.0, longest=4.0, **own):
    """Return what is measured where a prompt token takes 1 ms and a response token 10 ms."""
    rate = Rate(0.001, 0.01, 0, "measured", shortest, longest)
    return Measured(prompt_tokens={"sums": 10.0}, response_tokens={"sums": 2.0}, rate=rate, **own)


def test_seconds_are_those_of_tokens_and_of_the_jobs_themselves():
    jobs = [job("score_experts", tasks="sums"), job("split", task="sums")]
    assert forecast(jobs, SETTING, NOTHING).seconds is None
    measured = timed(own_seconds={"score_experts": 0.5, "split": 3.0}, start_seconds=4)
    # 200 samples of 10 and 2 tokens
    assert forecast(jobs, SETTING, measured).seconds == pytest.approx(4 + 3 + 0.5 + 200 * (0.01 + 0.02))


@pytest.mark.parametrize(
    ("engine", "steps"),
    [
        ({}, 10 * 3),
        ({"batch_size": 8}, 10 * 3 * 3),
        ({"batch_tokens": 70}, 10 * 4 * 3),  # five rows of 10 + 4 tokens
        ({"batch_tokens": 5, "batch_size": 8}, 10 * 3 * 7 * 3),
        ({"backend": "vllm", "batch_size": 8}, 3),
    ],
    ids=str,
)
def test_steps_are_those_of_the_longest_response_of_each_batch(engine, steps):
    measured = replace(timed(longest_tokens={"sums": 3.0}), rate=Rate(0, 0, 1, "measured", 1, 4))
    setting = replace(SETTING, engine=engine)
    assert forecast([job("score_experts", tasks="sums")], setting, measured).seconds == steps


def test_steps_of_a_part_of_the_samples_are_as_many_for_fewer_responses():
    measured = replace(timed(longest_tokens={"sums": 3.0}), rate=Rate(0, 0, 1, "measured", 1, 4, narrowest=6))
    assert forecast([generation("model_swarms")], SETTING, measured).seconds == 10 * 3
    assert forecast([generation("model_swarms", samples=5)], SETTING, measured).seconds == 10 * 3
    assert forecast([generation("model_swarms", samples=4)], SETTING, measured).total.untimed == {"sums"}


def test_an_engine_that_answers_together_shares_its_steps_among_jobs():
    jobs, measured = [job("score_experts", tasks="sums") for _ in range(4)], timed(longest_tokens={"sums": 100.0})
    rate = Rate(0, 0, 1, "measured", 1, 4)
    alone, shared = (replace(SETTING, engine={"backend": backend}) for backend in ("transformers", "vllm"))
    for setting, faster in ((alone, 1), (shared, 2)):
        one, two = (forecast(jobs, setting, replace(measured, rate=rate), cores).seconds for cores in (1, 2))
        assert one / two == pytest.approx(faster, rel=0.2)


def test_seconds_are_unknown_for_answers_of_another_length():
    jobs = [job("score_experts", tasks="sums")]
    assert not forecast(jobs, SETTING, timed()).total.untimed
    for other in (timed(shortest=4.5, longest=100), timed(shortest=0.1, longest=0.9)):
        assert forecast(jobs, SETTING, other).total.untimed == {"sums"}
    assert forecast(jobs, SETTING, timed()).total.engine_seconds > 0


def test_seconds_are_unknown_until_prompts_are_prepared():
    measured = replace(timed(), prompt_tokens={})
    assert forecast([job("score_experts", tasks="sums")], SETTING, measured).total.untimed == {"sums"}


def test_the_command_measures_what_is_unknown_with_the_same_config():
    setting = replace(SETTING, configfiles=["mine.yaml"])
    jobs = [job("score_experts", tasks="sums"), job("score_experts", tasks="facts")]
    measure = "measure it in a minute: snakemake --cores 1 results/benchmarks/rates"
    assert [forecast(jobs[:number], setting, NOTHING).remedy for number in (1, 2)] == [
        f"{measure}/sums.json --configfile mine.yaml",
        f"{measure}/{{facts,sums}}.json --configfile mine.yaml",
    ]


def test_with_a_given_rate_only_prompts_are_needed():
    measured = Measured(rate=Rate(0.001, 0.01, 0, "as given"))
    remedy = forecast([job("score_experts", tasks="sums")], SETTING, measured).remedy
    assert remedy == "prepare its prompts: snakemake --cores 1 results/prompts/micro/sums/validation.jsonl"


def test_generations_of_one_run_wait_for_each_other():
    jobs = [generation("model_swarms", number) for number in range(1, 6)]
    measured = timed(own_seconds={"generation": 2.0})
    one, four = (forecast(jobs, SETTING, measured, cores).seconds for cores in (1, 4))
    assert one == four
    others = [replace(each, parts={**each.parts, "seed": "2"}) for each in jobs]
    one, four = (forecast([*jobs, *others], SETTING, measured, cores).seconds for cores in (1, 4))
    assert four < 0.8 * one


def test_engines_of_separate_jobs_answer_side_by_side():
    jobs = [job("score_experts", tasks="sums") for _ in range(4)]
    setting = replace(SETTING, engine={"per_job": True})
    measured = timed(start_seconds=10)
    alone, beside = (forecast(jobs, setting, measured, cores).seconds for cores in (1, 4))
    assert beside == pytest.approx(alone / 4)
    assert alone == pytest.approx(4 * (10 + 6))


def test_training_is_timed_by_what_is_trained():
    add, sub = (job("train_adapter", adapter=name) for name in ("add", "sub"))
    lora = job("validation_lora", tasks="sums@20", variant="validation_lora", seed="1")
    seconds = {trained(add): 60.0, trained(lora): 7.0}
    measured = Measured(own_seconds={"train_adapter": 5.0, "validation_lora": 9.0}, training_seconds=seconds)
    setting = replace(SETTING, configfiles=["mine.yaml"])
    result = forecast([lora, add, sub], setting, measured)
    assert (result.seconds, result.untimed) == (60 + 5 + 7, {"train_adapter": 1})
    assert result.training == "snakemake --cores 1 resources/experts/sub.safetensors --configfile mine.yaml"
    assert forecast([lora], SETTING, measured).training == ""
    [only] = [forecast([lora], SETTING, NOTHING).training]
    assert only == "snakemake --cores 1 results/runs/sums@20/validation_lora/seed1/expert.safetensors"
    assert forecast([lora], SETTING, replace(measured, training_seconds={})).seconds == 9


def test_tokens_of_a_validation_lora_are_those_of_both_trainings_and_of_the_held_out_samples():
    search = {"method": "validation_lora", **METHOD_SETTINGS["validation_lora"], "epochs": [1, 3], "held_out": 0.25}
    lora = job("validation_lora", {"search": search}, tasks="sums@8", variant="validation_lora", seed="1")
    measured = Measured(prompt_tokens={"sums": 10.0})
    # 6 samples for 3 epochs, 2 samples twice, and 8 samples for 2 epochs, the mean of 1 and 3
    assert tokens_of_validation_lora(lora, SETTING, measured) == 10 * (6 * 3 + 2 * 2 + 8 * 2)
    assert tokens_of_validation_lora(lora, SETTING, NOTHING) is None


@pytest.mark.parametrize("changes", [{}, {"redraw": True}, {"scales": [0, 0.5, 20]}], ids=str)
@pytest.mark.parametrize("experts", [2, 5])
def test_cost_of_gauss_newton_is_what_its_generations_ask_for(changes, experts, make_experts):
    """The losses are such that each generation proposes steps that have not been tried."""
    own, settings = make_experts(experts), {"method": "gauss_newton", **METHOD_SETTINGS["gauss_newton"], **changes}
    setting, target = replace(SETTING, experts=[each.name for each in own]), np.linspace(-0.3, 0.9, experts)
    slopes = 1 + np.random.default_rng(0).random((20, experts))
    counted: list[int] = []

    def evaluate(individuals):
        counted.append(len(individuals))
        places = [np.array(each.genotype.coefficients) - target for each in individuals]
        losses = [2 + (slopes @ place) ** 2 / 2 + 0.1 * place[0] ** 3 for place in places]
        return [Fitness(float(np.exp(-each.mean())), {}, tuple(map(float, each))) for each in losses]

    _, chosen = read_method(settings)
    scored = score_experts(own, evaluate)
    counted.clear()
    population = initial_population(own, scored, settings, 10, 1, evaluate)
    scheme = job(
        "initial_population", tasks="sums", scheme="uniform-product-likelihood-calibrated-s20", n="10", seed="1"
    )
    assert sum(counted) == cost(scheme, setting=setting).evaluations == 1
    for number in (1, 2):
        counted.clear()
        population = next_generation(population, settings, 1, own, evaluate)
        planned = cost(generation("gauss_newton", number, **changes), setting=setting).evaluations
        # Of those that are scored again, the worst ever may be the mean.
        assert 0 <= planned - sum(counted) <= (number == 2 and "redraw" in changes)
        if "redraw" not in changes:
            assert METHODS["gauss_newton"].most(chosen, 10, experts, 1, number) == planned


def test_forecast_counts_jobs_without_engine_by_stage():
    result = forecast([job("split", task="sums"), job("split", task="facts"), job("compare")], SETTING, NOTHING)
    assert (result.total.jobs, result.total.samples, result.others) == (3, 0, {"split": 2, "compare": 1})
    assert result.untimed == result.others


def test_samples_of_a_plan_are_the_smaller_of_those_of_the_budget_and_of_the_generations():
    """Model Swarms scores ten particles on 20 samples in each of five generations, after the ten experts."""

    def samples(budget, **changes):
        jobs = [generation("model_swarms", number, budget=budget, **changes) for number in range(1, 6)]
        return cost(*jobs).samples

    assert samples(None) == samples("9 k samples") == 5 * 200
    assert samples("900 samples") == 900 - 200
    assert samples("100 samples") == 0
    assert samples("900 samples", reserved=2) == 900 - 200 - 2 * 20
    assert samples("900 samples", initialisation="pairs", reserved=2) == 900 - 200 - 2 * 20 - 200
    assert cost(generation("model_swarms", 4, budget="900 samples")).evaluations == 5
    assert cost(generation("model_swarms", 5, budget="900 samples")).jobs == 1


def test_a_budget_in_tokens_limits_a_plan_once_the_length_of_prompts_is_known():
    """A sample has ten tokens and an answer of two."""
    jobs = [generation("model_swarms", number, budget="12 k tokens") for number in range(1, 6)]
    assert cost(*jobs).samples == 5 * 200
    assert cost(*jobs, measured=timed()).samples == pytest.approx(1000 - 200)
