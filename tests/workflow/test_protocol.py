"""The public code's scoring next to ours, and ensembles by size: both from responses that Table 2 has already."""

import csv

import pytest

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

TASKS = ["sums", "emotions"]
TABLE, FIGURE = "results/tables/protocol.csv", "results/figures/ensemble_by_k.svg"


def rows_of(project, path):
    with (project.folder / path).open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def compared(finished, tmp_path_factory):
    """A project with both files. Copy it before you change it."""
    project = finished.copy(tmp_path_factory.mktemp("compared") / "project")
    project.configure(protocol={"tasks": TASKS})
    assert {*project.planned(TABLE, FIGURE)} == {
        TABLE, "results/tables/protocol.md", FIGURE, FIGURE.replace("svg", "png"), FIGURE.replace("svg", "csv"),
    }  # fmt: skip
    assert project.ran(TABLE, FIGURE) == {"protocol", "plot_ensemble"}
    return project


def reported(project, task):
    """Return a run's scores as Table 2 has them, in percent."""
    scores = project.read(f"results/test/{task}/{task}/genome_plus/n4/seed1/scores.json")
    return {row["report"]: 100 * row["score"] for row in scores}


def test_our_scores_equal_those_of_table2(compared):
    rows = {(row["artefact"], row["task"]): row for row in rows_of(compared, TABLE)}
    by_size = {(row["task"], row["k"]): row for row in rows_of(compared, FIGURE.replace("svg", "csv"))}
    assert {k for _, k in by_size} == {"1", "2", "3", "4"}
    for task in TASKS:
        scores = reported(compared, task)
        assert float(rows["best_by_test", task]["ours"]) == pytest.approx(scores["best"], abs=0.006)
        for artefact in ("members_by_test", "all"):
            assert float(rows[artefact, task]["ours"]) == pytest.approx(scores["ensemble"], abs=0.006)
        assert float(by_size[task, "3"]["score"]) == pytest.approx(scores["ensemble"], abs=0.006)
        assert rows["all", task]["runs"] == f"results/test/{task}/{task}/genome_plus/n4/seed1"
        assert float(rows["best_by_test", task]["theirs"]) >= float(rows["stale_fitness", task]["ours"])
    assert ("accuracy_for_f1", "emotions") in rows
    assert ("half_points", "emotions") not in rows
    assert ("all", "mean") in rows


def test_deleted_outputs_are_rebuilt_from_the_responses(compared, tmp_path):
    project = compared.copy(tmp_path / "project")
    before = project.files("results/tables/protocol*") | project.files("results/figures/*")
    (project.folder / TABLE).unlink()
    assert project.ran(TABLE) == {"protocol"}
    (project.folder / FIGURE).unlink()
    assert project.ran(FIGURE) == {"plot_ensemble"}
    assert project.files("results/tables/protocol*") | project.files("results/figures/*") == before


def test_changed_ensemble_size_needs_no_new_answers(compared, tmp_path):
    project = compared.copy(tmp_path / "project")
    project.configure(methods={"genome_plus": {"ensemble": {"k": 2}}})
    assert project.ran("results/tables/table2.csv") == {"score_test", "compare"}
    by_size = {(row["task"], row["k"]): row for row in rows_of(compared, FIGURE.replace("svg", "csv"))}
    for task in TASKS:
        assert float(by_size[task, "2"]["score"]) == pytest.approx(reported(project, task)["ensemble"], abs=0.006)


def test_members_that_have_answered_are_not_asked_again(compared, tmp_path):
    """The whole population has, for this table: without it, or for a smaller ensemble, fewer are needed."""
    project = compared.copy(tmp_path / "project")
    project.configure(protocol=None)
    assert project.ran("results/tables/table2.csv") == set()
    for k in (4, 2):
        # Searches on other experts have the same ensemble, but their populations have not answered.
        rows = ["best_single", "genome", "genome_plus"]
        project.configure(methods={"genome_plus": {"ensemble": {"k": k}}}, table2={"variants": rows})
        assert project.ran("results/tables/table2.csv") == {"score_test", "compare"}
    assert project.read("results/test/sums/sums/genome_plus/n4/seed1/responses.json")["members"] == 4
    assert project.read("results/test/sums/sums/genome/n4/seed1/responses.json")["members"] == 0


def test_tables_name_the_engine_that_answered(compared):
    for table in ("protocol", "table2"):
        text = (compared.folder / f"results/tables/{table}.md").read_text()
        assert "Answered by transformers" in text, text
