"""Figure 2: the runs and the interval of each score."""

import pytest

from builders import score_row
from genome.errors import GenomeError
from genome.files import write_json, write_jsonl
from genome.report.figures.scaling import draw_scaling, scaling
from genome.report.tables import collect
from genome.scoring.intervals import wilson

METHODS = [
    {"name": name, "variant": name, "label": label, "report": "best", "shown": label, "group": "paper"}
    for name, label in (("best_single", "Best Single"), ("model_swarms", "Model Swarms"), ("genome", "GENOME"))
]
RIGHT = {"model_swarms": {10: 20, 20: 24}, "genome": {10: 22, 20: 30}}
"""Right answers of 40 in the first seed; two more in the second."""


def columns(*tasks):
    return [{"name": task, "tasks": task, "test_task": task, "metric": "accuracy"} for task in tasks]


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a run's scores and answers and returns the file of scores."""

    def write(method, right, task="t", size=None, seed=None):
        folder = tmp_path / f"{task}/{method}/n{size}/seed{seed}"
        folder.mkdir(parents=True)
        scores = [float(i < right) for i in range(40)]
        write_jsonl(
            folder / "answers.jsonl",
            [{"report": "best", "sample": i, "answer": "x", "score": score} for i, score in enumerate(scores)],
        )
        row = score_row(method, task, right / 40, population_size=size, seed=seed, n=40, run=f"{folder}")
        write_json(folder / "scores.json", [row])
        return folder / "scores.json"

    return write


@pytest.fixture
def files(write):
    runs = [
        write(method, right + 2 * (seed - 1), size=size, seed=seed)
        for method, by_size in RIGHT.items()
        for size, right in by_size.items()
        for seed in (1, 2)
    ]
    return [*runs, write("best_single", 16)]


def test_scores_are_means_over_seeds_at_each_size(files):
    table = scaling(collect(files), METHODS, columns("t"), [10, 20], [1, 2])
    values = table.set_index(["method", "population_size"])["value"]
    assert values.to_dict() == pytest.approx(
        {
            ("Best Single", 10): 40.0, ("Model Swarms", 10): 52.5, ("GENOME", 10): 57.5,
            ("Best Single", 20): 40.0, ("Model Swarms", 20): 62.5, ("GENOME", 20): 77.5,
        }
    )  # fmt: skip
    assert (table["low"] < table["value"]).all()
    assert (table["high"] > table["value"]).all()
    [genome] = table[(table["method"] == "GENOME") & (table["population_size"] == 20)]["runs"]
    assert [run.rpartition("/t/")[2] for run in genome.split()] == ["genome/n20/seed1", "genome/n20/seed2"]


def test_one_seed_gets_wilsons_interval(files):
    table = scaling(collect(files), METHODS, columns("t"), [10], [2])
    [row] = table[table["method"] == "GENOME"].to_dict("records")
    expected = wilson(24 / 40, 40)
    assert (row["low"], row["high"]) == pytest.approx((100 * expected.low, 100 * expected.high))


def test_a_missing_seed_leaves_a_gap(files):
    table = scaling(collect([file for file in files if "genome/n20/seed2" not in f"{file}"]), METHODS, columns("t"),
                    [10, 20], [1, 2])  # fmt: skip
    assert table[table["method"] == "GENOME"]["population_size"].to_list() == [10]


def test_two_runs_in_one_cell_are_refused(files):
    with pytest.raises(GenomeError, match="3 scores where 2 belong"):
        scaling(collect([*files, files[0]]), METHODS, columns("t"), [10], [1, 2])


def test_figure_has_a_panel_per_test_and_a_line_per_method(write, drawn, tmp_path):
    tests = [f"t{i}" for i in range(4)]
    files = [
        write("genome", size + i, task=test, size=size, seed=1) for i, test in enumerate(tests) for size in (10, 20)
    ]
    table = scaling(collect(files), METHODS, columns(*tests), [10, 20], [1])
    draw_scaling(table, [tmp_path / "figure.svg", tmp_path / "figure.png"])
    draw_scaling(table, [tmp_path / "again.svg"])
    assert (tmp_path / "figure.svg").read_bytes() == (tmp_path / "again.svg").read_bytes()
    shown = [axes for axes in drawn[0].axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == tests
    for i, axes in enumerate(shown):
        assert list(axes.get_lines()[0].get_ydata()) == pytest.approx([25 + 2.5 * i, 50 + 2.5 * i])


def test_lines_differ_without_colour(files, drawn, tmp_path):
    draw_scaling(scaling(collect(files), METHODS, columns("t"), [10, 20], [1, 2]), [tmp_path / "figure.svg"])
    lines = [container.lines[0] for container in drawn[0].axes[0].containers]
    assert len({line.get_marker() for line in lines}) == len(METHODS)
    # The bars of one size do not cover each other.
    assert len({line.get_xdata()[0] for line in lines}) == len(METHODS)


def test_error_bar_is_clipped_at_a_score_outside_its_interval(files, drawn, tmp_path):
    table = scaling(collect(files), METHODS, columns("t"), [10, 20], [1, 2])
    table = table.assign(low=table["value"] - 2, high=table["value"] - 1e-13)
    draw_scaling(table, [tmp_path / "figure.svg"])
    for container in drawn[0].axes[0].containers:
        line, _, [bars] = container.lines
        for (_, low), (_, high) in bars.get_segments():
            assert high in line.get_ydata()
            assert low == pytest.approx(high - 2)
