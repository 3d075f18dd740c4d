"""Answers of a stage, kept as they come: a stage that was interrupted asks only for the missing ones.

The file has a line of JSON per answered request. An answer is found by a digest of what decides it: the engine's
fingerprint, and the address and the body of the request, with the adapter's name (its content hash), the tokens of the
prompts and the length of an answer. Whole requests are kept, not prompts: the rest is asked in the same requests as
without an interruption, and which prompts are computed together decides the last bits of an engine's numbers.
"""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genome.engine.fingerprint import Fingerprint
from genome.files import canonical_json, writing

log = logging.getLogger("genome")

Answer = dict[str, Any]


class Kept:
    """The answers in a file, and those that are added to it; without a file, nothing is kept.

    `seconds` is the time that earlier attempts of the stage have spent on the answers in the file. Only these are found
    again: a request that a stage repeats is asked, and counted, as often as without an interruption.
    """

    def __init__(self, file: Path | None, fingerprint: Fingerprint):
        self._file = file
        self._engine = canonical_json(dict(fingerprint))
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._found, self.seconds = _read(file) if file else ({}, 0.0)
        if self._found:
            log.info("%d requests were answered before this stage was interrupted", len(self._found))

    def find(self, path: str, body: Mapping[str, Any]) -> Answer | None:
        """Return the answer that an earlier attempt received to a request; None if there is none."""
        return self._found.get(self._key(path, body)) if self._found else None

    def add(self, path: str, body: Mapping[str, Any], answer: Answer) -> None:
        """Keep an answer; GenomeError if the file cannot be written."""
        if self._file is None:
            return
        seconds = round(self.seconds + time.monotonic() - self._began, 3)
        line = json.dumps({"key": self._key(path, body), "seconds": seconds, "answer": answer}) + "\n"
        with self._lock, writing(self._file), self._file.open("ab") as file:
            file.write(line.encode())

    def _key(self, path: str, body: Mapping[str, Any]) -> str:
        return hashlib.sha256(f"{self._engine} {path} {canonical_json(body)}".encode()).hexdigest()


def _read(file: Path) -> tuple[dict[str, Answer], float]:
    """Return the answers in a file by their keys, and the seconds spent on them.

    A line that was cut when its process was killed is removed, so that the next one starts on a new line.
    """
    if not file.is_file():
        return {}, 0.0
    with writing(file), file.open("r+b") as lines:
        content = lines.read()
        whole = content[: content.rfind(b"\n") + 1]
        lines.truncate(len(whole))
    rows = [row for row in map(_row, whole.splitlines()) if row is not None]
    return {row["key"]: row["answer"] for row in rows}, max((row["seconds"] for row in rows), default=0.0)


def _row(line: bytes) -> dict[str, Any] | None:
    """Return the values of a line; None if it is damaged."""
    try:
        row = json.loads(line)
        return row if row.keys() == {"key", "seconds", "answer"} else None
    except (ValueError, AttributeError):
        return None
