"""Sources of a task's rows: local files, the hub, or published CSV and JSON files.

A source is a mapping from a task file, already checked. It names tables, one per split and config, or per file. Their
rows are as published, with at most these additional columns: the config of a row, a joined column, and the history of a
conversation.
"""

import glob
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from genome.errors import GenomeError, one_line
from genome.files import check_file, is_file, is_taken
from genome.tasks.row_files import read_rows

Row = dict[str, Any]
Source = Mapping[str, Any]

SIDES = ("validation", "test")
CONVERTED = "refs/convert/parquet"
"""The hub's own conversion of a data set whose repository has a loading script, which should not be run."""


@dataclass(frozen=True)
class Table:
    """One table of a source.

    side: "validation" or "test" if these have separate tables
    path, url: from the source, with the placeholders {config} and {split}
    """

    side: str | None
    split: str | None
    config: str | None
    path: str | None
    url: str | None

    @property
    def file(self) -> str:
        """The path relative to the folder of local copies."""
        return self._filled(self.path)

    @property
    def address(self) -> str:
        """The address of a published file."""
        return self._filled(self.url)

    def _filled(self, pattern: str | None) -> str:
        return (pattern or "").replace("{config}", self.config or "").replace("{split}", self.split or "")


def tables(source: Source) -> list[Table]:
    """Return the tables of a source in the order of its pool: by split, then by config."""
    apart = any(isinstance(source.get(key), Mapping) for key in ("split", "path", "url", "records"))
    found = [
        Table(side, split, config, path, url)
        for side in (SIDES if apart else (None,))
        for split in _of_side(source, "split", side)
        for config in _configs(source)
        for path, url in _side_by_side(_of_side(source, "path", side), _of_side(source, "url", side))
    ]
    return list(dict.fromkeys(found))


def is_published(source: Source) -> bool:
    """Return whether a source can be fetched; all others are a user's files."""
    return bool(source.get("hub") or source.get("url"))


def is_local(source: Source, folder: Path | None) -> bool:
    """Return whether rows are read from files: a user's files, or copies of published data in `folder`."""
    return bool(source.get("path")) and (folder is not None or not is_published(source))


def local_files(source: Source, folder: Path | None) -> list[Path]:
    """Return the files of a source, an empty list if it is fetched; GenomeError if a file is missing."""
    if not is_local(source, folder):
        return []
    needed = tables(source)
    needed += [
        replace(table, config=joined["config"]) for joined in (source.get("join") or {}).values() for table in needed
    ]
    patterns = dict.fromkeys(table.file for table in needed)
    return [path for pattern in patterns for path in _existing(pattern, folder)]


def read_source(source: Source, folder: Path | None = None) -> list[tuple[Table, list[Row]]]:
    """Return the tables of a source with their rows; `folder` has local copies of published data.

    GenomeError: a missing or damaged file, a data set that cannot be fetched, a row without counterpart in a join, a
    missing column of conversations.
    """
    result = []
    local = is_local(source, folder)
    seen: set[str] = set()
    joins: dict[Table, list[Row]] = {}  # a table that all configs of a split are joined to is read once
    for table in tables(source):
        # One local file may replace several tables.
        if local and table.file in seen:
            continue
        seen.add(table.file)
        rows = _read(source, table, folder, local)
        if not local or "{config}" in (table.path or ""):
            columns = _config_columns(source, table.config)
            rows = [{**row, **columns} for row in rows]
        for column, joined in (source.get("join") or {}).items():
            other = replace(table, config=joined["config"])
            if other not in joins:
                joins[other] = _read(source, other, folder, local)
            rows = _joined(rows, joins[other], column, joined, place(source, table, folder))
        if source.get("conversation"):
            rows = _conversations(rows, source["conversation"], place(source, table, folder))
        result.append((table, rows))
    return result


def place(source: Source, table: Table, folder: Path | None) -> str:
    """Return the place of a table's rows, for messages."""
    if is_local(source, folder):
        return str((folder or Path()) / table.file)
    if table.url:
        return table.address
    named = ", ".join(part for part in (table.config, table.split) if part)
    return f"hub dataset {source['hub']}" + (f" ({named})" if named else "")


def _of_side(source: Source, key: str, side: str | None) -> list[Any]:
    """Return the values of a field for one side, [None] if the source has none."""
    value = source.get(key)
    value = value.get(side) if isinstance(value, Mapping) else value
    return list(value) if isinstance(value, list | tuple) else [value]


def _side_by_side(paths: list[Any], urls: list[Any]) -> list[tuple[Any, Any]]:
    """Return each path with its address; a single path or address is combined with all of the others."""
    number = max(len(paths), len(urls))
    return list(zip(*(values * number if len(values) == 1 else values for values in (paths, urls)), strict=True))


def _configs(source: Source) -> list[str | None]:
    """Return the configs of a source: one, or several under the column that distinguishes them."""
    config = source.get("config")
    if not isinstance(config, Mapping):
        return [config]
    [names] = config.values()
    # The order of a mapping is lost: settings that pass through JSON come back sorted.
    return sorted(names) if isinstance(names, Mapping) else list(names)


def _config_columns(source: Source, config: str | None) -> dict[str, str]:
    """Return the columns with a row's config: {language: de}, and {language_name: German} if it is named."""
    if not isinstance(source.get("config"), Mapping):
        return {}
    [(column, names)] = source["config"].items()
    named = {f"{column}_name": names[config]} if isinstance(names, Mapping) else {}
    return {column: str(config), **named}


