"""The user's rows, before any job: whether they exist and have the columns that a task names."""

import gzip
import json

import pytest

from genome.config.rows import first_row, task_files
from genome.errors import GenomeError

TASK = {"kind": "number", "prompt": "{{ question }} {{ history | default('') }}", "reference": "answer"}


@pytest.fixture
def rows(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('\n{"question": "1+1", "answer": "2"}\n')
    return file


def test_a_column_that_the_first_row_lacks_is_named(rows):
    task = {**TASK, "source": {"path": str(rows)}, "prompt": "{{ qestion }}"}
    with pytest.raises(GenomeError) as error:
        task_files("till", task, None)
    assert str(error.value) == f"task till: {rows}: row 1 has no column 'qestion' (did you mean 'question'?)"


def test_missing_file_is_refused_with_its_task(rows):
    task = {**TASK, "source": {"path": str(rows.parent / "row.jsonl")}}
    with pytest.raises(GenomeError, match=r"^task till: no file .*row\.jsonl; put the rows there"):
        task_files("till", task, None)


def test_invalid_template_is_refused(rows):
    with pytest.raises(GenomeError, match=r"^task till: prompt, line 1: "):
        task_files("till", {**TASK, "source": {"path": str(rows)}, "prompt": "{{ question"}, None)


def test_published_rows_are_read_from_the_data_folder(rows):
    task = {
        **TASK,
        "source": {"hub": "a/b", "split": "test", "revision": "c", "path": "rows.jsonl"},
        "prompt": "{{ question }}",
    }
    assert task_files("till", task, None) == []
    assert task_files("till", task, str(rows.parent)) == [rows]


def test_columns_that_reading_adds_are_accepted(rows):
    source = {
        "path": str(rows),
        "config": {"language": {"de": "German"}},
        "join": {"hint": {"config": "other", "by": "question", "column": "hint"}},
    }
    prompt = "{{ question }} {{ language }} {{ language_name }} {{ hint }}"
    assert task_files("till", {**TASK, "source": source, "prompt": prompt}, None) == [rows]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"[1]", b"no json", b"\xff", b"[\n{}]", b'"text"'])
def test_unreadable_first_row_is_not_refused_by_the_config(tmp_path, content):
    (tmp_path / "a.jsonl").write_bytes(content)
    (tmp_path / "a.jsonl.gz").write_bytes(content)
    assert first_row(tmp_path / "a.jsonl") is None
    assert first_row(tmp_path / "a.jsonl.gz") is None


def test_a_compressed_row_is_read(tmp_path):
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.write(json.dumps({"q": 1}))
    assert first_row(tmp_path / "a.jsonl.gz") == {"q": 1}
