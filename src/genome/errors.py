"""The one exception that people are meant to read."""


class GenomeError(Exception):
    """What is wrong, where, and what to do, in one line.

    Raised where the fact is known and caught only at the edge (scripts and the command line).
    """
