"""Published conversations as training corpora: rows of {prompt, response}.

There is one row per conversation: its first exchange. A system message, if any, is put before the user's message
(Gemma's chat template has no system role). Conversations without both sides are left out and counted.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genome.errors import GenomeError
from genome.files import encodable
from genome.tasks.sources import Row, read_source

MESSAGES = "messages"
"""The column of a conversation: a list of {role, content}."""


def read_corpus(source: Mapping[str, Any], folder: Path | None = None) -> tuple[list[dict[str, str]], int]:
    """Return the exchanges of a published data set, and the number of its conversations without one.

    `only` and `without` select rows by the values of a column; `folder` has local copies of published data. Raises
    GenomeError as `genome.tasks.sources` does, and for a missing column, an invalid conversation, and a selection
    without any exchange.
    """
    rows = [row for _, rows in read_source(source, folder) for row in rows]
    name = source.get("hub") or source.get("path")
    numbered = [
        (f"corpus {name}, row {number}", row)
        for number, row in enumerate(rows, start=1)
        if _is_chosen(row, source, str(name))
    ]
    exchanges = [
        exchange
        for where, row in numbered
        if (exchange := first_exchange(_messages(where, _column(row, MESSAGES, str(name)))))
    ]
    if not exchanges:
        raise GenomeError(
            f"corpus {name}: {len(rows)} rows, {len(numbered)} of them selected, none with an exchange; correct "
            "`only` or `without` in the config"
        )
    return exchanges, len(numbered) - len(exchanges)


def _messages(where: str, value: Any) -> list[Mapping[str, str]]:
    """Return a conversation; GenomeError unless it is a list of messages, each with a role and a text or null."""
    if not isinstance(value, list):
        raise GenomeError(f"{where}: {MESSAGES!r} is not a list of {{role, content}}")
    for message in value:
        if not isinstance(message, Mapping) or not {"role", "content"} <= message.keys():
            raise GenomeError(f"{where}: a message is not a mapping of role and content")
        text = message["content"]
        if text is not None and not isinstance(text, str):
            raise GenomeError(f"{where}: the content of a message is {type(text).__name__}, expected text")
        if text is not None and not encodable(text):
            raise GenomeError(f"{where}: the content of a message contains half of a surrogate pair; correct the text")
    return value


def first_exchange(messages: list[Mapping[str, str]]) -> dict[str, str] | None:
    """Return the first prompt and the response to it; None if either is missing or empty."""
    asked: list[str] = []
    for message in messages:
        text = (message["content"] or "").strip()
        if message["role"] == "assistant":
            # A conversation that begins with an answer, or has an empty turn before it, has no prompt.
            return {"prompt": "\n\n".join(asked), "response": text} if asked and all(asked) and text else None
        asked.append(text)
    return None


def _is_chosen(row: Row, source: Mapping[str, Any], name: str) -> bool:
    only, without = source.get("only") or {}, source.get("without") or {}
    return all(_column(row, column, name) in values for column, values in only.items()) and not any(
        _column(row, column, name) in values for column, values in without.items()
    )


def _column(row: Row, column: str, name: str) -> Any:
    if column not in row:
        columns = " ".join(", ".join(row).split())  # names may contain line breaks
        raise GenomeError(f"corpus {name}: no column {column!r}; its columns are {columns}")
    return row[column]
