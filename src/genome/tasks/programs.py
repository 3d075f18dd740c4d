"""Programs: correct if they pass their unit tests in the sandbox; each distinct program runs once."""

from collections.abc import Mapping, Sequence
from typing import Any


def passed(prefix: str, pairs: Sequence[tuple[Mapping[str, Any], str]]) -> list[float]:
    """Return 1.0 for each (sample, program) whose tests all pass, else 0.0; equal sources run once."""
    from genome.tasks.sandbox import run_programs  # other kinds of tasks do not need it

    sources = [source(prefix, sample["tests"], program) for sample, program in pairs]
    distinct = dict.fromkeys(sources)
    verdicts = run_programs([text for text, _ in distinct], starts=[start for _, start in distinct])
    passes = dict(zip(distinct, verdicts, strict=True))
    return [float(passes[pair].passed) for pair in sources]


def source(prefix: str, tests: Sequence[str], program: str) -> tuple[str, int]:
    """Return the program to run (the task's prefix, the answer, the tests) and the position where its tests start."""
    # The empty line keeps a program that ends with a backslash from joining its first test.
    head = f"{prefix}{program}\n\n"
    return head + "\n".join([*tests, ""]), len(head)
