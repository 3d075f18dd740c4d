"""An ensemble's score by its size: the numbers, and a figure of them with the configured size."""

from contextlib import contextmanager

import matplotlib
import pytest
from matplotlib.figure import Figure

from builders import make_task
from genome.report.figures import ensembles
from genome.report.figures.ensembles import by_size, draw, table

CHRF = {"metric": "chrf"}
NUMBER = make_task("number", "sums")
SPAN = make_task("span", "reading")


def samples(references):
    return [{"id": number, "reference": reference} for number, reference in enumerate(references)]


def test_each_size_is_the_ensemble_of_the_fittest():
    found = by_size(NUMBER, samples("1234"), ["1999", "1299", "1239", "8234"], 4, CHRF)
    # Of two members the fitter decides; the third makes 2 a majority, the fourth only ties 3 with the fittest's 9.
    assert [each.scores for each in found] == [(1, 0, 0, 0), (1, 0, 0, 0), (1, 1, 0, 0), (1, 1, 0, 0)]
    assert [each.value for each in found] == [0.25, 0.25, 0.5, 0.5]


def test_free_text_of_each_size_is_the_most_similar():
    members = [["qqq"], ["the cat sat"], ["the cat sits"]]
    found = by_size(SPAN, samples([["the cat sat"]]), members, 3, CHRF)
    assert [each.value for each in found] == [0, 0, 1]


def test_ensembles_larger_than_the_population_have_all_members():
    found = by_size(NUMBER, samples("12"), ["19", "92", "12"], 5, CHRF)
    assert [each.value for each in found] == [0.5, 0.5, 1, 1, 1]


@pytest.fixture
def found():
    runs = {
        "sums": [by_size(NUMBER, samples("1234" * 10), [text * 10 for text in seed], 3, CHRF)
                 for seed in (("1999", "1299", "1239"), ("1234", "1299", "1239"))],
        "others": [by_size(NUMBER, samples("12" * 10), [text * 10 for text in seed], 3, CHRF)
                   for seed in (("19", "12", "12"), ("19", "92", "12"))],
    }  # fmt: skip
    return table(runs, [1, 2])


def test_the_numbers_are_means_over_seeds_and_tasks(found):
    scores = found.pivot(index="k", columns="task", values="score")
    assert list(scores["sums"]) == [62.5, 62.5, 62.5]
    assert list(scores["others"]) == [50, 50, 100]
    assert list(scores["mean"]) == [56.25, 56.25, 81.25]
    assert (found["low"] <= found["score"]).all()
    assert (found["score"] <= found["high"]).all()
    assert {*found["seeds"]} == {"1 2"}
    assert list(found["n"].dropna().unique()) == [40, 20]


def test_the_figure_shows_the_mean_each_task_and_the_configured_size(found, monkeypatch):
    figure = Figure()

    @contextmanager
    def styled(out, height):
        yield figure

    monkeypatch.setattr(ensembles, "styled", styled)
    draw(found, 2, [])
    mean, *panels = figure.axes
    lines = {line.get_label(): line for line in mean.get_lines()}
    assert list(lines["mean over tasks"].get_xdata()) == [1, 2, 3]
    assert list(lines["mean over tasks"].get_ydata()) == [56.25, 56.25, 81.25]
    assert list(lines["configured: 2"].get_xdata()) == [2, 2]
    assert [panel.get_title(loc="left") or panel.get_title() for panel in panels] == ["sums", "others"]
    gains = [list(panel.get_lines()[-1].get_ydata()) for panel in panels]
    assert gains == [[0, 0, 0], [0, 0, 50]]


def test_the_same_numbers_give_the_same_bytes_whatever_the_readers_settings(found, tmp_path):
    names = ["k.svg", "k.png"]
    draw(found, 2, [tmp_path / name for name in names])
    with matplotlib.rc_context({"font.size": 20, "svg.hashsalt": None, "savefig.dpi": 50}):
        draw(found, 2, [tmp_path / "again" / name for name in names])
    for name in names:
        assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
