"""Markdown of tables: marks, gains, headings, captions."""

import numpy as np
import pandas as pd
import pytest

from builders import score_row
from genome.files import write_json
from genome.report.layout import STYLES
from genome.report.rendering import caption, markdown
from genome.report.tables import collect

NAMES = {"A": "best_single", "B": "model_swarms", "G": "genome"}


def rows(*labels):
    return [
        {"name": NAMES.get(label, label), "variant": NAMES.get(label, label), "label": label, "report": "best"}
        for label in labels
    ]


def on(*tasks, **fields):
    return [{"name": task, "tasks": task, "test_task": task, "metric": "accuracy", **fields} for task in tasks]


def sure(**holds):
    """Return what is known of differences: `A_t="yes"` for that of G and A on t."""
    known = [("G", *key.split("_"), value) for key, value in holds.items()]
    return pd.DataFrame(known, columns=["method", "versus", "test", "holds"])


TABLE2 = pd.DataFrame(
    {
        "method": ["A", "B", "G", "G vs A", "G vs B"],
        "t": [40.0, 50.001, 50.0, 25.0, 0.0],
        "u": [90.0, 0.0, 45.0, -50.0, np.nan],
        "mean": [65.0, 25.0, 47.5, -12.5, 0.0],
    }
)


def test_markdown_marks_best_second_ties_signs_blanks_and_significance():
    known = sure(A_t="yes", B_t="no", A_u="no", A_mean="no")
    assert markdown(TABLE2, known, rows("A", "B", "G"), on("t", "u"), STYLES["table2"], "Said so.") == (
        "| Method   |          t |            u |         mean |\n"
        "|:---------|-----------:|-------------:|-------------:|\n"
        "| A        |    *40.00* |    **90.00** |    **65.00** |\n"
        "| B        |  **50.00** |         0.00 |        25.00 |\n"
        "| G        | **50.00**† |      *45.00* |      *47.50* |\n"
        "| – vs A   |    +25.00% | −50.00% n.s. | −12.50% n.s. |\n"
        "| – vs B   |          — |              |            — |\n"
        "\nSaid so.\n"
    )


def test_inline_gains_replace_the_marks_of_scores():
    table = pd.DataFrame({"method": ["A", "B", "B vs A", "G", "G vs A"], "t": [40.0, 40.0, 0.0, 50.0, 25.0]})
    table["u"] = [90.0, np.nan, np.nan, 45.0, -50.0]
    known = sure(A_t="yes", B_t="yes", A_u="no", B_u="no")
    assert markdown(table, known, rows("A", "B", "G"), on("t", "u"), STYLES["table3"]) == (
        "| Method   |                    t |                      u |\n"
        "|:---------|---------------------:|-----------------------:|\n"
        "| A        |              *40.00* |              **90.00** |\n"
        "| B        |          *40.00* (—) |                        |\n"
        "| G        | **50.00**‡ (+25.00%) | *45.00* (−50.00% n.s.) |\n"
    )


def test_a_group_is_named_over_its_first_column():
    table = pd.DataFrame({"method": ["B"], "t": [1.0], "u": [2.0], "v": [3.0]})
    columns = [*on("t", "u", group="Letters"), *on("v", group="More")]
    lines = markdown(table, sure(), rows("B"), columns, STYLES["table4"]).splitlines()
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in (lines[0], *lines[2:])] == [
        ["Method", "Letters", "", "More"],
        ["", "t", "u", "v"],
        ["B", "**1.00**", "**2.00**", "**3.00**"],
    ]


@pytest.fixture
def said(tmp_path):
    """Return a function that writes score rows and says a table's caption."""

    def say(style, seeds, *labels, tasks=("a", "b"), **changes):
        scores = [
            score_row(NAMES[label], task, **{"seed": seed, "standard_error": 0.0175} | changes.get(task, {}))
            for label in labels
            for task in tasks
            for seed in seeds
        ]
        write_json(tmp_path / "scores.json", scores)
        return caption(collect([tmp_path / "scores.json"]), rows(*labels), on(*tasks), seeds, STYLES[style])

    return say


def test_caption_names_seeds_and_samples(said):
    text = said("table2", [1, 2], "A", "G", b={"n": 697})
    assert "mean over seeds 1, 2 " in text
    assert "test samples: a 1000, b 697;" in text
    assert "at most 1.8 points" in text
    assert "; 1000 test samples a task;" in said("table2", [1, 2], "A", "G")


def test_caption_explains_only_marks_in_the_table(said):
    both = said("table2", [1, 2, 3, 4, 5], "A", "B", "G")
    assert "† differs from A; ‡ differs from B; n.s. marks a gain that does not hold." in both
    assert "bootstrapped over test samples and seeds, excludes 0." in both
    assert "with few seeds" in said("table2", [1, 2], "A", "B", "G")
    assert "one seed: what others give is not in it" in said("table2", [1], "A", "B", "G")
    beside = said("table6", [1], "A", "B", "G")
    assert "†" not in beside
    assert "‡ differs from B" in beside
    assert "In parentheses: the relative gain over A" in beside
    ablations = said("table8", [1], "G", "B")
    assert "†" not in ablations
    assert "‡" not in ablations
    assert "relative gain over G; their mean is" in ablations
    transfer = said("table5", [1], "B", "G")
    assert "n.s." not in transfer
    assert "‡ differs from B." in transfer
    assert "differs" not in said("table5", [1], "G")
