"""The one exception whose message is written for users, and the wording that such messages share."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

LONGEST = 300
"""Characters of another library's error, or of a user's text, that a message quotes."""


class GenomeError(Exception):
    """Says in one line what is wrong, where, and what to do.

    Raised where the fact is known, and caught only at the edge (scripts and the command line).
    """


def one_line(value: Any) -> str:
    """Return the message of a library's error, or another text, on one line, cut at `LONGEST` characters."""
    text = " ".join(str(value).split()) or type(value).__name__
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def nearest(name: Any, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest known name, or all of them."""
    known = list(known)
    match = get_close_matches(str(name), known, n=1)
    return f"did you mean {match[0]!r}?" if match else f"known are {', '.join(known)}"
