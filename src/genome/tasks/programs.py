"""Programs: right when they pass their unit tests, run in the sandbox, each distinct one once."""

from collections.abc import Mapping, Sequence
from typing import Any


def passed(prefix: str, pairs: Sequence[tuple[Mapping[str, Any], str]]) -> list[float]:
    """Return 1.0 for each (sample, program) whose tests all pass, else 0.0; equal sources are run once."""
    from genome.tasks.sandbox import run_programs  # what other kinds of tasks never load

    sources = [source(prefix, sample["tests"], program) for sample, program in pairs]
    distinct = dict.fromkeys(sources)
    verdicts = run_programs([text for text, _ in distinct], starts=[start for _, start in distinct])
    passes = dict(zip(distinct, verdicts, strict=True))
    return [float(passes[pair].passed) for pair in sources]


def source(prefix: str, tests: Sequence[str], program: str) -> tuple[str, int]:
    """Return the program as it is run, and where its tests start.

    It is what the task puts before it, the answer, the tests.
    """
    # The empty line: a program that ends on a backslash must not swallow its first test.
    head = f"{prefix}{program}\n\n"
    return head + "\n".join([*tests, ""]), len(head)
