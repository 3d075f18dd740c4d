"""A longer run in a folder that is there: what is raised, and what is refused because it would not continue the run."""

import pytest

from genome import api
from genome.api.folder import CONFIG
from genome.errors import GenomeError
from genome.yaml_files import read_yaml


def length(folder, method="cma_es"):
    config = read_yaml(folder / CONFIG)
    return config["generations"], config["methods"][method].get("budget")


def test_more_of_both_are_written_and_all_else_stays(given, tmp_path):
    folder = api.init(tmp_path / "out", **given, generations=3, budget="5,000 samples")
    config = folder / CONFIG
    text = config.read_text().replace("generations: 3", "generations: 3 # mine")
    config.write_text(text)
    api.init(folder, **given, generations=5, budget="6000 samples")
    assert config.read_text() == text.replace("generations: 3", "generations: 5").replace("5,000", "6000")
    api.init(folder, generations=7)
    api.init(folder, budget="7k samples")
    assert length(folder) == (7, "7k samples")
    before = config.read_text()
    api.init(folder, **given, generations=7, budget="7k samples")
    assert config.read_text() == before


def test_what_is_left_out_changes_nothing(given, tmp_path):
    folder = api.init(tmp_path / "out", **given, generations=12, budget="5000 samples")
    for options in ({"generations": 12}, {"budget": "5000 samples"}, {"generations": 13, "seed": 2}):
        with pytest.raises(GenomeError, match=r"says something else|the run in .* has 12"):
            api.init(folder, **given, **options)
    api.init(folder)
    assert length(folder) == (12, "5000 samples")


@pytest.mark.parametrize(
    ("first", "then", "words"),
    [
        ({}, {"generations": 9}, "--generations 9: the run in .*out has 10; choose more, or another --out"),
        ({}, {"generations": 301}, "expected a whole number from 1 to 300, found 301"),
        ({}, {"budget": "5000 samples"}, "the run in .*out has none, and is not made shorter"),
        ({"budget": "5000 samples"}, {"budget": "4000 samples"}, "has 5,000 samples; choose more samples"),
        ({"budget": "5000 samples"}, {"budget": "1 M tokens"}, "has 5,000 samples; choose more samples"),
        ({"budget": "5000 samples"}, {"budget": "much"}, "expected a whole number of samples or tokens"),
        ({"budget": "1 M tokens"}, {"budget": "2 M tokens"}, "would begin again; choose another --out, or change"),
        ({"method": "lorahub"}, {"generations": 12}, r"--generations: lorahub has none; .*\(methods.lorahub\)"),
    ],
)
def test_what_does_not_continue_a_run_is_refused(given, tmp_path, first, then, words):
    folder = api.init(tmp_path / "out", **given, **first)
    before = (folder / CONFIG).read_text()
    with pytest.raises(GenomeError, match=words):
        api.init(folder, **then)
    assert (folder / CONFIG).read_text() == before


@pytest.mark.parametrize(("option", "value"), [("generations", 3), ("budget", "1k samples")])
def test_a_method_without_this_length_is_refused(given, tmp_path, option, value):
    with pytest.raises(GenomeError, match=f"--{option}: task_arithmetic has none"):
        api.init(tmp_path / "out", **given, method="task_arithmetic", **{option: value})


def test_a_config_that_a_user_has_written_in_another_way_is_not_guessed_at(given, tmp_path):
    folder = api.init(tmp_path / "out", **given)
    config = folder / CONFIG
    config.write_text(config.read_text().replace("generations: 10", "generations:\n  10"))
    with pytest.raises(GenomeError, match="generations cannot be changed by an option there; change it in the file"):
        api.init(folder, generations=12)
