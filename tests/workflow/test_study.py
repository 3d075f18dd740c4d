"""Tables 7, 10 and 11: what the jobs of runs record, and a study of hyper-parameters drawn from a grid."""

import csv
import re
import shutil

import pytest
import yaml

from workflow.conftest import SMALL, merged, new_project

pytestmark = pytest.mark.workflow

TABLES = [f"results/tables/table{number}.csv" for number in (7, 10, 11)]
STUDY = {"task": "sums", "method": "genome", "runs": 6, "seed": 3}
CONFIG = merged(
    SMALL, {"generations": 2, "table7": {"tasks": ["sums"], "variants": ["lorahub", "genome_plus"]}, "study": STUDY}
)
POINT = r"results/runs/sums/(study-cr\d\d-imr\d\d-gmr\d\d)/n4/seed3/generation_2/population.json"


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """A project in which nothing has been made, to be planned with."""
    project = new_project(tmp_path_factory.mktemp("untrained") / "project")
    (project.folder / "small.yaml").write_text(yaml.safe_dump(CONFIG))
    return project


@pytest.fixture
def planning(untrained, tmp_path):
    return untrained.copy(tmp_path / "project")


@pytest.fixture(scope="module")
def shown(trained, tmp_path_factory):
    """A project with finished Tables 7, 10 and 11. Copy it before you change it."""
    project = trained.copy(tmp_path_factory.mktemp("shown") / "project")
    (project.folder / "small.yaml").write_text(yaml.safe_dump(CONFIG))
    project.make(*TABLES)
    return project


def rows_of(project, name):
    with (project.folder / f"results/tables/{name}.csv").open() as file:
        return list(csv.DictReader(file))


def points(files):
    return {found[1] for file in files if (found := re.fullmatch(POINT, file))}


def test_single_point_of_the_study_can_be_requested(planning):
    run = "results/runs/sums/study-cr03-imr10-gmr05/n4/seed8/generation_1"
    planned = planning.planned(f"{run}/population.json")
    assert {file for file in planned if "/runs/sums/study" in file and "benchmarks" not in file} == {
        f"{run}/population.json", f"{run}/evaluations.jsonl", f"{run}/adapters",
    }  # fmt: skip
    assert "MissingRuleException" in planning.refused(f"{run.replace('cr03', 'cr11')}/population.json")


@pytest.mark.slow
def test_every_job_of_a_run_records_its_time_and_evaluations(shown):
    run = "results/benchmarks/runs/sums/genome_plus/n4/seed1"
    records = [
        shown.read(file)
        for file in (
            "results/benchmarks/runs/sums/experts.json",
            "results/benchmarks/runs/sums/initial-pairs/n4/seed1.json",
            f"{run}/generation_1.json",
            f"{run}/generation_2.json",
            "results/benchmarks/runs/sums/lorahub/seed1.json",
        )
    ]
    experts, initial, *_, lorahub = records
    assert (experts["evaluations"], initial["evaluations"]) == (10, 4)
    assert 1 <= lorahub["evaluations"] <= 4, "a mixture that is known is not scored again"
    prompts = len(shown.files("results/prompts/micro/sums/validation.jsonl").popitem()[1].splitlines())
    for record in records:
        assert re.fullmatch(r"\d+ x \S.*", record["machine"])
        assert record["seconds"] >= record["scoring_seconds"] > 0
        assert record["samples"] == prompts * record["evaluations"]
        assert record["prompt_tokens"] > record["samples"]
        assert 0 < record["response_tokens"] <= 64 * record["samples"]


@pytest.mark.slow
def test_table_7_sums_the_records_of_runs(shown):
    rows = {row["method"]: row for row in rows_of(shown, "table7")}
    run = "sums/genome_plus/n4/seed1"
    parts = ["sums/initial-pairs/n4/seed1", f"{run}/generation_1", f"{run}/generation_2"]
    records = [shown.read(f"results/benchmarks/runs/{part}.json") for part in parts]
    row = rows["GENOME+"]
    assert float(row["seconds"]) == pytest.approx(sum(record["seconds"] for record in records), abs=0.006)
    assert float(row["evaluations"]) == sum(record["evaluations"] for record in records)
    assert (row["machine"], row["n_runs"]) == (records[0]["machine"], "1")
    assert row["runs"] == f"results/runs/{run}"
    ensemble = [r["score"] for r in shown.read(f"results/test/sums/{run}/scores.json") if r["report"] == "ensemble"]
    assert float(row["score"]) == pytest.approx(100 * ensemble[0], abs=0.006)
    assert 11 <= float(rows["LoraHub"]["evaluations"]) <= 14


@pytest.mark.slow
def test_study_makes_its_runs_and_both_tables(shown):
    rows = rows_of(shown, "study")
    assert len({row["run"] for row in rows}) == STUDY["runs"]
    for row in rows:
        rates = [row[f"{name}_rate"] for name in ("crossover", "individual_mutation", "gene_mutation")]
        steps = re.search(r"study-cr(\d\d)-imr(\d\d)-gmr(\d\d)/n4/seed3$", row["run"]).groups()
        assert [float(rate) for rate in rates] == [int(step) / 10 for step in steps]
        scores = shown.read(f"{row['run'].replace('runs', 'test/sums', 1)}/scores.json")
        for name, report in (("test", "best"), ("ensemble", "ensemble")):
            [score] = [line["score"] for line in scores if line["report"] == report]
            assert float(row[name]) == pytest.approx(100 * score, abs=0.006)
    # One initial population, as in the paper.
    assert len(shown.files("results/runs/sums/initial-*/n4/seed3/population.json")) == 1
    assert [row["n_runs"] for row in rows_of(shown, "table10")] == ["6"] * 9
    assert len(rows_of(shown, "table11")) == 3 * 4


@pytest.mark.slow
def test_deleted_tables_are_rebuilt_without_an_evaluation(shown, tmp_path):
    project = shown.copy(tmp_path / "project")
    assert project.planned(*TABLES) == []
    tables, times = project.files("results/tables/*"), project.times("results/runs/**/*")
    shutil.rmtree(project.folder / "results/tables")
    said = project.make(*TABLES)
    assert set(re.findall(r"^(\w+) +\d+$", said, re.MULTILINE)) == {"timing", "study", "correlate", "regress", "total"}
    assert project.files("results/tables/*") == tables
    assert project.times("results/runs/**/*") == times


@pytest.mark.slow
def test_changed_study_keeps_finished_runs(shown, tmp_path):
    """Taking the study away, or more of it, leaves the runs that are there as they are."""
    project = shown.copy(tmp_path / "project")
    project.configure(study={"runs": 7})
    planned = project.planned(*TABLES)
    [new] = points(planned)
    assert all(new in file or "results/tables/" in file for file in planned)
    project.configure(study=None)
    assert project.planned(TABLES[0]) == []


@pytest.mark.slow
def test_table_7_shows_rows_of_other_machines(shown, tmp_path):
    project = shown.copy(tmp_path / "project")
    ours = rows_of(project, "table7")
    theirs = [{**row, "machine": "9 x Other", "seconds": "1.00"} for row in ours]
    with (project.folder / "theirs.csv").open("w") as file:
        writer = csv.DictWriter(file, list(ours[0]))
        writer.writeheader()
        writer.writerows(theirs)
    project.configure(table7={"beside": ["theirs.csv"]})
    said = project.make(TABLES[0])
    assert set(re.findall(r"^(\w+) +\d+$", said, re.MULTILINE)) == {"timing", "total"}
    assert rows_of(project, "table7") == ours + theirs
    assert "9 x Other" in (project.folder / "results/tables/table7.md").read_text()
