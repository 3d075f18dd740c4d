"""How commands end if the library refuses their input."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from genome.errors import GenomeError


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the command with one line on standard error if the library refuses its input."""
    try:
        yield
    except GenomeError as error:
        sys.exit(f"error: {error}")
    except OSError as error:  # from the system, or from a library that loads a model, with messages of several lines
        sys.exit(f"error: {' '.join(str(error).split())}")
