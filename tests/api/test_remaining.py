"""The time that is left, from the records of simulated jobs: against how long they then take, and nothing too early."""

import json
from dataclasses import dataclass

import pytest

from builders import ENGINE
from genome.api.remaining import EVERY, PLANNED, Remaining
from genome.files import write_json, write_text
from genome.forecast import Job, Setting
from genome.workflow import settings
from genome.workflow.names import RunName
from genome.workflow.plan import canonical
from plan.plans import plan_of

RUN = "sums/cma_es/n10/seed1"
SAMPLE, OWN, START, TRAINING = 0.02, 1.0, 60.0, 300.0
"""Seconds of a sample, of a job without its samples, of the engine's start, and of the training."""

EXPERTS, VALIDATION, TEST, POPULATION = ["add", "sub"], 100, 50, 10


@dataclass(frozen=True)
class Simulated:
    """A job, where its record is, how many samples it asks the engine for, and how long it takes otherwise."""

    job: Job
    place: str
    samples: int = 0
    other: float = 0.0


def simulated(stage, place, samples=0, other=0.0, text="{}", **parts):
    matching = "/".join(f"{part.rstrip('0123456789')}*" for part in place.split("/"))
    return Simulated(Job(stage, parts, text, benchmark=f"results/benchmarks/{matching}.tsv"), place, samples, other)


def jobs_of_a_run():
    """Return the jobs of a search of five generations, one after the other, with a training between the first two."""
    run, plan = RunName(("sums",), "cma_es", 10, 1), plan_of(generations=5)
    parts = {"tasks": "sums", "variant": "cma_es", "n": "10", "seed": "1"}
    whole = VALIDATION * POPULATION
    generations = [
        simulated(
            "generation",
            f"runs/{RUN}/generation_{number}",
            whole,
            text=settings.generation_text(plan, run, number),
            **parts,
        )
        for number in plan.generations
    ]
    test = {"test_task": "sums", "run": RUN}
    return [
        simulated("split", "splits/sums", task="sums"),
        simulated("score_experts", "runs/sums/experts", VALIDATION * len(EXPERTS), tasks="sums"),
        simulated(
            "initial_population", "runs/sums/initial", whole, **{**parts, "scheme": "pairs"}, text='{"samples": null}'
        ),
        generations[0],
        simulated(
            "validation_lora",
            "runs/sums/validation_lora/seed1",
            other=TRAINING,
            text=canonical(settings.of_validation_lora(plan, ("sums",), "validation_lora")),
            **{**parts, "variant": "validation_lora"},
        ),
        *generations[1:],
        simulated("answer_test", "test/sums/responses", TEST, text='{"members": 0, "max_tokens": 3}', **test),
        simulated("score_test", "test/sums/scores", **test),
        simulated("export_adapter", "export/sums", run=RUN),
    ]


@pytest.fixture
def planned(tmp_path):
    """Jobs of a run, which are written down as Snakemake hands them over."""
    jobs = jobs_of_a_run()
    splits = {"validation": VALIDATION, "test": TEST}
    setting = Setting("micro", EXPERTS, 5, "none", splits, {"sums": {"max_tokens": 3}}, {"backend": "transformers"})
    text = json.dumps({"jobs": [vars(each.job) for each in jobs], "setting": vars(setting)})
    write_text(tmp_path / PLANNED, text)
    return jobs


def finish(folder, each, now):
    """Write what a job leaves that begins at a time, and return when it ends."""
    starting = START if each.job.stage == "score_experts" else 0.0
    end = now + starting + OWN + each.samples * SAMPLE + each.other
    place = folder / "results/benchmarks" / each.place
    write_text(place.with_suffix(".tsv"), f"s\th:m:s\n{end - now}\t-\n")
    if each.samples or each.other:
        used = {"machine": "laptop", "base": "micro", "engine": ENGINE, "engine_settings": {"backend": "transformers"}}
        counts = {"samples": each.samples, "prompt_tokens": 40 * each.samples, "response_tokens": 3 * each.samples}
        batches = {"batches": each.samples // 50, "steps": 3 * each.samples // 50, "connecting_seconds": starting}
        asked = {"tasks": ["sums"], "asked": [[now + starting + OWN, end]] if each.samples else []}
        write_json(place.with_suffix(".json"), {**used, **counts, **batches, **asked, "seconds": end - now})
    return end


def followed(folder, jobs):
    """Return what is said after each job of a run, and how long it then takes."""
    remaining, finished, now, said = Remaining(folder, 1), {}, 1000.0, []
    for each in jobs:
        now = finish(folder, each, now)
        finished[each.job.stage] = finished.get(each.job.stage, 0) + 1
        said.append((each.job.stage, now, remaining.at(now, finished)))
    return [(stage, now - time, left) for stage, time, left in said]


def test_nothing_is_said_before_the_engine_has_answered(planned, tmp_path):
    said = followed(tmp_path, planned[:2])
    assert [left is None for _, _, left in said] == [True, False]
    assert Remaining(tmp_path, 1).at(0.0, {}) is None


def test_what_is_said_is_what_it_takes(planned, tmp_path):
    known = {stage: (truth, left) for stage, truth, left in followed(tmp_path, planned) if left and left.whole}
    assert {*known} == {"validation_lora", "generation", "answer_test", "score_test"}
    for truth, left in known.values():
        assert left.seconds == pytest.approx(truth, rel=0.1)


def test_a_training_of_which_nothing_is_known_is_left_out(planned, tmp_path):
    said = followed(tmp_path, planned)
    for stage, truth, left in said[1:4]:
        assert not left.whole, stage
        assert left.seconds == pytest.approx(truth - TRAINING, rel=0.1)


def test_it_is_counted_down_and_then_nothing_is_known(planned, tmp_path):
    for each in planned[:6]:
        finish(tmp_path, each, 1000.0)
    remaining, finished = Remaining(tmp_path, 1), {"score_experts": 1}
    first = remaining.at(0.0, finished).seconds
    assert remaining.at(10.0, finished).seconds == pytest.approx(first - 10)
    assert remaining.at(first + 1, finished) is None
    later = remaining.at(first + 2, {"score_experts": 1, "generation": 2}).seconds
    assert 0 < later < first


def test_forecasts_are_not_made_more_often_than_that(planned, tmp_path, monkeypatch):
    made = []

    def read(file):
        made.append(file)
        raise OSError

    monkeypatch.setattr("genome.api.remaining.read_handed_over", read)
    remaining = Remaining(tmp_path, 1)
    for second, number in ((0.0, 1), (0.4 * EVERY, 2), (1.2 * EVERY, 3), (1.4 * EVERY, 3), (9.0 * EVERY, 3)):
        remaining.at(second, {"generation": number})
    assert len(made) == 2


def test_records_that_cannot_be_read_are_left_to_the_job_that_reads_them(planned, tmp_path):
    (tmp_path / PLANNED).unlink()
    assert Remaining(tmp_path, 1).at(0.0, {"generation": 1}) is None
