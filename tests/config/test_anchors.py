"""Paths that begin with ./ or ../ start at the file that names them."""

import json

import pytest

from genome.config.anchors import anchored, anchored_config


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Write configs into folders of a working folder and return them, the defaults first."""
    monkeypatch.chdir(tmp_path)

    def write(**contents):
        found = []
        for folder, content in {"project": {}, **contents}.items():
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "config.yaml").write_text(json.dumps(content, indent="\t"))
            found.append(tmp_path / folder / "config.yaml")
        return found

    return write


def test_paths_of_a_task_start_at_its_file_or_at_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = {
        "source": {"path": {"validation": "./a.jsonl", "test": ["../b/*.jsonl", "c.jsonl", "/d.jsonl"]}},
        "prompt": "./x",
    }
    assert anchored(task, tmp_path / "own/tasks/t.yaml") == {
        "source": {"path": {"validation": "own/tasks/a.jsonl", "test": ["own/b/*.jsonl", "c.jsonl", "/d.jsonl"]}},
        "prompt": "./x",
    }
    assert anchored({"path": "./a"}, "t.yaml") == {"path": "a"}
    assert anchored({"path": "../a"}, tmp_path / "t.yaml", tmp_path / "out") == {"path": "../../a"}


def test_a_path_starts_at_the_last_config_that_says_it(files):
    one = {"bases": {"own": {"model": {"path": "./base"}, "experts": {"a": {"path": "../a"}}}}}
    two = {"bases": {"own": {"experts": {"a": {"path": "../a"}, "b": {"path": "b"}}}}, "data_dir": ["./x", "y"]}
    defaults, *others = files(one=one, two=two)
    merged = {
        "bases": {"own": {"model": {"path": "./base"}, "experts": {"a": {"path": "../a"}, "b": {"path": "b"}}}},
        "data_dir": ["./x", "y"],
    }
    # Snakemake lists the defaults last.
    found = anchored_config(merged, [*others, defaults], defaults)
    assert found["bases"]["own"] == {"model": {"path": "one/base"}, "experts": {"a": {"path": "a"}, "b": {"path": "b"}}}
    assert found["data_dir"] == ["two/x", "y"]


def test_a_path_of_the_command_line_starts_at_the_working_folder(files):
    defaults, other = files(one={"data_dir": "./a"})
    assert anchored_config({"data_dir": "./b"}, [other, defaults], defaults) == {"data_dir": "./b"}


def test_texts_that_are_not_paths_stay(files):
    defaults, other = files(one={"labels": {"a": "./a"}, "seeds": [1]})
    assert anchored_config({"labels": {"a": "./a"}, "seeds": [1]}, [other, defaults], defaults) == {
        "labels": {"a": "./a"},
        "seeds": [1],
    }
