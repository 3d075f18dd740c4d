"""Markdown of tables: marks, gains, groups, headings, captions, notes."""

import numpy as np
import pandas as pd
import pytest

from builders import score_row
from genome.files import write_json
from genome.report.captions import caption, notes
from genome.report.layout import STYLES
from genome.report.rendering import markdown
from genome.report.tables import collect

NAMES = {"A": "best_single", "B": "model_swarms", "G": "genome"}


def rows(*labels, **groups):
    return [
        {
            "name": NAMES.get(label, label),
            "variant": NAMES.get(label, label),
            "label": label,
            "report": "best",
            "shown": label,
            "group": groups.get(label, "paper"),
        }
        for label in labels
    ]


def on(*tasks, **fields):
    return [{"name": task, "tasks": task, "test_task": task, "metric": "accuracy", **fields} for task in tasks]


COLUMNS = ["method", "versus", "test", "holds", "holds_holm", "lowest", "highest", "value"]


def sure(**holds):
    """Return what is known of differences: `A_t="yes"` for that of G and A on t, `holm` if it holds with Holm too."""
    known = [
        ("G", *key.split("_"), "yes" if value == "holm" else value, "yes" if value == "holm" else "no", None, None, 1.0)
        for key, value in holds.items()
    ]
    return pd.DataFrame(known, columns=COLUMNS)


def spread(*scores):
    """Return scores as the uncertainty has them: label, test, lowest and highest."""
    known = [(label, "", test, "", "", low, high, 0.0) for label, test, low, high in scores]
    return pd.DataFrame(known, columns=COLUMNS)


TABLE2 = pd.DataFrame(
    {
        "method": ["A", "B", "G", "G − A", "G vs A", "G − B", "G vs B"],
        "t": [40.0, 50.001, 50.0, 10.0, 25.0, -0.001, 0.0],
        "u": [90.0, 0.0, 45.0, -45.0, -50.0, 45.0, np.nan],
        "mean": [65.0, 25.0, 47.5, -17.5, -12.5, 22.5, 0.0],
    }
)


