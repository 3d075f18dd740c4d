"""A forecast from the records of jobs, held against how long the same jobs take with another number side by side.

Jobs are simulated: each works, then waits for an engine that answers one job after another, then ends. Their records
are what the workflow would have written, so that nothing here depends on how busy the machine is.
"""

import heapq

import numpy as np
import pytest

from builders import ENGINE
from genome.files import write_json, write_text
from genome.forecast import Job, Setting, forecast, measure

PROMPT, RESPONSE, SAMPLES = 0.001, 0.02, 100
LENGTHS = {"letters": (80, 2), "essays": (60, 256), "numbers": (120, 30)}
"""Prompt and response tokens of each task."""

SETTING = Setting(
    base="micro",
    experts=["add", "sub"],
    generations=3,
    adapters="none",
    splits={"validation": SAMPLES // 2, "test": 50},
    tasks={"letters": {"max_tokens": 4}, "essays": {"max_tokens": 512}, "numbers": {"max_tokens": 64}},
    engine={"backend": "transformers"},
)


def seconds_of(task):
    prompt, response = LENGTHS[task]
    return SAMPLES * (prompt * PROMPT + response * RESPONSE)


def run(tasks, cores, own, seed=0):
    """Return begin, first request and end of each job, and the time of all."""
    noise = np.random.default_rng(seed).uniform(0.7, 1.3, size=(len(tasks), 2))
    free, engine, times = [0.0] * cores, 0.0, []
    for task, (slow, busy) in zip(tasks, noise, strict=True):
        begin = heapq.heappop(free)
        asked = begin + own * slow
        engine = max(asked, engine) + seconds_of(task) * busy
        times.append((begin, asked, engine))
        heapq.heappush(free, engine)
    return times, engine


def recorded(folder, tasks, times):
    """Write what jobs leave behind."""
    for number, (task, (begin, asked, end)) in enumerate(zip(tasks, times, strict=True)):
        place = folder / f"results/benchmarks/runs/{task}{number}/experts"
        prompt, response = LENGTHS[task]
        usage = {"samples": SAMPLES, "prompt_tokens": SAMPLES * prompt, "response_tokens": SAMPLES * response}
        record = {"machine": "laptop", "seconds": end - begin, "base": "micro", "engine": ENGINE, "tasks": [task]}
        settings = {"engine_settings": dict(SETTING.engine), "connecting_seconds": 0}
        write_json(place.with_suffix(".json"), {**record, **usage, **settings, "asked": [[asked, end]]})
        write_text(place.with_suffix(".tsv"), f"s\th:m:s\n{end - begin}\t-\n")


@pytest.mark.parametrize("kinds", [["letters"], ["essays"], ["letters", "essays", "numbers"]], ids="+".join)
@pytest.mark.parametrize("share", [0.02, 0.5, 2.0], ids="own time {}".format)
@pytest.mark.parametrize(("before", "now"), [(1, 1), (1, 2), (2, 1), (2, 2), (2, 4)], ids=str)
def test_a_forecast_is_within_a_factor_of_1_3(tmp_path, kinds, share, before, now):
    tasks = kinds * 12
    own = share * np.mean([seconds_of(task) for task in kinds])
    recorded(tmp_path, tasks, run(tasks, before, own)[0])
    jobs = [Job("score_experts", {"tasks": task}, benchmark="results/benchmarks/runs/*/experts.tsv") for task in tasks]
    result = forecast(jobs, SETTING, measure(jobs, SETTING, tmp_path), now)
    assert not result.total.untimed
    assert 1 / 1.3 < result.seconds / run(tasks, now, own, seed=1)[1] < 1.3


@pytest.mark.parametrize("task", LENGTHS)
@pytest.mark.parametrize("before", [1, 2, 3])
def test_a_run_on_several_tasks_forecasts_each_of_them(tmp_path, task, before):
    tasks = [*LENGTHS] * 12
    recorded(tmp_path, tasks, run(tasks, before, 1.0)[0])
    jobs = [Job("score_experts", {"tasks": task})]
    seconds = forecast(jobs, SETTING, measure(jobs, SETTING, tmp_path)).seconds
    assert 1 / 1.3 < seconds / seconds_of(task) < 1.3


def test_letters_say_nothing_of_essays(tmp_path):
    recorded(tmp_path, ["letters"] * 5, run(["letters"] * 5, 2, 1.0)[0])
    jobs = [Job("score_experts", {"tasks": task}) for task in ("letters", "essays")]
    assert forecast(jobs, SETTING, measure(jobs, SETTING, tmp_path)).total.untimed == {"essays"}
