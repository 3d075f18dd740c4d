"""All figures of a small project; drawing them again evaluates nothing."""

import csv
import re
import shutil
import xml.etree.ElementTree as ET

import pytest
from PIL import Image

from genome.search.records import read_contents

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

KINDS = ("evolution", "family_tree", "expert_shares", "diversity")
RUNS = ("sums/model_swarms/n4/seed1", "sums/genome_plus/n4/seed1")
OF_EXPERTS = "sums+emotions/genome_plus-small/n4/seed1"
CONFIG = {
    "variants": {"genome_plus-small": {"method": "genome_plus", "initialisation": "experts"}},
    "figure2": {"tasks": ["sums", "emotions"], "variants": ["best_single", "genome_plus"], "sizes": [3, 4]},
    "figure3": {"tasks": ["sums", "emotions", "polyglot_sums"]},
    "portraits": {"tasks": ["sums"], "variants": ["model_swarms", "genome_plus"]},
}
FIGURES = ["figure2", "figure3", *(f"{kind}/{run}" for kind in KINDS for run in (*RUNS, OF_EXPERTS))]
TARGETS = ["portraits", *(f"results/figures/{figure}.svg" for figure in FIGURES if not figure.endswith(RUNS))]


@pytest.fixture(scope="module")
def pictured(finished, tmp_path_factory):
    """A project with all figures. Copy it before you change it."""
    project = finished.copy(tmp_path_factory.mktemp("pictured") / "project")
    project.configure(**CONFIG)
    project.make(*TARGETS)
    return project


def rows_of(project, figure):
    with (project.folder / f"results/figures/{figure}.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_has_pictures_and_numbers(pictured, figure):
    path = pictured.folder / f"results/figures/{figure}"
    assert ET.parse(f"{path}.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    with Image.open(f"{path}.png") as image:
        image.load()
        assert image.width >= 1000
    for row in rows_of(pictured, figure):
        for run in (row.get("runs") or row["run"]).split():
            assert (pictured.folder / run).is_dir()


def test_figure_2_shows_the_scores_of_its_runs(pictured):
    rows = rows_of(pictured, "figure2")
    shown = {(row["test"], row["method"], row["population_size"]) for row in rows}
    assert shown == {
        (task, method, size) for task in ("sums", "emotions") for method in ("Best Single", "GENOME+") for size in "34"
    }
    for row in rows:
        report = "ensemble" if row["method"] == "GENOME+" else "best"
        [score] = [each["score"] for each in pictured.read(f"{row['runs']}/scores.json") if each["report"] == report]
        assert float(row["value"]) == pytest.approx(100 * score, abs=0.006)
        assert float(row["low"]) <= float(row["value"]) <= float(row["high"])


def test_figure_3_ranks_the_experts_by_validation(pictured):
    rows = rows_of(pictured, "figure3")
    assert {row["dimension"] for row in rows} == {"Mathematics", "Affective Computing", "Multilingual"}
    experts = read_contents(pictured.folder / "results/runs/emotions/experts/population.json")["members"]
    scores = {row["expert"]: float(row["score"]) for row in rows if row["dimension"] == "Affective Computing"}
    assert scores == pytest.approx({expert["name"]: expert["fitness"] for expert in experts})


def test_numbers_of_a_run_s_figure_equal_its_populations(pictured):
    for row in rows_of(pictured, "diversity/sums/genome_plus/n4/seed1"):
        population = pictured.read(f"{row['run']}/population.json")
        assert population["generation"] == int(row["generation"])
        assert population["best"]["name"] == row["best"]


def test_deleted_figures_are_rebuilt_from_existing_files(pictured, tmp_path):
    project = pictured.copy(tmp_path / "project")
    assert project.planned(*TARGETS) == []
    again = ["figure2", "figure3", *(f"{kind}/{OF_EXPERTS}" for kind in ("expert_shares", "diversity"))]
    before = {figure: project.files(f"results/figures/{figure}.*") for figure in again}
    times = project.times("results/[!f]*/**/*")
    shutil.rmtree(project.folder / "results/figures")
    said = project.make(*(f"results/figures/{figure}.png" for figure in again))
    drawing = {"figure2", "figure3", "portrait", "portrait_diversity"}
    assert set(re.findall(r"^(\w+) +\d+$", said, re.MULTILINE)) == {*drawing, "total"}
    assert {figure: project.files(f"results/figures/{figure}.*") for figure in again} == before
    assert all(len(files) == 3 for files in before.values())
    assert project.times("results/[!f]*/**/*") == times
