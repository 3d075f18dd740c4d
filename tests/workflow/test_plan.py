"""`genome plan` before a run, held against what the run then does; what a run says at its start."""

import re
import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest

from genome.files import read_jsonl
from genome.forecast import forecast, measure
from genome.forecast.dry_run import read_plan
from genome.forecast.records import shares
from genome.scoring.usage import read_usage
from workflow.conftest import SMALL, new_project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


def plan(project, *arguments, config="small.yaml"):
    command = [sys.executable, "-c", "from genome.cli import app; app()", "plan", "--configfile", config, *arguments]
    return subprocess.run(command, cwd=project.folder, capture_output=True, text=True)


def stages(text):
    """Return (jobs, evaluations, samples) of each line of a plan's table."""
    found = re.findall(r"^(\w[\w, +]*?) {2,}([\d,]+) +([\d,]+) +([\d,]+) ", text, flags=re.MULTILINE)
    return {label: tuple(int(number.replace(",", "")) for number in numbers) for label, *numbers in found}


def answered(project, pattern):
    """Return how many responses the files of a stage hold, and how many files there are."""
    files = list(project.folder.glob(pattern))
    return len(files), sum(len(read_jsonl(path)) for path in files)


def test_plan_equals_the_jobs_and_samples_of_the_run(trained, finished):
    before = plan(trained, "results/tables/table2.csv")
    assert before.returncode == 0, before.stderr
    planned = stages(before.stdout)
    exact = {
        "score_experts": "results/runs/*/experts/evaluations.jsonl",
        "initial_population": "results/runs/*/initial-*/*/*/evaluations.jsonl",
        "generation, model_swarms": "results/runs/*/model_swarms/**/evaluations.jsonl",
        "baseline, best_single": "results/runs/*/best_single/evaluations.jsonl",
        "answer_test": "results/test/**/responses.jsonl",
    }
    for stage, pattern in exact.items():
        jobs, _, samples = planned[stage]
        assert (jobs, samples) == answered(finished, pattern), stage
    # On a task that a single expert can do, the fusion is this expert, which was scored before.
    jobs, _, samples = planned["baseline, expert_fusion"]
    files, real = answered(finished, "results/runs/*/expert_fusion/evaluations.jsonl")
    assert jobs == files
    assert 0 < real <= samples
    # Pack of LLMs reads with all experts before it answers with one model.
    experts = planned["score_experts"][1] // len(SMALL["table2"]["tasks"])
    assert planned["baseline, pack_of_llms_merge"][2] == (experts + 1) * planned["baseline, expert_fusion"][2]
    # LoraHub's search comes back to points, how often differs by processor.
    searched = answered(finished, "results/runs/*/lorahub/seed1/evaluations.jsonl")[1]
    assert 0 < searched <= planned["searched_baseline, lorahub"][2]
    # Chance decides how many children and mutants a few generations of four have.
    for method in ("genome", "genome_plus"):
        jobs, _, samples = planned[f"generation, {method}"]
        files, real = answered(finished, f"results/runs/*/{method}/**/evaluations.jsonl")
        assert jobs == files
        assert samples == pytest.approx(real, rel=0.5), method


def test_run_logs_its_estimated_cost_at_the_start(trained, finished):
    _, evaluations, samples = stages(plan(trained, "results/tables/table2.csv").stdout)["total"]
    logs = [path.read_text() for path in (finished.folder / ".snakemake/log").glob("*.log")]
    assert any(f"{evaluations:,} evaluations, {samples:,} samples" in log for log in logs)


def test_plan_of_finished_results_is_empty(finished):
    assert plan(finished, "results/tables/table2.csv").stdout == "Nothing to be done.\n"
    assert {(0, 0)} == {row[1:] for row in stages(plan(finished, "results/tables/table1.csv").stdout).values()}


def forecast_of(project, *targets, cores):
    """Return the forecast of targets, as `genome plan` makes it."""
    with chdir(project.folder):
        jobs, setting = read_plan(targets, [Path("small.yaml")])
        return forecast(jobs, setting, measure(jobs, setting), cores)


MADE = ("split", "prompts", "merges", "runs", "test", "tables")
"""The folders of results/benchmarks that a table has, once base and experts are there."""


def took(project):
    """Return how long the jobs took, from the begin of the first to the end of the last, by Snakemake's clock."""
    files = [file for stage in MADE for file in (project.folder / f"results/benchmarks/{stage}").rglob("*.tsv")]
    seconds = [float(file.read_text().splitlines()[1].split("\t")[0]) for file in files]
    ends = [file.stat().st_mtime for file in files]
    return max(ends) - min(end - each for end, each in zip(ends, seconds, strict=True))


def worked(project):
    """Return for how many seconds the engine had something to do."""
    files = [
        file for stage in ("runs", "test") for file in project.folder.glob(f"results/benchmarks/{stage}/**/*.json")
    ]
    return sum(shares([usage.asked for usage in map(read_usage, files) if usage]))


@pytest.mark.parametrize("cores", [1, 2])
def test_the_forecast_of_a_finished_run_is_what_it_took(request, cores):
    """Letters and longer answers, one job after another and two side by side; only the records are left."""
    last = "model_swarms/n4/seed1/generation_3/population.json"
    project, targets = {
        1: ("fresh", [f"results/runs/{task}/{last}" for task in ("emotions", "sums")]),
        2: ("done", ["results/tables/table2.csv"]),
    }[cores]
    project = request.getfixturevalue(project)
    project.make(*targets, cores=cores)
    for folder in ("splits", *MADE[1:]):
        shutil.rmtree(project.folder / "results" / folder, ignore_errors=True)
    result = forecast_of(project, *targets, cores=cores)
    assert not result.total.untimed | result.total.bounded
    assert 1 / 1.3 < result.total.engine_seconds / worked(project) < 1.3
    assert 1 / 1.3 < result.seconds / took(project) < 1.3


def test_plan_repeats_the_errors_of_snakemake(fresh):
    fresh.configure(population=4)
    result = plan(fresh)
    assert result.returncode == 1
    assert "unknown key 'population'" in result.stderr
    assert "Traceback" not in result.stderr


def test_plan_of_the_paper_needs_no_data(tmp_path):
    project = new_project(tmp_path / "project")
    text = plan(project, "results/tables/table2.csv", config="config/paper.yaml").stdout
    planned = stages(text)
    assert planned["total"][0] == 3953
    assert planned["score_experts"] == (12, 120, 24_000)
    # Twelve tasks, five seeds, ten generations: 1.5 children and 3.45 mutants, and with succession ten members.
    assert planned["generation, genome"] == (600, 2970, 594_000)
    assert planned["generation, genome_plus"] == (600, 8970, 1_794_000)
    assert planned["searched_baseline, lorahub"] == (60, 3000, 600_000)
    assert "up to 2,400 adapters of unknown size" in text
    assert "Time   unknown; measure it in a minute: snakemake --cores 1 results/benchmarks/rates/{arc_c,bbh," in text
    assert ".json --configfile config/paper.yaml" in text
    assert "counted as 1,000: emorynlp, flores37" in text
    assert not (project.folder / "results").exists()
