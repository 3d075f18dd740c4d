"""The vote of runs with different bases: two workflows, one table, no further answer asked for."""

import csv
import subprocess

import pytest
import yaml

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

TABLE = "results/tables/across.csv"
TEST = "results/test/sums/sums/genome_plus/n4/seed1"


@pytest.fixture(scope="module")
def other_workflow(finished, tmp_path_factory):
    """A finished workflow in another folder and with another base, which has the answers to one test."""
    project = finished.copy(tmp_path_factory.mktemp("other") / "project")
    small = yaml.safe_load((project.folder / "small.yaml").read_text())
    micro = yaml.safe_load((project.folder / "config.yaml").read_text())["bases"]["micro"]
    experts = {name: micro["experts"][name] for name in ("add", "sub", "mood")}
    training = micro["training"] | {"seed": 1}
    other = {"model": {"path": "resources/models/micro"}, "experts": experts, "training": training, "data_merge": None}
    # Trained for a few steps, these experts may answer nothing that can be read: that differs by processor.
    small |= {"base": "other", "bases": {"other": other}, "unparsed": "warn"}
    (project.folder / "other.yaml").write_text(yaml.safe_dump(small))
    command = project.command("--", f"{TEST}/responses.jsonl")
    command[command.index("small.yaml")] = "other.yaml"
    made = subprocess.run(command, cwd=project.folder, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-4000:]
    return project


@pytest.fixture
def voting(finished, other_workflow, tmp_path):
    project = finished.copy(tmp_path / "project")
    folder = (other_workflow.folder / "results").as_posix()
    project.configure(across={"tasks": ["sums"], "variant": "genome_plus", "beside": {"other": folder}})
    return project


def test_cross_base_vote_reads_existing_responses_only(voting, other_workflow):
    assert voting.ran(TABLE) == {"across"}
    with (voting.folder / TABLE).open() as file:
        rows = {(row["task"], row["model"]): row for row in csv.DictReader(file)}
    assert {model for _, model in rows} == {"micro", "other", "vote"}
    [alone] = [100 * row["score"] for row in voting.read(f"{TEST}/scores.json") if row["report"] == "ensemble"]
    assert float(rows["sums", "micro"]["score"]) == pytest.approx(alone, abs=0.006)
    assert rows["sums", "other"]["runs"] == f"{other_workflow.folder.as_posix()}/{TEST}"
    assert "vote" in (voting.folder / "results/tables/across.md").read_text()


def test_workflow_with_other_test_samples_is_refused(voting, other_workflow, tmp_path):
    other = other_workflow.copy(tmp_path / "other")
    split = other.folder / "results/splits/sums/test.jsonl"
    split.write_text(split.read_text().replace("1", "2"))
    voting.configure(across={"beside": {"other": (other.folder / "results").as_posix()}})
    assert "other samples; make it with the same `splits` and `tasks`" in voting.refused(TABLE)
