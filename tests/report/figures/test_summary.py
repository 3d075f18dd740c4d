"""The two pictures of the summary."""

import numpy as np
import pandas as pd
import pytest

from genome.report.figures.style import BEST, MEAN
from genome.report.figures.summary import MOST, draw_cost, draw_scores, not_beaten


def table(*rows):
    """Return a summary of methods by name, with scores and tokens, the best first."""
    return pd.DataFrame(
        [
            {"name": name, "short": name.title(), "score": score, "low": score - 2, "high": score + 2, "tokens": tokens}
            for name, score, tokens in rows
        ]
    )


FEW = table(("genome", 80.0, 1e6), ("cheap", 79.0, 2e5), ("dear", 70.0, 2e6), ("ties", 60.0, np.nan),
            ("best_single", 50.0, 5e4), ("base", 10.0, np.nan), ("majority", np.nan, np.nan))  # fmt: skip


def named(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_scores_have_a_line_per_method_and_the_best_and_the_baselines_stand_out(drawn, tmp_path):
    draw_scores(FEW, [tmp_path / "scores.svg"])
    [axes] = drawn[0].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "Genome", "Cheap", "Dear", "Ties", "Best_Single", "Base",
    ]  # fmt: skip
    points = [line for line in axes.lines if line.get_marker() == "o"]
    colours = [point.get_color() for point in points]
    assert colours[0] == BEST
    assert colours[4:] == [MEAN, MEAN]
    intervals = [line.get_xdata() for line in axes.lines if line.get_marker() != "o"]
    assert intervals[0] == pytest.approx([78, 82])
    assert (tmp_path / "scores.svg").stat().st_size > 1000


def test_scores_of_many_methods_are_the_best_and_the_baselines(drawn, tmp_path):
    many = table(*((f"m{i}", 90.0 - i, 1e5) for i in range(30)), ("base", 1.0, np.nan))
    draw_scores(many, [tmp_path / "scores.svg"])
    labels = [label.get_text() for label in drawn[0].axes[0].get_yticklabels()]
    assert labels == [*(f"M{i}" for i in range(MOST)), "Base"]


def test_cost_names_methods_that_nothing_cheaper_beats(drawn, tmp_path):
    draw_cost(FEW, [tmp_path / "cost.svg"])
    assert named(drawn[0]) == ["Genome", "Cheap", "Ties", "Best_Single", "Base"]
    [axes] = drawn[0].axes
    assert "none" in [label.get_text() for label in axes.get_xticklabels()]
    assert len([line for line in axes.lines if line.get_marker() == "o"]) == 6


def test_cost_is_drawn_if_nothing_spends_tokens(drawn, tmp_path):
    draw_cost(table(("ties", 60.0, np.nan), ("base", 10.0, np.nan)), [tmp_path / "cost.svg"])
    assert named(drawn[0]) == ["Ties", "Base"]


def test_not_beaten_is_the_front_of_cost_and_score():
    costs, scores = pd.Series([1, 1, 2, 3, 4]), pd.Series([5.0, 6.0, 6.0, 7.0, 6.5])
    assert not_beaten(costs, scores).tolist() == [False, True, False, True, False]
