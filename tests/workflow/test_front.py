"""Two tasks at once, from a search to the figure of its front and the export of its knee."""

import csv
import subprocess

import pytest

from genome.search.front import FRONT, knee, two_errors
from genome.search.population import fittest, seen_in
from genome.search.records import read_population

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

TASKS = "sums+emotions"
SEARCH = f"results/runs/{TASKS}/cma_es/n4/seed1"
KNEE = f"results/runs/{TASKS}/cma_es-knee/n4/seed1"
FIGURE = "results/figures/front"


@pytest.fixture
def project(fresh):
    fresh.configure(front={"tasks": [TASKS], "knee": "cma_es-knee", "mean": "cma_es"})
    return fresh


def test_knee_is_handed_out_drawn_and_exported(project):
    project.make(f"{FIGURE}.svg", f"results/export/{TASKS}/cma_es-knee/n4/seed1/README.md")
    found = read_population(project.folder / KNEE / "finalists/population.json")
    populations = [read_population(project.folder / SEARCH / f"generation_{i}/population.json") for i in (1, 2, 3)]
    experts = read_population(project.folder / f"results/runs/{TASKS}/experts/population.json")
    everyone = [each for population in (experts, *populations) for each in seen_in(population)]
    front = found.state[FRONT]
    assert found.best == knee(front, dict.fromkeys(("sums", "emotions"), two_errors(30)))
    for each in everyone:  # is on the front or dominated
        own = each.required_fitness.scores
        assert any(all(x.required_fitness.scores[task] >= own[task] for task in own) for x in front)
    assert fittest(front)[0].score == max(each.score for each in everyone)
    assert not (project.folder / KNEE / "generation_1").exists(), "mean and knee are of one search"

    for form in ("svg", "png"):
        assert (project.folder / f"{FIGURE}.{form}").stat().st_size > 10_000
    rows = list(csv.DictReader((project.folder / f"{FIGURE}.csv").read_text().splitlines()))
    tested = {(row["kind"], row["task"]) for row in rows if row["split"] == "test"}
    assert tested == {(kind, task) for kind in ("base", "mean", "knee") for task in ("sums", "emotions")}
    drawn = {row["individual"] for row in rows if row["kind"] == "front"}
    assert drawn == {each.name for each in front}
    validated = {row["task"]: float(row["score"]) for row in rows if row["kind"] == "knee" and row["split"] != "test"}
    assert validated == {task: 100 * score for task, score in found.best.required_fitness.scores.items()}
    for task in ("sums", "emotions"):
        [row] = project.read(f"results/test/{task}/{TASKS}/cma_es-knee/n4/seed1/scores.json")
        assert row["report"] == "best", "a knee has no ensemble"
        [shown] = [x for x in rows if (x["kind"], x["task"], x["split"]) == ("knee", task, "test")]
        assert float(shown["score"]) == 100 * row["score"]
    assert "cma_es-knee" in (project.folder / f"results/export/{TASKS}/cma_es-knee/n4/seed1/README.md").read_text()


def test_interrupted_run_hands_out_the_same_bytes(project):
    project.make(f"{KNEE}/finalists/population.json")
    before = project.files(f"{SEARCH}/**/*") | project.files(f"{KNEE}/**/*")
    for folder in (f"{SEARCH}/generation_2", f"{SEARCH}/generation_3", f"{KNEE}/finalists"):
        subprocess.run(["rm", "-r", project.folder / folder], check=True)
    project.make(f"{KNEE}/finalists/population.json")
    assert project.files(f"{SEARCH}/**/*") | project.files(f"{KNEE}/**/*") == before
    assert project.ran(f"{KNEE}/finalists/population.json") == set(), "and then nothing is left to do"
