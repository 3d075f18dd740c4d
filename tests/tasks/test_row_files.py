"""Files of rows in every form: the same rows, and one line about what is wrong."""

import datetime
import gzip
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genome.errors import GenomeError
from genome.tasks.row_files import first_row, read_rows

ROWS = [{"question": "a, b", "answer": "1"}, {"question": 'say "ä"\nnow', "answer": "2"}]


def write_rows(path, rows):
    form = path.name.removesuffix(".gz").rpartition(".")[2]
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    delimiter = {"csv": ",", "tsv": "\t"}.get(form)
    if delimiter:
        quoted = [
            ['"' + str(cell).replace('"', '""') + '"' for cell in line] for line in [rows[0], *(map(dict.values, rows))]
        ]
        text = "\r\n".join(delimiter.join(line) for line in quoted) + "\r\n\r\n"
    else:
        text = "\n".join(map(json.dumps, rows))
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode("utf-8-sig"))
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv", "a.csv.gz", "a.jsonl.gz", "a.parquet", "a.CSV", "a"])
def test_all_forms_give_the_same_rows(tmp_path, name):
    path = write_rows(tmp_path / name, ROWS)
    if name == "a.CSV":
        path = write_rows(tmp_path / "a.csv", ROWS).rename(path)
    assert read_rows(path) == ROWS
    assert first_row(path) == ROWS[0]


def test_parquet_values_become_those_of_json(tmp_path):
    rows = [{"day": datetime.date(2026, 1, 2), "price": Decimal("1.50"), "image": b"x", "options": ["a", "b"], "n": 3}]
    found = read_rows(write_rows(tmp_path / "a.parquet", rows))
    assert found == [{"day": "2026-01-02", "price": "1.50", "options": ["a", "b"], "n": 3}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"q,a\n1,2,3\n", r"line 2: 3 values for 2 columns; .*put values with ',' in quotes"),
        ("a.csv", b"q,a\n1\n", r"line 2: 1 values for 2 columns"),
        ("a.csv", b"q,q\n1,2\n", r"line 1: the column 'q' is repeated"),
        ("a.csv", b'q,a\n"1,2\n', r"not CSV"),
        ("a.csv", b"q,a\n\xff,2\n", r"line 2: not UTF-8"),
        ("a.parquet", b"no parquet", r"not Parquet"),
        ("a.jsonl", b"[1]", r"not a row of JSON Lines"),
    ],
)
def test_a_faulty_file_is_refused_in_one_line_and_has_no_first_row(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(GenomeError, match=message) as caught:
        read_rows(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert first_row(path) is None


def test_a_file_without_rows_is_empty(tmp_path):
    for name, content in (("a.csv", b""), ("b.csv", b"q,a\n")):
        (tmp_path / name).write_bytes(content)
        assert read_rows(tmp_path / name) == []
        assert first_row(tmp_path / name) is None


def test_a_missing_parquet_file_is_named(tmp_path):
    with pytest.raises(GenomeError, match="no such file"):
        read_rows(tmp_path / "a.parquet")
