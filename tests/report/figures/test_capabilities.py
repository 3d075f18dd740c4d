"""Figure 3: ranks of experts by hand, and the radars."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from genome.report.figures.capabilities import capabilities, draw_capabilities, rank_of, short_names


def scored(**fitness):
    return {"members": [{"name": name, "fitness": value} for name, value in fitness.items()]}


TASKS = {
    "gsm8k": scored(a=0.5, b=0.3, c=0.1),
    "mgsm": scored(a=0.1, b=0.5, c=0.2),
    "mbpp": scored(a=0.0, b=0.2, c=0.2),
}
CATEGORIES = {"gsm8k": ["Mathematics"], "mgsm": ["Mathematics", "Multilingual"], "mbpp": ["Code Generation"]}


def test_scores_are_means_over_the_tasks_of_a_category():
    rows = capabilities(TASKS, CATEGORIES)
    found = {(row["dimension"], row["expert"]): (row["score"], row["rank"]) for row in rows}
    assert found == {
        ("Mathematics", "a"): (pytest.approx(0.3), 2),
        ("Mathematics", "b"): (pytest.approx(0.4), 1),
        ("Mathematics", "c"): (pytest.approx(0.15), 3),
        ("Multilingual", "a"): (0.1, 3),
        ("Multilingual", "b"): (0.5, 1),
        ("Multilingual", "c"): (0.2, 2),
        ("Code Generation", "a"): (0.0, 3),
        ("Code Generation", "b"): (0.2, 1.5),
        ("Code Generation", "c"): (0.2, 1.5),
    }
    assert {row["dimension"]: row["tasks"] for row in rows}["Mathematics"] == "gsm8k mgsm"


def test_equal_means_share_their_rank():
    tasks = {"t": scored(a=0.0, b=0.1), "u": scored(a=0.3, b=0.2)}
    rows = capabilities(tasks, {"t": ["All"], "u": ["All"]})
    assert [row["rank"] for row in rows] == [1.5, 1.5]


@given(st.lists(st.integers(0, 5).map(lambda count: count / 5), min_size=1, max_size=12))
def test_ranks_equal_scipys(scores):
    assert [rank_of(score, scores) for score in scores] == list(rankdata(-np.array(scores)))


def test_short_names_stay_different():
    names = ["General Knowledge", "Mathematics", "Multilingual", "Mathematical Proofs", "Medical Practice", "Art"]
    assert short_names(names) == ["GK", "Math", "Mult", "Mathematical Proofs", "Medical Practice", "Art"]


def test_each_expert_has_a_radar_with_the_best_rank_outermost(drawn, tmp_path):
    rows = capabilities(TASKS, CATEGORIES)
    draw_capabilities(rows, [tmp_path / "figure.svg", tmp_path / "figure.png"])
    draw_capabilities(rows, [tmp_path / "again.svg"])
    assert (tmp_path / "figure.svg").read_bytes() == (tmp_path / "again.svg").read_bytes()
    assert [axes.get_title() for axes in drawn[0].axes] == ["a", "b", "c"]
    shapes = [list(axes.get_lines()[-1].get_ydata()) for axes in drawn[0].axes]
    assert shapes == [[2, 1, 1, 2], [3, 3, 2.5, 3], [1, 2, 2.5, 1]]
    assert all(axes.get_ylim() == (0, 3) for axes in drawn[0].axes)