def lines_of(text):
    """Return the cells of a table's rows, without its heading."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]


def test_markdown_marks_best_second_ties_signs_blanks_and_what_holds():
    known = sure(A_t="yes", B_t="no", A_u="no", A_mean="no", B_u="holm", B_mean="holm")
    assert lines_of(markdown(TABLE2, known, rows("A", "B", "G"), on("t", "u"), STYLES["table2"])) == [
        ["A", "*40.00*", "**90.00**", "**65.00**"],
        ["B", "**50.00**", "0.00", "25.00"],
        ["G", "**50.00**†", "*45.00*‡‡", "*47.50*‡‡"],
        ["– vs A", "+10.00, +25.00%", "−45.00, −50.00% n.s.", "−17.50, −12.50% n.s."],
        ["– vs B", "—", "**+45.00**", "**+22.50**, +0.00%"],
    ]


def test_inline_gains_replace_the_marks_of_scores():
    table = pd.DataFrame(
        {
            "method": ["A", "B", "B − A", "B vs A", "G", "G − A", "G vs A"],
            "t": [40.0, 40.0, 0.0, 0.0, 50.0, 10.0, 25.0],
            "u": [90.0, np.nan, np.nan, np.nan, 45.0, -45.0, -50.0],
        }
    )
    known = sure(A_t="yes", B_t="yes", A_u="no", B_u="no")
    assert lines_of(markdown(table, known, rows("A", "B", "G"), on("t", "u"), STYLES["table3"])) == [
        ["A", "*40.00*", "**90.00**"],
        ["B", "*40.00* (—)", ""],
        ["G", "**50.00**‡ (+10.00, +25.00%)", "*45.00* (−45.00, −50.00% n.s.)"],
    ]


def test_seeds_are_shown_by_the_lowest_and_the_highest():
    table = pd.DataFrame({"method": ["A", "G", "G − A", "G vs A"], "t": [40.0, 77.8, 37.8, 94.5]})
    known = spread(("A", "t", None, None), ("G", "t", 56.7, 98.9))
    lines = lines_of(markdown(table, known, rows("A", "G"), on("t"), STYLES["table3"]))
    assert lines == [["A", "*40.00*"], ["G", "**77.80** (56.7–98.9; +37.80, +94.50%)"]]


def test_rows_have_headings_of_their_groups_unless_all_are_the_papers():
    table = pd.DataFrame({"method": ["U", "A", "G", "C"], "t": [1.0, 2.0, 3.0, 4.0]})
    shown = rows("U", "A", "G", "C", U="control", C="beyond")
    shown[2]["shown"] = "G, ensemble of 3"
    lines = lines_of(markdown(table, sure(), shown, on("t"), STYLES["table5"]))
    assert [line[0] for line in lines] == [
        "**Controls**", "U", "**The paper's methods**", "A", "G, ensemble of 3", "**Beyond the paper**", "C",
    ]  # fmt: skip
    plain = lines_of(markdown(table[1:3], sure(), rows("A", "G"), on("t"), STYLES["table5"]))
    assert [line[0] for line in plain] == ["A", "G"]


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

    def say(style, seeds, *labels, tasks=("a", "b"), known=None, **changes):
        scores = [
            score_row(NAMES[label], task, **{"seed": seed, "standard_error": 0.0175} | changes.get(task, {}))
            for label in labels
            for task in tasks
            for seed in seeds
        ]
        write_json(tmp_path / "scores.json", scores)
        found = collect([tmp_path / "scores.json"])
        known = sure() if known is None else known
        return caption(found, known, rows(*labels), on(*tasks), seeds, STYLES[style])

    return say


def test_caption_names_seeds_and_samples(said):
    text = said("table2", [1, 2], "A", "G", b={"n": 697})
    assert "mean over seeds 1, 2 " in text
    assert "In parentheses behind a score: the lowest and the highest seed." in text
    assert "test samples: a 1000, b 697;" in text
    assert "at most 1.8 points" in text
    assert "; 1000 test samples a task;" in said("table2", [1, 2], "A", "G")
    assert "lowest and the highest" not in said("table2", [1], "A", "G")


def test_caption_explains_only_marks_in_the_table(said):
    both = said("table2", [1, 2, 3, 4, 5], "A", "B", "G")
    assert (
        "† differs from A; ‡ differs from B; n.s. marks a gain that does not hold; a mark twice or a bold gain:" in both
    )
    assert "over test samples and seeds, excludes 0" in both
    assert "“vs” rows are gains in points, then in percent of the score compared with; the mean of the latter" in both
    assert "one seed: what others give is not in it" in said("table2", [1], "A", "B", "G")
    beside = said("table6", [1], "A", "B", "G")
    assert "†" not in beside
    assert "‡ differs from B" in beside
    assert "In parentheses: the gain over A, in points, then in percent" in beside
    ablations = said("table8", [1], "G", "B")
    assert "†" not in ablations
    assert "‡" not in ablations
    transfer = said("table5", [1], "B", "G")
    assert "n.s." not in transfer
    assert "‡ differs from B; a mark twice" in transfer
    assert "differs" not in said("table5", [1], "G")


def test_caption_says_what_means_estimate(said):
    like = sure(**{"A_mean of tasks like these": "yes", "B_mean of tasks like these": "no"})
    text = said("table2", [1], "A", "B", "G", known=like)
    assert "Marks of means are about these tasks; with tasks drawn too" in text
    assert "the mean is higher than A: G." in text
    none = said("table2", [1], "A", "B", "G", known=sure(**{"A_mean of tasks like these": "no"}))
    assert "the mean is higher for no row" in none
    assert "Marks of means" not in said("table3", [1], "A", "G")


def test_notes_say_what_runs_handed_out(tmp_path):
    results = ["search", "search", "expert", "search"]
    scores = [
        *(score_row("genome_plus", task, seed=seed, handed_out="search") for task in "ab" for seed in (1, 2)),
        *(score_row("best_single", task, seed=None, handed_out="expert") for task in "ab"),
    ]
    scores += [
        score_row("genome", task, seed=seed, handed_out=results.pop(0), run=f"{task}{seed}")
        for task in "ab"
        for seed in (1, 2)
    ]
    write_json(tmp_path / "scores.json", scores)
    found = collect([tmp_path / "scores.json"]).assign(expert="")
    said = notes(found, rows("A", "G"), on("a", "b"), [1, 2])
    assert said == ["G handed out: the search's result in 3 of 4 runs, the best expert in 1."]
