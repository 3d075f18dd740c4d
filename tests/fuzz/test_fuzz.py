"""A damaged file gives either one line of error that names it, or the correct result.

Every mutation of every file is tried at least once, and random mutations are repeated until a file has `CASES` cases.
For a campaign, `GENOME_FUZZ` multiplies that number and `GENOME_FUZZ_SEED` draws other cases.
"""

import hashlib
import os
import random
import re
import shutil
import stat
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from fuzz.doors import DOORS, Door
from fuzz.mutations import FATAL, NEUTRAL, OPEN, Mutation
from fuzz.runner import REFUSED, RETURNED, Outcome, run

CASES = 60 * int(os.environ.get("GENOME_FUZZ", "1"))
"""The least number of cases per damaged file."""

SEED = int(os.environ.get("GENOME_FUZZ_SEED", "0"))

TEMPORARY = re.compile(r"(^|/)\.[^/]+\.[a-z0-9_]{8}(/|$)|\.tmp\b|/pytest-of-|/tmp/")


def cases(door: Door) -> Iterator[tuple[str, Mutation, random.Random]]:
    """Yield the cases of a door: file, mutation and its generator."""
    for path, mutations in door.damaged.items():
        drawn = [mutation for mutation in mutations if mutation.effect == OPEN]
        again = CASES - len(mutations) if door.repeats else 0
        tried = [*mutations, *(drawn[number % len(drawn)] for number in range(again))]
        for number, mutation in enumerate(tried):
            yield path, mutation, random.Random(f"{SEED}/{path}/{number}")


def snapshot(folder: Path) -> dict[str, tuple]:
    """Return type and content of everything in a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        content = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(mode) else ""
        found[path.relative_to(folder).as_posix()] = (
            stat.S_IFMT(mode),
            str(path.readlink()) if path.is_symlink() else content,
        )
    return found


def complaints(
    name: str, path: str, mutation: Mutation, outcome: Outcome, expected: Outcome, folder: Path, before: dict
) -> list[str]:
    """Return the faults in the outcome of a case."""
    door, wrong = DOORS[name], []
    if outcome.kind not in (RETURNED, REFUSED):
        return [f"{outcome.kind}: {outcome.text[-1500:]}"]
    if outcome.kind == REFUSED:
        # A config's faults are reported all at once, one per line.
        if "\n" in outcome.text.removeprefix("The config is not valid:\n") and name != "configs":
            wrong.append(f"more than one line: {outcome.text}")
        if any(len(line) > 1000 for line in outcome.text.splitlines()):
            wrong.append(f"{len(outcome.text)} characters: {outcome.text[:1000]}")
        if not any(each in outcome.text for each in (path, *door.names)):
            wrong.append(f"names no file of the user: {outcome.text}")
        if TEMPORARY.search(outcome.text):
            wrong.append(f"names a temporary file: {outcome.text}")
        if mutation.effect == NEUTRAL:
            wrong.append(f"refused a harmless change: {outcome.text}")
    elif mutation.effect == FATAL:
        wrong.append("accepted without an error")
    elif mutation.effect == NEUTRAL and outcome != expected:
        wrong.append(f"another result: {outcome.text[:300]} instead of {expected.text[:300]}")
    if snapshot(folder / "given") != before:
        wrong.append("changed the given files")
    left = [name for name in (p.relative_to(folder).as_posix() for p in folder.rglob("*")) if TEMPORARY.search(name)]
    if left:
        wrong.append(f"left behind: {left}")
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("name", DOORS)
def test_damaged_input_is_refused_in_one_line_or_read_correctly(name, tmp_path):
    door = DOORS[name]
    for library in door.libraries:
        import_module(library)
    good = tmp_path / "good"
    good.mkdir()
    assert run(lambda: door.build(), good).kind == RETURNED
    shutil.copytree(good, tmp_path / "whole")
    expected = run(door.enter, tmp_path / "whole")
    assert expected.kind == RETURNED, expected.text
    found = []
    for number, (path, mutation, rng) in enumerate(cases(door)):
        folder = tmp_path / f"case{number}"
        shutil.copytree(good, folder)
        mutation.apply(folder / path, rng)
        before = snapshot(folder / "given")
        outcome = run(door.enter, folder)
        wrong = complaints(name, path, mutation, outcome, expected, folder, before)
        found += [f"case {number}, {path}, {mutation.name}: {each}" for each in wrong]
        shutil.rmtree(folder)
    assert not found, f"{len(found)} faults\n" + "\n".join(found)
