"""The learning curve: the numbers of each part, and what is drawn of them."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from builders import score_row
from genome.files import write_json, write_jsonl
from genome.jobs.results import write_result
from genome.report.figures.learning_curve import draw_learning_curve, learning_curve
from genome.report.tables import collect
from genome.scoring.intervals import wilson

SIZES = (10, 50, 200)
RIGHT = {"validation_lora": {10: 12, 50: 28, 200: 38}, "genome_plus": {10: 24, 50: 28, 200: 30}}
"""Right answers of 40 in the first seed, by validation samples; two more in the second."""
LABELS = {
    "validation_lora": "Validation LoRA",
    "genome_plus": "GENOME+",
    "base": "Base",
    "best_single": "Best Single",
}


def methods(*names):
    return [
        {"name": name, "variant": name, "label": LABELS[name], "report": "best", "shown": name, "group": "paper"}
        for name in names
    ]


def columns(tasks, size=200):
    return [
        {
            "name": task,
            "tasks": task if size == 200 else f"{task}@{size}",
            "test_task": task,
            "metric": "accuracy",
        }
        for task in tasks
    ]


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a run's scores and answers and returns the file of scores."""

    def write(method, right, task="t", size=200, seed=None, draw=None):
        evolved = columns([task], size)[0]["tasks"] + ("" if draw is None else f".{draw}")
        folder = tmp_path / f"results/test/{task}/{evolved}/{method}{f'/seed{seed}' if seed else ''}"
        folder.mkdir(parents=True)
        scores = [float(i < right) for i in range(40)]
        answers = [{"report": "best", "sample": i, "answer": "x", "score": score} for i, score in enumerate(scores)]
        write_jsonl(folder / "answers.jsonl", answers)
        row = score_row(method, task, right / 40, tasks=evolved, population_size=None, seed=seed, n=40, run=f"{folder}")
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
    return [*runs, write("base", 4), write("best_single", 16)]


def settings(lines=("validation_lora", "genome_plus"), levels=("base", "best_single"), tasks=("t",), seeds=(1, 2)):
    return {
        "lines": methods(*lines),
        "levels": methods(*levels),
        "sizes": [[size, columns(tasks, size)] for size in SIZES],
        "whole": columns(tasks),
        "seeds": [*seeds],
    }


def table_of(files, **changes):
    return learning_curve(collect(files), **settings(**changes))


def test_scores_are_means_over_seeds_for_each_number_of_samples(files):
    table = table_of(files)
    lines = table[table["samples"].notna()].set_index(["method", "samples"])
    assert lines["value"].to_dict() == pytest.approx(
        {
            ("Validation LoRA", 10): 32.5, ("GENOME+", 10): 62.5,
            ("Validation LoRA", 50): 72.5, ("GENOME+", 50): 72.5,
            ("Validation LoRA", 200): 97.5, ("GENOME+", 200): 77.5,
        }
    )  # fmt: skip
    assert (table["low"] < table["value"]).all()
    assert lines["tasks"]["GENOME+", 10] == "t@10"
    assert lines["tasks"]["GENOME+", 200] == "t"
    levels = table[table["samples"].isna()].set_index("method")
    assert levels["value"].to_dict() == pytest.approx({"Base": 10.0, "Best Single": 40.0})
    expected = wilson(16 / 40, 40)
    assert tuple(levels.loc["Best Single", ["low", "high"]]) == pytest.approx((100 * expected.low, 100 * expected.high))


def test_runs_on_draws_are_those_of_seeds_even_of_methods_without_one(write):
    drawn = [write("genome_plus", 20 + seed, size=10, seed=seed, draw=seed) for seed in (1, 2)]
    drawn += [write("best_single", 10 + draw, size=10, draw=draw) for draw in (1, 2)]
    level = [write("base", 4, size=10, draw=1)]
    changes = {"lines": methods("genome_plus", "best_single"), "levels": methods("base")}
    of_level = [{**column, "tasks": "t@10.1"} for column in columns(["t"], 10)]
    shown = {**settings(), **changes, "sizes": [[10, columns(["t"], 10)]], "whole": of_level}
    table = learning_curve(collect([*drawn, *level]), **shown).set_index("method")
    assert table["value"].to_dict() == pytest.approx({"GENOME+": 53.75, "Best Single": 28.75, "Base": 10.0})
    assert table["seeds"].to_dict() == {"GENOME+": "1 2", "Best Single": "1 2", "Base": ""}


