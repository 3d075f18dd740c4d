"""The evolution figure: its contents, and equal bytes for equal runs."""

import xml.etree.ElementTree as ET
from itertools import combinations

import matplotlib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genome.report.figures.evolution import _swarm, draw_evolution, evolution


def individual(name, fitness):
    return {"name": name, "operator": "crossover", "fitness": fitness}


@pytest.fixture
def populations():
    """Three generations of four members; in each later one, one candidate is kept and one discarded."""
    result = []
    for generation, values in enumerate([(0.3, 0.4, 0.4, 0.5), (0.4, 0.5, 0.5, 0.6), (0.5, 0.5, 0.6, 0.6)]):
        members = [individual(f"g{generation}-{k}", value) for k, value in enumerate(values)]
        discarded = [individual(f"g{generation}-out", 0.2)] if generation else []
        result.append(
            {
                "generation": generation,
                "members": members,
                "created": [members[-1], *discarded],
                "best": individual("best", max(values)),
            }
        )
    return result


def test_the_figure_shows_best_mean_members_and_discarded(populations, drawn, tmp_path):
    draw_evolution(evolution(populations[::-1]), [tmp_path / "run.svg"], title="gsm8k")
    axes = drawn[0].axes[0]
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert list(lines["best so far"].get_xdata()) == [0, 1, 2]
    assert list(lines["best so far"].get_ydata()) == [0.5, 0.6, 0.6]
    assert list(lines["mean of members"].get_ydata()) == pytest.approx([0.4, 0.5, 0.55])
    assert sorted(lines["member"].get_ydata()) == sorted(
        member["fitness"] for population in populations for member in population["members"]
    )
    assert list(lines["discarded"].get_ydata()) == [0.2, 0.2]
    assert axes.get_title(loc="left") == "gsm8k"


def test_lines_and_dots_differ_without_colour(populations, drawn, tmp_path):
    draw_evolution(evolution(populations), [tmp_path / "run.svg"])
    lines = {line.get_label(): line for line in drawn[0].axes[0].get_lines()}
    assert lines["best so far"].get_linestyle() != lines["mean of members"].get_linestyle()
    assert lines["discarded"].get_markerfacecolor() == "white" != lines["member"].get_markerfacecolor()


def test_the_same_run_gives_the_same_bytes_whatever_the_readers_settings(populations, tmp_path):
    names = ["run.svg", "run.png"]
    draw_evolution(evolution(populations), [tmp_path / name for name in names])
    with matplotlib.rc_context({"font.size": 20, "svg.hashsalt": None, "savefig.dpi": 50}):
        draw_evolution(evolution(populations), [tmp_path / "again" / name for name in names])
    for name in names:
        assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert ET.parse(tmp_path / "run.svg").getroot().tag.endswith("svg")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["again", "run.png", "run.svg"]


def test_run_with_constant_fitness_can_be_drawn(populations, drawn, tmp_path):
    for population in populations:
        for each in (*population["members"], *population["created"], population["best"]):
            each["fitness"] = 0.0
    draw_evolution(evolution(populations[:1]), [tmp_path / "run.png"])
    assert (tmp_path / "run.png").is_file()
    best, mean = drawn[0].axes[0].texts
    assert best.get_verticalalignment() != mean.get_verticalalignment(), "one label hides the other"


@given(
    st.lists(st.integers(0, 200).map(lambda count: count / 200), min_size=1, max_size=60), st.sampled_from([0.0, 0.02])
)
def test_dots_and_generations_do_not_overlap(values, height):
    offsets = _swarm(values, height)
    assert max(map(abs, offsets)) < 0.5
    for one, other in combinations(range(len(values)), 2):
        if abs(values[one] - values[other]) <= height:
            assert offsets[one] != offsets[other]
