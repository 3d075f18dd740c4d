"""What evolution costs."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from genome.files import write_json
from genome.report.efficiency import Progress, curves, efficiency, markdown, read_progress, tokens_of
from genome.scoring.intervals import of_difference
from genome.scoring.statistics import Answered


def answers(test, n=100):
    """Return answers of which a share is right."""
    scores = np.array([1.0] * round(test * n) + [0.0] * (n - round(test * n)))
    return Answered("accuracy", tuple(range(n)), tuple(scores), (scores,))


def run(label, seed, fitness, test, samples=(100, 200, 300), tasks="sums"):
    return Progress(label, tasks, seed, samples, fitness, answers(test), f"results/runs/{tasks}/{label}/seed{seed}")


SLOW = [run("slow", 1, (0.2, 0.5, 0.8), 0.7), run("slow", 2, (0.2, 0.6, 0.6), 0.5)]
FAST = [run("fast", 1, (0.8, 0.8, 0.9), 0.8), run("fast", 2, (0.1, 0.7, 0.7), 0.6)]
NEVER = [run("never", 1, (0.1, 0.1, 0.1), 0.1), run("never", 2, (0.1, 0.1, 0.7), 0.1)]


def test_samples_to_reach_the_reference_are_medians_over_runs():
    table = efficiency(SLOW + FAST + NEVER, ["fast", "slow", "never"], "slow").set_index("method")
    # Seed 1: fast has 0.8 after 100 of slow's 300; seed 2: it passes slow's 0.6 after 200 of 300.
    assert table.loc["fast", "samples_to_reach"] == 150
    assert table.loc["fast", "relative"] == pytest.approx((1 / 3 + 2 / 3) / 2)
    assert table.loc["slow", "samples_to_reach"] == 250
    assert math.isnan(table.loc["never", "samples_to_reach"])
    assert table.loc["never", "reached"] == 50
    assert table.loc["fast", "test"] == pytest.approx(70)
    assert table.loc["fast", "difference"] == pytest.approx(10)
    found = of_difference([answers(0.8), answers(0.6)], [answers(0.7), answers(0.5)]).interval
    ends = [100 * found.low, 100 * found.high]
    assert table.loc["fast", ["difference_low", "difference_high"]].tolist() == pytest.approx(ends)
    assert table.loc["fast", ["like_low", "like_high"]].isna().all(), "tasks vary only if there are several"
    assert table.loc["slow", "difference"] == 0
    assert table.loc["never", "runs"] == "results/runs/sums/never/seed1 results/runs/sums/never/seed2"


def test_runs_are_compared_with_the_reference_on_the_same_task_and_seed():
    other = [run("slow", 1, (0.9, 0.9, 0.9), 0.9, tasks="facts"), run("fast", 1, (0.9, 0.9, 0.9), 0.3, tasks="facts")]
    table = efficiency(SLOW[:1] + FAST[:1] + other, ["fast"], "slow")
    assert table.loc[0, "difference"] == pytest.approx(100 * ((0.8 - 0.7) + (0.3 - 0.9)) / 2)
    assert table.loc[0, "difference_low"] < table.loc[0, "difference"] < table.loc[0, "difference_high"]


def test_tasks_like_these_are_drawn_with_all_their_seeds():
    """Golden: scipy's t interval of the tasks' differences; sixty pairs of runs are on four tasks only."""
    from scipy.stats import t

    gains = {"a": 0.3, "b": 0.01, "c": 0.2, "d": 0.05}
    runs = [
        run(label, seed, (0.5, 0.5, 0.5), 0.5 + (gain if label == "fast" else 0), tasks=task)
        for task, gain in gains.items()
        for seed in range(15)
        for label in ("fast", "slow")
    ]
    [row] = efficiency(runs, ["fast"], "slow").to_dict("records")
    values = [100 * gain for gain in gains.values()]
    theirs = t.interval(0.95, 3, np.mean(values), np.std(values, ddof=1) / 2)
    assert (row["like_low"], row["like_high"]) == pytest.approx(theirs)
    assert row["like_low"] < row["difference_low"] < row["difference_high"] < row["like_high"]


def test_curve_starts_with_the_last_run_and_keeps_final_values():
    early, late = run("m", 1, (0.5, 0.7), 0, samples=(10, 20)), run("m", 2, (0.1, 0.3), 0, samples=(20, 40))
    shown = curves([early, late], ["m"], points=3)
    assert shown["samples"].tolist() == [20, 30, 40]
    assert shown["high"].tolist() == pytest.approx([70, 70, 70])
    assert shown["low"].tolist() == pytest.approx([10, 10, 30])
    assert shown["median"].tolist() == pytest.approx([40, 40, 50])


def test_a_run_that_has_ended_spends_nothing_more_and_keeps_its_fitness():
    ended = run("ended", 1, (0.4, 0.6, 0.6, 0.6), 0.5, samples=(10, 30, 30, 30))
    assert (ended.at(30), ended.at(1000), ended.to_reach(0.6)) == (0.6, 0.6, 30)
    reference = run("whole", 1, (0.4, 0.5, 0.6, 0.7), 0.5, samples=(10, 30, 50, 70))
    [row] = efficiency([ended, reference], ["ended"], "whole").to_dict("records")
    assert (row["samples"], row["reached"]) == (30, 0)
    [row] = efficiency([ended, reference], ["whole"], "ended").to_dict("records")
    assert row["relative"] == 50 / 30, "of what the ended run has spent"
    assert curves([ended, reference], ["ended"], points=7)["samples"].tolist() == [10, 20, 30]


def test_a_method_of_one_stage_is_one_point():
    once = run("once", 1, (0.4,), 0.4, samples=(50,))
    assert curves([*SLOW, once], ["once"])["samples"].tolist() == [50]
    assert np.isnan(once.at(49))
    assert once.at(50) == 0.4


def test_generations_are_read_in_numerical_order():
    populations = [
        {"generation": 1, "samples": 30, "best": {"fitness": 0.6}},
        {"generation": 0, "samples": 10, "best": {"fitness": 0.5}},
    ]
    read = read_progress("m", "sums", 1, populations, answers(0.5), "folder")
    assert read.samples == (10, 30)
    assert read.fitness == (0.5, 0.6)


def test_markdown_leaves_unreached_costs_empty():
    text = markdown(efficiency(SLOW + FAST + NEVER, ["fast", "slow", "never"], "slow"), "slow")
    rows = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in text.splitlines()[2:5]
    }
    assert re.fullmatch(r"\+10\.00 \[\+\d\.\d\d, \+1\d\.\d\d\]", rows["fast"].pop(2))
    assert rows["fast"] == ["80.00", "70.00", "", "300", "0", "0", "150", "0.50", "2 of 2"]
    assert rows["slow"][2] == ""
    assert rows["never"][7:] == ["", "", "1 of 2"]


def test_tokens_are_summed_over_the_jobs_of_a_run_and_shown_as_medians(tmp_path):
    for name, tokens in (("a", (100, 5)), ("b", (20, 0))):
        record = {"machine": None, "prompt_tokens": tokens[0], "response_tokens": tokens[1]}
        write_json(tmp_path / f"{name}.json", record)
    found = tokens_of([str(tmp_path / "a.json"), str(tmp_path / "b.json")])
    assert found == {"prompt_tokens": 120, "response_tokens": 5}
    runs = [replace(SLOW[0], **found), replace(SLOW[1], prompt_tokens=1000, response_tokens=7)]
    table = efficiency(runs, ["slow"], "slow")
    assert (table.loc[0, "prompt_tokens"], table.loc[0, "response_tokens"]) == (560, 6)
    assert [cell.strip() for cell in markdown(table, "slow").splitlines()[2].split("|")[7:9]] == ["560", "6"]
