"""Table 7: the cost of runs, summed over their jobs, and machines in columns."""

import pandas as pd
import pytest

from builders import score_row
from genome.errors import GenomeError
from genome.files import write_json
from genome.report import timing
from genome.report.tables import collect, write_csv
from genome.report.timing import Cost, costs, markdown, table7, with_others

METHODS = [
    {"name": "genome", "variant": "genome", "label": "GENOME", "report": "best"},
    {"name": "genome_plus", "variant": "genome_plus", "label": "GENOME+", "report": "ensemble"},
]
COLUMNS = [{"name": "sums", "tasks": "sums", "test_task": "sums", "metric": "accuracy"}]
A, B = "1 x A100", "1 x 4090"


def record(seconds, evaluations=1, machine=A):
    return {"seconds": seconds, "scoring_seconds": seconds, "evaluations": evaluations, "machine": machine}


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Return a function that writes records by their place below results/benchmarks/runs, and returns their paths."""
    monkeypatch.chdir(tmp_path)

    def write(records):
        for place, value in records.items():
            write_json(timing.RECORDS / place, value)
        return [str(timing.RECORDS / place) for place in records]

    return write


@pytest.fixture
def scores(tmp_path):
    """Two seeds of GENOME and GENOME+ on one task."""
    rows = [
        score_row(
            method, "sums", score + seed / 100, report=report, population_size=4, seed=seed,
            run=f"results/runs/sums/{method}/n4/seed{seed}",
        )
        for method, report, score in (
            ("genome", "best", 0.2), ("genome_plus", "best", 0.9), ("genome_plus", "ensemble", 0.4),
        )
        for seed in (1, 2)
    ]  # fmt: skip
    write_json(tmp_path / "scores.json", rows)
    return collect([tmp_path / "scores.json"])


def run_costs(machine=A):
    spent = {"genome": (10.0, 30.0), "genome_plus": (100.0, 140.0)}
    return {
        f"sums/{method}/n4/seed{seed}": Cost(seconds, 10 * seed, frozenset({machine}))
        for method, both in spent.items()
        for seed, seconds in enumerate(both, start=1)
    }


def test_cost_of_a_run_is_the_sum_of_its_start_and_generations(recorded):
    start, run, other = "sums/initial-pairs/n4/seed1", "sums/genome/n4/seed1", "sums/genome_plus/n4/seed1"
    files = recorded(
        {
            f"{start}.json": record(1.5, 4),
            f"{run}/generation_1.json": record(2.0, 3),
            f"{run}/generation_2.json": record(0.5, 0, None),
            f"{other}/generation_1.json": record(8.0, 9, B),
            "sums/genome/n4/seed2/generation_1.json": record(100.0),
        }
    )
    found = costs(files, {run: [start, run], other: [start, other]})
    assert found[run] == Cost(4.0, 7, frozenset({A}))
    assert found[other] == Cost(9.5, 13, frozenset({A, B}))


def test_cost_of_a_baseline_is_the_sum_of_the_experts_and_its_job(recorded):
    files = recorded({"sums/experts.json": record(2.0, 10), "sums/lorahub/seed1.json": record(5.0, 50)})
    found = costs(files, {"sums/lorahub/seed1": ["sums/experts", "sums/lorahub/seed1"]})
    assert found["sums/lorahub/seed1"] == Cost(7.0, 60, frozenset({A}))


def test_scores_and_times_are_means_over_seeds(scores):
    table = table7(scores, run_costs(), METHODS, COLUMNS, [1, 2])
    assert list(table.columns) == timing.TIMING_COLUMNS
    assert table.drop(columns="runs").to_numpy().tolist() == [
        ["GENOME", "sums", pytest.approx(21.5), 20.0, A, "transformers 5.0, dtype float32", 15.0, 2],
        ["GENOME+", "sums", pytest.approx(41.5), 120.0, A, "transformers 5.0, dtype float32", 15.0, 2],
    ]
    assert table["runs"][0] == "results/runs/sums/genome/n4/seed1 results/runs/sums/genome/n4/seed2"


def test_a_run_on_two_machines_names_both(scores):
    mixed = run_costs() | {"sums/genome/n4/seed2": Cost(1.0, 1, frozenset({A, B}))}
    assert table7(scores, mixed, METHODS, COLUMNS, [1, 2])["machine"].tolist() == [f"{B} and {A}", A]


def test_markdown_has_a_column_per_machine(scores, tmp_path):
    elsewhere = run_costs(B)
    elsewhere = {run: Cost(2 * cost.seconds, cost.evaluations, cost.machines) for run, cost in elsewhere.items()}
    write_csv(table7(scores, elsewhere, METHODS[:1], COLUMNS, [1, 2]), tmp_path / "other.csv")
    here = table7(scores, run_costs(), METHODS, COLUMNS, [1, 2])
    both = with_others(here, [tmp_path / "other.csv"])
    assert both["machine"].tolist() == [A, A, B]
    lines = markdown(both, [1, 2]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:5]]
    assert cells[0] == ["Method", "Task", "Score", "", "Time (s)", ""]
    assert cells[2:] == [
        ["", "", A, B, A, B],
        ["GENOME", "sums", "21.50", "21.50", "20.0", "40.0"],
        ["GENOME+", "sums", "41.50", "", "120", ""],
    ]
    assert "means over seeds 1, 2." in lines[-1]
    # The other machine's table may already contain the rows of this one.
    write_csv(both, tmp_path / "both.csv")
    assert len(with_others(both, [tmp_path / "both.csv", tmp_path / "other.csv"])) == 3


def test_two_tables_of_one_machine_are_refused(scores, tmp_path):
    slower = {run: Cost(9 * cost.seconds, 1, cost.machines) for run, cost in run_costs().items()}
    write_csv(table7(scores, slower, METHODS, COLUMNS, [1, 2]), tmp_path / "other.csv")
    with pytest.raises(GenomeError, match=r"two rows for GENOME on sums with 1 x A100; take one out of table7\.beside"):
        with_others(table7(scores, run_costs(), METHODS, COLUMNS, [1, 2]), [tmp_path / "other.csv"])


def test_with_others_refuses_a_file_that_is_not_table_7(tmp_path):
    write_csv(pd.DataFrame({"method": ["x"], "task": ["y"]}), tmp_path / "table2.csv")
    with pytest.raises(GenomeError, match=r"table2\.csv: no column 'score'; name a table7\.csv in table7\.beside"):
        with_others(pd.DataFrame(columns=timing.TIMING_COLUMNS), [tmp_path / "table2.csv"])
