"""A forecast from the records of jobs, held against how long the same jobs take with another number side by side.

Jobs are simulated: each works, then waits for an engine, then ends. A step of the engine costs a constant and so much
for each response that it adds a token to. The built-in engine answers one request after another; others write the
responses to all jobs that wait in the same steps. Records are what the workflow would have written, so that nothing
here depends on how busy the machine is.
"""

import heapq
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from builders import ENGINE
from genome.engine.usage import AT_ONCE
from genome.files import write_json, write_text
from genome.forecast import Job, Setting, forecast, measure

PROMPT, STEP, WIDTH = 0.001, 0.03, 0.002
"""Seconds of a prompt token, and of a step: a constant, and for each response."""

LENGTHS = {"letters": (80, 2), "essays": (60, 256), "numbers": (120, 30)}
"""Prompt tokens of each task, and the most response tokens."""

EXPERTS = ["add", "sub"]


def setting_of(backend, samples):
    return Setting(
        base="micro",
        experts=EXPERTS,
        generations=3,
        adapters="none",
        splits={"validation": samples, "test": 50},
        tasks={task: {"max_tokens": longest} for task, (_, longest) in LENGTHS.items()},
        engine={"backend": backend},
    )


def responses(task, samples):
    """Return the lengths of each expert's responses, many of which reach the limit."""
    rng, longest = np.random.default_rng(0), LENGTHS[task][1]
    return [np.minimum(rng.integers(longest // 2, 2 * longest, size=samples), longest) for _ in EXPERTS]


@cache
def seconds_of(task, samples):
    """Return how long the built-in engine works for a job; rows that have ended leave a batch once they are half."""
    total = len(EXPERTS) * samples * LENGTHS[task][0] * PROMPT
    for lengths in responses(task, samples):
        rows = samples
        for step in range(max(lengths)):
            running = np.sum(lengths > step)
            rows = running if 2 * running <= rows else rows
            total += STEP + WIDTH * rows
    return total


def one_after_another(tasks, samples, cores, own, seed=0):
    """Return begin, first request and end of each job, and the time of all."""
    noise = np.random.default_rng(seed).uniform(0.7, 1.3, size=(len(tasks), 2))
    free, engine, times = [0.0] * cores, 0.0, []
    for task, (slow, busy) in zip(tasks, noise, strict=True):
        begin = heapq.heappop(free)
        asked = begin + own * slow
        engine = max(asked, engine) + seconds_of(task, samples) * busy
        times.append((begin, asked, engine))
        heapq.heappush(free, engine)
    return times, engine


def together(tasks, samples, cores, own, seed=0):
    """Return the same of an engine that answers all jobs side by side, at most AT_ONCE responses at a time."""
    rng = np.random.default_rng(seed)
    waiting = [(number, rng.uniform(0.7, 1.3) * own) for number in range(len(tasks))]
    now, times = 0.0, [(0.0, 0.0, 0.0)] * len(tasks)
    working, left = {}, {}  # the time at which a job will ask, and the rest of a job's responses
    while waiting or working or left:
        while waiting and len(working) + len(left) < cores:
            number, pause = waiting.pop(0)
            working[number] = now + pause
            times[number] = (now, now + pause, 0.0)
        for number in [number for number, begin in working.items() if begin <= now]:
            del working[number]
            left[number] = np.concatenate(responses(tasks[number], samples))
            now += PROMPT * LENGTHS[tasks[number]][0] * left[number].size
        if not left:
            now = min(working.values())
            continue
        room = AT_ONCE
        for rest in left.values():
            running = np.flatnonzero(rest)[:room]
            rest[running] -= 1
            room -= running.size
        now += STEP + WIDTH * (AT_ONCE - room)
        for number in [number for number, rest in left.items() if not rest.any()]:
            del left[number]
            times[number] = (*times[number][:2], now)
    return times, now


RUNS = {"transformers": one_after_another, "vllm": together}


def recorded(folder, setting, tasks, samples, times, day=0):
    """Write what jobs leave behind, of one day after the other."""
    times = np.asarray(times) + day * 86_400
    for number, (task, (begin, asked, end)) in enumerate(zip(tasks, times, strict=True)):
        place = folder / f"results/benchmarks/runs/{task}{number}-{samples}/experts"
        lengths = responses(task, samples)
        written, all_samples = int(np.sum(lengths)), len(EXPERTS) * samples
        longest = [int(max(each)) for each in lengths]
        alone = setting.engine["backend"] == "transformers"
        record = {"machine": "laptop", "seconds": end - begin, "base": "micro", "engine": ENGINE, "tasks": [task]}
        usage = {"samples": all_samples, "prompt_tokens": all_samples * LENGTHS[task][0], "response_tokens": written}
        usage |= {"batches": len(EXPERTS) if alone else 1}
        usage |= {"steps": sum(longest) if alone else max(*longest, -(-written // AT_ONCE))}
        settings = {"engine_settings": dict(setting.engine), "connecting_seconds": 0}
        write_json(place.with_suffix(".json"), {**record, **usage, **settings, "asked": [[asked, end]]})
        write_text(place.with_suffix(".tsv"), f"s\th:m:s\n{end - begin}\t-\n")


def scoring(tasks):
    return [Job("score_experts", {"tasks": task}, benchmark="results/benchmarks/runs/*/experts.tsv") for task in tasks]


@pytest.mark.parametrize("backend", RUNS)
@pytest.mark.parametrize("samples", [4, 100], ids="{} samples".format)
@pytest.mark.parametrize("kinds", [["letters"], ["essays"], ["letters", "essays", "numbers"]], ids="+".join)
@pytest.mark.parametrize("share", [0.02, 0.5, 2.0], ids="own time {}".format)
@pytest.mark.parametrize(("before", "now"), [(1, 1), (1, 2), (2, 1), (2, 2)], ids=str)
def test_a_forecast_is_within_a_factor_of_1_3(tmp_path, backend, samples, kinds, share, before, now):
    tasks, setting = kinds * 12, setting_of(backend, samples)
    own = share * np.mean([seconds_of(task, samples) for task in kinds])
    recorded(tmp_path, setting, tasks, samples, RUNS[backend](tasks, samples, before, own)[0])
    jobs = scoring(tasks)
    result = forecast(jobs, setting, measure(jobs, setting, tmp_path), now)
    assert not result.total.untimed
    assert 1 / 1.3 < result.seconds / RUNS[backend](tasks, samples, now, own, seed=1)[1] < 1.3


@pytest.mark.parametrize("backend", RUNS)
@pytest.mark.parametrize("samples", [4, 30, 100])
@pytest.mark.parametrize("now", [1, 2, 4])
def test_few_and_many_responses_at_a_time_forecast_any_number(tmp_path, backend, samples, now):
    for day, before in enumerate((4, 100)):
        tasks = [*LENGTHS] * 12
        times, _ = RUNS[backend](tasks, before, 1, 1.0)
        recorded(tmp_path, setting_of(backend, before), tasks, before, times, day)
    tasks, setting = ["essays"] * 12, setting_of(backend, samples)
    jobs = [replace(job, benchmark="") for job in scoring(tasks)]
    seconds = forecast(jobs, setting, measure(jobs, setting, tmp_path), now).seconds
    assert 1 / 1.3 < seconds / RUNS[backend](tasks, samples, now, 0.0, seed=1)[1] < 1.3


@pytest.mark.parametrize("task", LENGTHS)
@pytest.mark.parametrize("before", [1, 2, 3])
def test_a_run_on_several_tasks_forecasts_each_of_them(tmp_path, task, before):
    tasks, setting = [*LENGTHS] * 12, setting_of("transformers", 50)
    recorded(tmp_path, setting, tasks, 50, one_after_another(tasks, 50, before, 1.0)[0])
    jobs = [Job("score_experts", {"tasks": task})]
    seconds = forecast(jobs, setting, measure(jobs, setting, tmp_path)).seconds
    assert 1 / 1.3 < seconds / seconds_of(task, 50) < 1.3


def test_letters_say_nothing_of_essays_and_many_at_a_time_nothing_of_few(tmp_path):
    setting = setting_of("transformers", 50)
    recorded(tmp_path, setting, ["letters"] * 5, 50, one_after_another(["letters"] * 5, 50, 2, 1.0)[0])
    jobs = scoring(["letters", "essays"])
    assert forecast(jobs, setting, measure(jobs, setting, tmp_path)).total.untimed == {"essays"}
    few = setting_of("transformers", 10)
    assert forecast(jobs[:1], few, measure(jobs[:1], few, tmp_path)).total.untimed == {"letters"}
