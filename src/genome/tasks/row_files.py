"""A user's files of rows: JSON Lines or one JSON array, gzipped or not; CSV and TSV, gzipped or not; Parquet."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from datetime import date, time
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from genome.errors import GenomeError, one_line
from genome.files import check_file, read_numbered, read_text
from genome.validation.readable import is_mapping

Row = dict[str, Any]

ROWS = "give one JSON mapping of columns per line, or a JSON array of them"

DELIMITERS = {".csv": ",", ".tsv": "\t"}
PARQUET = ".parquet"

BLANK = 100
"""Empty lines at the start of a file, after which its first row is not looked for."""


def form_of(path: Path) -> str:
    """Return the ending of a file that says its form, without that of compression."""
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a file by its ending, JSON Lines if it has another; GenomeError names the faulty line.

    All values of CSV are text.
    """
    form = form_of(path)
    if form == PARQUET:
        return list(_parquet_rows(path))
    if form in DELIMITERS:
        return list(_csv_rows(path, read_text(path), DELIMITERS[form]))
    counted, numbered = read_numbered(path, ROWS, any_value=True, expected="a row of JSON Lines")
    for number, row in numbered:
        if not isinstance(row, dict):
            raise GenomeError(f"{path}, {counted} {number}: not a row of JSON Lines (not a mapping of columns); {ROWS}")
    return [row for _, row in numbered]


def first_row(path: Path) -> Row | None:
    """Return the first row of a file, without reading all of it if possible; None if it cannot be read."""
    form = form_of(path)
    try:
        if form == PARQUET or form in DELIMITERS:
            return next(_parquet_rows(path, 1) if form == PARQUET else iter(read_rows(path)), None)
        with (
            gzip.open(path, "rt", encoding="utf-8-sig")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8-sig") as lines
        ):
            row = json.loads(next((line for line in islice(lines, BLANK) if line.strip()), "null"))
    except (EOFError, GenomeError, OSError, ValueError, zlib.error):
        return None
    return row if is_mapping(row) else None


def _csv_rows(path: Path, text: str, delimiter: str) -> Iterator[Row]:
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = next((line for line in lines if line), [])
        for name in names:
            if names.count(name) > 1:
                raise GenomeError(f"{path}, line 1: the column {name!r} is repeated; rename one of them")
        for line in lines:
            if line and len(line) != len(names):
                raise GenomeError(
                    f"{path}, line {lines.line_num}: {len(line)} values for {len(names)} columns; correct the row, and "
                    f"put values with {delimiter!r} in quotes"
                )
            if line:
                yield dict(zip(names, line, strict=True))
    except csv.Error as error:
        raise GenomeError(f"{path}, line {lines.line_num}: not CSV ({error}); correct the file") from error


def _parquet_rows(path: Path, number: int | None = None) -> Iterator[Row]:
    """Yield the rows of a Parquet file, or the first `number`; columns of bytes, which no prompt has, are left out."""
    check_file(path)
    # Slow to import, and few files have this form.
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            readable = [each.name for each in file.schema_arrow if not _is_binary(pa, each.type)]
            for batch in file.iter_batches(batch_size=number or 1000, columns=readable):
                yield from ({name: _plain(value) for name, value in row.items()} for row in batch.to_pylist())
    except (pa.ArrowException, OSError) as error:
        raise GenomeError(f"{path}: not Parquet ({one_line(error)}); correct the file") from error


def _is_binary(pa: Any, kind: Any) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: dates and decimals as text, and bytes inside of others as null."""
    if isinstance(value, date | time | Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, bytes) else value