def test_a_missing_seed_or_a_cell_without_a_run_leaves_a_gap(files):
    left = [
        file for file in files if "t@50/genome_plus/seed2" not in f"{file}" and "t@10/validation_lora" not in f"{file}"
    ]
    table = table_of(left, levels=())
    shown = {(row.method, row.samples) for row in table.itertuples()}
    assert shown == {("Validation LoRA", 50), ("Validation LoRA", 200), ("GENOME+", 10), ("GENOME+", 200)}


def test_numbers_of_samples_are_ticks_on_a_logarithmic_scale(files, drawn, tmp_path):
    draw_learning_curve(table_of(files), [tmp_path / "figure.svg"])
    [axes] = drawn[0].axes
    assert axes.get_xscale() == "log"
    assert list(axes.get_xticks()) == [*SIZES]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["10", "50", "200"]
    assert not len(axes.get_xticks(minor=True))
    lines = [container.lines[0] for container in axes.containers]
    assert [list(line.get_ydata()) for line in lines] == [
        pytest.approx([32.5, 72.5, 97.5]),
        pytest.approx([62.5, 72.5, 77.5]),
    ]
    # Bars are apart by the same share of each number, and close to it.
    for one, other, size in zip(*(line.get_xdata() for line in lines), SIZES, strict=True):
        assert 0.9 * size < one < size < other < 1.1 * size
        assert one * other == pytest.approx(size**2)
    level = [line for line in axes.get_lines() if line.get_label() in ("Base", "Best Single")]
    assert [line.get_ydata()[0] for line in level] == pytest.approx([10.0, 40.0])
    assert level[0].get_linestyle() != level[1].get_linestyle()


def test_legend_has_what_only_a_later_panel_shows(files, write, drawn, tmp_path):
    more = [write("best_single", 20, task="u"), write("base", 6, task="u")]
    more += [write("genome_plus", 20 + seed, task="u", size=size, seed=seed) for size in SIZES for seed in (1, 2)]
    table = table_of([*files, *more], tasks=("u", "t"))
    draw_learning_curve(table, [tmp_path / "figure.svg"])
    assert [axes.get_title(loc="left") for axes in drawn[0].axes] == ["u", "t"]
    [legend] = drawn[0].legends
    assert {text.get_text() for text in legend.get_texts()} == {*LABELS.values()}


def test_one_number_of_samples_can_be_drawn(files, drawn, tmp_path):
    table = table_of(files, levels=())
    draw_learning_curve(table[table["samples"] == 50], [tmp_path / "figure.svg"])
    assert list(drawn[0].axes[0].get_xticks()) == [50]


def test_job_writes_pictures_and_the_numbers(files, tmp_path):
    out = {form: f"{tmp_path}/learning_curve.{form}" for form in ("svg", "png")} | {"table": f"{tmp_path}/curve.csv"}
    inputs = {"scores": [*map(str, files)]}

    class Inputs(dict):
        def __iter__(self):
            return iter(self["scores"])

    write_result("learning_curve", json.dumps(settings()), Inputs(inputs), out)
    with Image.open(out["png"]) as image:
        assert image.width >= 1000
    with Path(out["table"]).open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["samples"], row["value"]) for row in rows] == [
        ("Validation LoRA", "10", "32.50"),
        ("GENOME+", "10", "62.50"),
        ("Validation LoRA", "50", "72.50"),
        ("GENOME+", "50", "72.50"),
        ("Validation LoRA", "200", "97.50"),
        ("GENOME+", "200", "77.50"),
        ("Base", "", "10.00"),
        ("Best Single", "", "40.00"),
    ]
    assert all(row["runs"] for row in rows)


def test_legend_fits_into_a_column(files, drawn, tmp_path):
    table = table_of(files).replace({"GENOME+": "A variant with a name that is as long as a line of text"})
    draw_learning_curve(table, [tmp_path / "figure.svg"])
    [legend] = drawn[0].legends
    box, whole = legend.get_window_extent(), drawn[0].bbox
    assert whole.x0 <= box.x0 < box.x1 <= whole.x1
    assert box.y1 < drawn[0].axes[0].bbox.y0
