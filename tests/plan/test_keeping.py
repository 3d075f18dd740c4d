"""Tables that would lose rows or columns are kept before they are made again."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from genome.workflow.keeping import keep_larger

NAMES = ("table2.csv", "table2.md", "table2_scores.csv", "table2_uncertainty.csv")
ROWS = [("Base", "facts"), ("GENOME", "facts"), ("Base", "sums"), ("GENOME", "sums")]


class Output(list):
    """Files in order, two of which also have names, as Snakemake's."""

    def __init__(self, folder: Path):
        super().__init__(str(folder / name) for name in NAMES)
        self.table, self.uncertainty = self[0], self[-1]


@dataclass(frozen=True)
class Job:
    output: object
    params: object


def compare(folder: Path, methods: list[str], tests: list[str]) -> Job:
    """Return the planned job of a table."""
    settings = {"methods": [{"label": label} for label in methods], "columns": [{"name": name} for name in tests]}
    return Job(Output(folder), SimpleNamespace(settings=json.dumps(settings)))


@pytest.fixture
def folder(tmp_path) -> Path:
    """The files of a table of two methods on two tests."""
    for name in NAMES[:3]:
        (tmp_path / name).write_text(name)
    with (tmp_path / NAMES[3]).open("w", newline="") as file:
        writer = csv.DictWriter(file, ["method", "versus", "test", "tasks"])
        writer.writeheader()
        writer.writerows({"method": method, "test": test, "tasks": test} for method, test in ROWS)
        writer.writerow({"method": "GENOME", "versus": "Base", "test": "facts", "tasks": "facts"})
        writer.writerow({"method": "GENOME", "test": "mean"})
    return tmp_path


@pytest.mark.parametrize(
    ("methods", "tests"), [(["Base"], ["facts", "sums"]), (["Base", "GENOME"], ["sums"]), (["Other"], ["other"])]
)
def test_a_table_of_more_methods_or_tests_is_kept_once(folder, methods, tests):
    [kept] = keep_larger([compare(folder, methods, tests)])
    assert kept.parent == folder / "kept"
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == {
        name: (folder / name).read_bytes() for name in NAMES
    }
    assert keep_larger([compare(folder, methods, tests)]) == [kept]
    assert len(list((folder / "kept").iterdir())) == 1


@pytest.mark.parametrize("methods", [["Base", "GENOME"], ["GENOME", "Other", "Base"]])
def test_a_table_that_loses_nothing_is_not_kept(folder, methods):
    assert keep_larger([compare(folder, methods, ["facts", "sums", "mean"])]) == []
    assert not (folder / "kept").exists()


def test_other_jobs_and_tables_that_are_not_there_keep_nothing(tmp_path):
    other = Job(SimpleNamespace(table=str(tmp_path / "table1.csv")), SimpleNamespace(settings="{}"))
    assert keep_larger([other, compare(tmp_path, [], [])]) == []


def test_a_table_without_its_list_of_scores_is_not_looked_at(folder):
    (folder / NAMES[3]).unlink()
    assert keep_larger([compare(folder, ["Base"], ["facts"])]) == []
