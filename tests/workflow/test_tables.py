"""Tables 3 to 6 and 8: each asks for its own runs and nothing else, and what comes out names them."""

import csv
import re
import shutil

import pytest
import yaml

from workflow.conftest import SMALL, merged, new_project

pytestmark = pytest.mark.workflow

TABLES = {
    "table3": {"tasks": ["facts_pro", "puzzles"], "variants": ["best_single", "genome_plus"]},
    "table4": {
        "domains": [{"name": "Both", "tasks": ["sums", "emotions"]}],
        "variants": ["expert_fusion", "model_swarms", "genome_plus"],
    },
    "table5": {"pairs": [["sums", "translation"]], "variants": ["lorahub", "model_swarms", "genome_plus"]},
    "table6": {"tasks": ["translation"], "variants": ["best_single", "dare_ties", "genome_plus"]},
    "table8": {
        "tasks": ["sums"],
        "full": "genome_plus",
        "without": ["genome_plus-no_crossover", "genome_plus-no_ensemble"],
    },
}
CONFIG = merged(SMALL, {"generations": 2, "seeds": [1, 2], **TABLES})


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """A project in which nothing has been made, to be planned with."""
    project = new_project(tmp_path_factory.mktemp("untrained") / "project")
    (project.folder / "small.yaml").write_text(yaml.safe_dump(CONFIG))
    return project


@pytest.fixture(scope="module")
def shown(trained, tmp_path_factory):
    """A project with finished Tables 4, 5 and 8. Copy it before you change it."""
    project = trained.copy(tmp_path_factory.mktemp("shown") / "project")
    (project.folder / "small.yaml").write_text(yaml.safe_dump(CONFIG))
    project.make(*(f"results/tables/{table}.csv" for table in ("table4", "table5", "table8")))
    return project


def rows_of(project, name):
    with (project.folder / f"results/tables/{name}.csv").open() as file:
        return list(csv.DictReader(file))


def names(files, pattern):
    """Return what `pattern` finds in the names of files."""
    return {found[1] for file in files if (found := re.fullmatch(pattern, file))}


def test_null_table_is_refused_when_requested(untrained, tmp_path):
    project = untrained.copy(tmp_path / "project")
    project.configure(table6=None)
    assert "config.table6 is null; set it to make this target" in project.refused("results/tables/table6.csv")


@pytest.mark.slow
def test_tables_4_5_and_8_have_their_rows_and_name_their_runs(shown):
    assert [row["method"] for row in rows_of(shown, "table4")] == [
        "Expert Fusion", "Model Swarms", "GENOME+", "GENOME+ − Model Swarms", "GENOME+ vs Model Swarms",
    ]  # fmt: skip
    assert list(rows_of(shown, "table5")[0]) == ["method", "sums → translation", "runs"]
    assert [row["method"] for row in rows_of(shown, "table8")] == [
        "GENOME+", "w/o crossover", "w/o crossover − GENOME+", "w/o crossover vs GENOME+",
        "w/o ensemble", "w/o ensemble − GENOME+", "w/o ensemble vs GENOME+",
    ]  # fmt: skip
    for table in ("table4", "table5", "table8"):
        scores = {row["method"]: row for row in rows_of(shown, table)}
        assert "n.s." in (shown.folder / f"results/tables/{table}.md").read_text() or table == "table5"
        for row in rows_of(shown, f"{table}_uncertainty"):
            if row["versus"]:
                assert row["holds"] in ("yes", "no")
                assert row["holds"] == "yes" or row["holds_holm"] == "no"
                continue
            if row["test"] == "mean of tasks like these":
                assert row["interval"] == "tasks"
                continue
            assert float(scores[row["method"]][row["test"]]) == float(row["value"])
            assert float(row["low"]) <= float(row["value"]) <= float(row["high"])
            assert {*row["runs"].split()} <= {*scores[row["method"]]["runs"].split()}
            if row["test"] == "mean":
                assert {*row["runs"].split()} == {*scores[row["method"]]["runs"].split()}
                continue
            runs = row["runs"].split()
            assert runs
            task = row["test"].rpartition(" ")[2]
            ours = [
                line["score"]
                for run in runs
                for line in shown.read(f"{run}/scores.json")
                if line["report"] == ("ensemble" if row["method"] in ("GENOME+", "w/o crossover") else "best")
            ]
            assert float(row["value"]) == pytest.approx(100 * sum(ours) / len(ours), abs=0.006)
            assert all(run.startswith(f"results/test/{task}/") for run in runs)


@pytest.mark.slow
def test_changed_ablation_reruns_its_files_and_table_8_only(shown, tmp_path):
    project = shown.copy(tmp_path / "project")
    targets = [f"results/tables/{table}.csv" for table in ("table4", "table5", "table8")]
    assert project.planned(*targets) == []
    project.configure(variants={"genome_plus-no_crossover": {"sigma": 0.002}})
    planned = project.planned(*targets)
    rest = [file for file in planned if "/genome_plus-no_crossover/" not in file]
    assert sorted(rest) == sorted(
        f"results/tables/table8{end}" for end in (".csv", ".md", "_scores.csv", "_uncertainty.csv")
    )
    assert any(file.endswith("generation_1/population.json") for file in planned)


@pytest.mark.slow
def test_deleted_tables_are_rebuilt_without_an_engine(shown, tmp_path):
    project = shown.copy(tmp_path / "project")
    before = project.files("results/tables/*")
    shutil.rmtree(project.folder / "results/tables")
    said = project.make(*(f"results/tables/{table}.csv" for table in ("table4", "table5", "table8")))
    assert set(re.findall(r"^(\w+) +\d+$", said, re.MULTILINE)) == {"compare", "total"}
    assert project.files("results/tables/*") == before
