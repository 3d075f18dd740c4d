"""YAML files: read once and strictly."""

import time
from pathlib import Path

import pytest

from genome.errors import GenomeError
from genome.yaml_files import check_yaml, read_yaml

PROJECT = Path(__file__).parent.parent
LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 20))


def refusal(tmp_path, text, read=read_yaml, name="mine.yaml"):
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(GenomeError) as error:
        read(file)
    said = str(error.value)
    assert said.startswith(str(file))
    assert "\n" not in said
    return said.removeprefix(str(file))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "seeds: [1]\nall: []\nseeds: [2]\n",
            ", line 3: 'seeds' stands twice, first in line 1; keep one of them",
        ),
        ("a:\n  b: 1\n  'b': 2\n", ", line 3: 'b' stands twice, first in line 2; keep one of them"),
        ("a: &a\n  b: *a\n", ", line 1: the anchor here holds itself; write its values out"),
        ("a: &a [*a]\n", ", line 1: the anchor here holds itself; write its values out"),
        ("a: 1\n\tb: 2\n", "indent with spaces, not tabs"),
        ("a:\n\tb: 2\n", "indent with spaces, not tabs"),
        ("a: [1\n", ", line 2: not YAML ("),
        ("a: 1\n---\nb: 2\n", ", line 2: not YAML ("),
        ("? [a]\n: 1\n", ", line 1: a list or mapping cannot be a name"),
        (LAUGHS, "anchors stand for more than 1,000,000 values here"),
        ("[" * 500, "mappings or lists lie more than 100 deep"),
        ("a: " + "[" * 101 + "]" * 101, "mappings or lists lie more than 100 deep"),
        ("[" * 100_000, ""),  # the parsers of JSON and YAML say it in words of their own
        (b"a: \xff\n", ": not UTF-8 ("),
    ],
)
@pytest.mark.parametrize("read", [read_yaml, check_yaml])
def test_a_file_that_says_two_things_or_none_is_refused_with_its_line(tmp_path, read, text, said):
    started = time.process_time()
    assert said in refusal(tmp_path, text, read)
    assert time.process_time() - started < 2


def test_values_that_cannot_be_made_are_refused(tmp_path):
    assert "not YAML (" in refusal(tmp_path, "a: 2024-02-30\n")
    assert "not YAML (" in refusal(tmp_path, "a: !!python/object:os.system x\n")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(GenomeError, match=r"nowhere\.yaml: no such file"):
        read_yaml(tmp_path / "nowhere.yaml")
    with pytest.raises(GenomeError, match="it is a folder"):
        read_yaml(tmp_path)


def test_json_is_a_config_too_and_its_keys_stand_once(tmp_path):
    file = tmp_path / "mine.json"
    file.write_text('{\n\t"seeds": [1]\n}')
    check_yaml(file)
    assert ": 'b' stands twice" in refusal(tmp_path, '{"a": {"b": 1, "b": 2}}', check_yaml)
    assert "deep" in refusal(tmp_path, "[" * 100_000 + "]" * 100_000, check_yaml)


def test_anchors_that_end_and_keys_laid_over_merged_ones_are_read(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("a: &a {step: 1, rate: 2}\nb: &b {<<: *a, step: 3}\nc: {<<: *b, whole: *a}\nd: [*a, *a]\n")
    first = {"step": 1, "rate": 2}
    assert read_yaml(file) == {
        "a": first,
        "b": {"step": 3, "rate": 2},
        "c": {"step": 3, "rate": 2, "whole": first},
        "d": [first, first],
    }


@pytest.mark.parametrize("text", ["", "# nothing\n", "7\n", "just words\n", "- 1\n", "[1]", "null"])
def test_a_config_that_names_nothing_is_refused(tmp_path, text):
    assert "expected names with values" in refusal(tmp_path, text, check_yaml)


def test_an_empty_file_is_nothing(tmp_path):
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert read_yaml(tmp_path / "empty.yaml") is None


OURS = (file for place in ("*.yaml", "[cepw]*/**/*.yaml") for file in PROJECT.glob(place))


@pytest.mark.parametrize("file", sorted(OURS), ids=lambda file: file.relative_to(PROJECT).as_posix())
def test_our_own_files_are_read(file):
    check_yaml(file)
    assert read_yaml(file)
