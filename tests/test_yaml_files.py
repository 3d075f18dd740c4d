"""YAML files are read strictly."""

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
            ", line 3: 'seeds' is repeated, first in line 1; keep one of them",
        ),
        ("a:\n  b: 1\n  'b': 2\n", ", line 3: 'b' is repeated, first in line 2; keep one of them"),
        ("a: &a\n  b: *a\n", ", line 1: the anchor here contains itself; write its values out"),
        ("a: &a [*a]\n", ", line 1: the anchor here contains itself; write its values out"),
        ("a: 1\n\tb: 2\n", "indent with spaces, not tabs"),
        ("a:\n\tb: 2\n", "indent with spaces, not tabs"),
        ("a: [1\n", ", line 2: not YAML ("),
        ("a: 1\n---\nb: 2\n", ", line 2: not YAML ("),
        ("? [a]\n: 1\n", ", line 1: a list or mapping cannot be a key"),
        (LAUGHS, "anchors expand to more than 1,000,000 values here"),
        ("[" * 500, "mappings or lists are nested more than 100 deep"),
        ("a: " + "[" * 101 + "]" * 101, "mappings or lists are nested more than 100 deep"),
        ("[" * 100_000, ""),  # the message depends on the parser
        (b"a: \xff\n", ": not UTF-8 ("),
    ],
)
@pytest.mark.parametrize("read", [read_yaml, check_yaml])
def test_read_yaml_refuses_ambiguous_files_with_their_line(tmp_path, read, text, said):
    started = time.process_time()
    assert said in refusal(tmp_path, text, read)
    assert time.process_time() - started < 2


def test_read_yaml_refuses_invalid_values(tmp_path):
    assert "not YAML (" in refusal(tmp_path, "a: 2024-02-30\n")
    assert "not YAML (" in refusal(tmp_path, "a: !!python/object:os.system x\n")


def test_read_yaml_names_a_missing_file(tmp_path):
    with pytest.raises(GenomeError, match=r"nowhere\.yaml: no such file"):
        read_yaml(tmp_path / "nowhere.yaml")
    with pytest.raises(GenomeError, match="it is a folder"):
        read_yaml(tmp_path)


def test_check_yaml_accepts_json_without_repeated_keys(tmp_path):
    file = tmp_path / "mine.json"
    file.write_text('{\n\t"seeds": [1]\n}')
    check_yaml(file)
    assert ": 'b' is repeated" in refusal(tmp_path, '{"a": {"b": 1, "b": 2}}', check_yaml)
    assert "deep" in refusal(tmp_path, "[" * 100_000 + "]" * 100_000, check_yaml)


def test_read_yaml_reads_finite_anchors_and_merge_keys(tmp_path):
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
def test_check_yaml_refuses_a_file_that_is_not_a_mapping(tmp_path, text):
    assert "expected a mapping" in refusal(tmp_path, text, check_yaml)


def test_read_yaml_of_an_empty_file_is_none(tmp_path):
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert read_yaml(tmp_path / "empty.yaml") is None


OURS = (file for place in ("*.yaml", "[cepw]*/**/*.yaml") for file in PROJECT.glob(place))


@pytest.mark.parametrize("file", sorted(OURS), ids=lambda file: file.relative_to(PROJECT).as_posix())
def test_read_yaml_reads_the_project_files(file):
    check_yaml(file)
    assert read_yaml(file)