def _read(source: Source, table: Table, folder: Path | None, local: bool) -> list[Row]:
    if local:
        return [row for path in _existing(table.file, folder) for row in read_rows(path)]
    return _url_rows(source, table) if table.url else _hub_rows(source, table)


def _matches(pattern: str, folder: Path | None) -> list[Path]:
    """Return the files of a name: all matches of a pattern, sorted, or the file itself, or its compressed form."""
    path = (folder or Path()) / pattern
    if glob.has_magic(pattern):
        # Path.glob does not accept absolute patterns.
        return sorted(map(Path, glob.glob(str(path))))  # noqa: PTH207
    compressed = path.with_name(path.name + ".gz")
    return [compressed if not is_file(path) and is_file(compressed) else path]


def _existing(pattern: str, folder: Path | None) -> list[Path]:
    paths = _matches(pattern, folder)
    missing = [path for path in paths if not is_file(path)] if paths else [(folder or Path()) / pattern]
    if missing:
        if is_taken(missing[0]):
            check_file(missing[0])  # raises an error that names its type
        raise GenomeError(
            f"no file {missing[0]}; put the rows there (JSON Lines, CSV or Parquet), or correct source.path or data_dir"
        )
    return paths


def _hub_rows(source: Source, table: Table) -> list[Row]:
    """Return the rows of a hub dataset at its pinned revision; the library `datasets` runs no remote code."""
    import datasets

    converted = (
        f"hf://datasets/{source['hub']}@{quote(source['revision'], safe='')}/{table.config}/{table.split}/*.parquet"
    )
    with _loading(f"{source['hub']} ({table.config or 'default'}, {table.split}) from the hub"):
        loaded: Any
        if source["revision"] == CONVERTED:
            loaded = datasets.load_dataset("parquet", data_files=converted, split="train")
        else:
            loaded = datasets.load_dataset(source["hub"], table.config, split=table.split, revision=source["revision"])
    return [dict(row) for row in loaded]


def _url_rows(source: Source, table: Table) -> list[Row]:
    """Return the rows of a published CSV or JSON file; `records` names the levels of a JSON document, outermost first.

    Values of the outer levels that are neither lists nor mappings are copied into the rows.
    """
    import datasets

    levels = [level for level in _of_side(source, "records", table.side) if level]
    form = Path(table.address).suffix.removeprefix(".")
    field = {"field": levels[0]} if levels and form == "json" else {}
    with _loading(table.address):
        loaded = datasets.load_dataset(form, data_files=table.address, split="train", **field)
    rows = [dict(row) for row in loaded]
    for level in levels[1:]:
        for number, row in enumerate(rows, start=1):
            inner = row.get(level)
            if not isinstance(inner, list) or not all(isinstance(each, dict) for each in inner):
                raise GenomeError(
                    f"{table.address}: record {number} has no list of records {level!r}; correct `records`"
                )
        rows = [
            {**{key: value for key, value in row.items() if not isinstance(value, list | dict)}, **inner}
            for row in rows
            for inner in row[level]
        ]
    return rows


@contextmanager
def _loading(what: str) -> Iterator[None]:
    """Turn the errors of the library `datasets` in the block into a GenomeError about `what`."""
    try:
        yield
    except Exception as error:
        known = isinstance(error, ImportError | OSError | ValueError | RuntimeError)
        # The library's own errors have a separate base class, in a module that is slow to import.
        if not (known or type(error).__module__.startswith("datasets.")):
            raise
        raise GenomeError(
            f"cannot load {what}: {one_line(error)}; without a network, set data_dir to a folder that contains its rows"
        ) from error


def _joined(rows: list[Row], others: list[Row], column: str, joined: Mapping[str, str], where: str) -> list[Row]:
    """Return rows with the additional `column`, read from the row of another config with the same key."""
    key, wanted = joined["by"], joined["column"]
    absent = next((name for row in others for name in (key, wanted) if name not in row), None)
    if absent is not None:
        raise GenomeError(f"{where}: the rows of {joined['config']} to join have no column {absent!r}")
    for number, row in (*enumerate(others, start=1), *enumerate(rows, start=1)):
        if isinstance(row.get(key), list | dict):
            raise GenomeError(f"{where}: row {number} has a list or a mapping in {key!r}; join by a text or a number")
    values = {row[key]: row[wanted] for row in others}
    lost = next((number for number, row in enumerate(rows, start=1) if row.get(key) not in values), None)
    if lost is not None:
        raise GenomeError(f"{where}: row {lost} has no counterpart in {joined['config']} with the same {key!r}")
    return [{**row, column: values[row[key]]} for row in rows]


def _conversations(rows: list[Row], column: str, where: str) -> list[Row]:
    """Return the last row of each conversation (neighbours with the same `column`), with the others as `history`."""
    lost = next((number for number, row in enumerate(rows, start=1) if column not in row), None)
    if lost is not None:
        raise GenomeError(f"{where}: row {lost} has no column {column!r}, which distinguishes conversations")
    grouped = [list(group) for _, group in groupby(rows, key=lambda row: row[column])]
    return [{**last, "history": history} for *history, last in grouped]
