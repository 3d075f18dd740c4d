"""The one exception that people are meant to read."""

LONGEST = 300
"""Characters of somebody else's error that a message quotes."""


class GenomeError(Exception):
    """What is wrong, where, and what to do, in one line.

    Raised where the fact is known and caught only at the edge (scripts and the command line).
    """


def one_line(error: BaseException) -> str:
    """Return what an error of a library says, on one line and not too long."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}…"
