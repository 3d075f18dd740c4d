"""Readers of the files that stages write: one per kind of file, used by every later stage and report.

Each checks the types, numbers and names that its callers rely on and returns plain rows. GenomeError names the file,
the problem and the remedy. Populations have a separate reader (`genome.search.population`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from genome.fields import UnexpectedError, mapping, number, reading, sequence, share, shown, text, whole
from genome.files import REMAKE, read_json, read_jsonl
from genome.search.finalists import KINDS
from genome.tasks import Task, parse_task
from genome.tasks.lengths import response_limits
from genome.tasks.scoring import for_base

Row = Mapping[str, Any]

NO_ENGINE = "no engine"
"""The engine of answers that no model gave."""

REPORTS = ("best", "ensemble")
"""The results of a run that are scored on a test."""

SCORE = (
    "method", "report", "population_size", "tasks", "test_task", "seed", "score", "n", "standard_error", "unparsed",
    "run",
)  # fmt: skip
"""The fields that every row of scores.json has; some rows have more."""

COUNTS = ("evaluations", "samples")
"""The counts in a record; its other numbers are measured."""


def read_split(path: Path | str, *others: str) -> Row:
    """Return a split's provenance; `others` are fields that it must have in addition to the sizes of both sides."""
    value = read_json(path, REMAKE)
    with reading(path):
        for side in ("validation", "test"):
            whole(mapping(value, "it")[side], side)
        for name in others:
            value[name]
        return value


def read_samples(path: Path | str, asked: bool = False) -> list[dict[str, Any]]:
    """Return prepared samples, each with a unique `id`, and with token ids if they are `asked`."""
    samples = read_jsonl(path, REMAKE)
    with reading(path):
        sequence(samples, "its rows", 1)
        for index, sample in enumerate(samples):
            mapping(sample, f"row {index + 1}")
            sample_name(sample["id"], f"row {index + 1}, id")
            if sample.get("of", len(samples)) != len(samples):
                raise UnexpectedError(f"{len(samples)} of {shown(sample['of'])} samples")
            for letter, option in mapping(sample.get("options", {}), f"sample {sample['id']}, options").items():
                text(option, f"sample {sample['id']}, option {letter}")
            for test in sequence(sample.get("tests", []), f"sample {sample['id']}, tests"):
                text(test, f"sample {sample['id']}, tests")
            if asked:
                _check_tokens(sample)
        _refuse_twice((sample["id"] for sample in samples), "sample {}")
    return samples


def _check_tokens(sample: Row) -> None:
    """Check the token ids of a sample's prompt, and of its continuations if it has them."""
    place = f"sample {sample['id']}"
    neutral = mapping(sample.get("neutral", {"tokens": [0], "continuations": [[0]]}), f"{place}, neutral")
    continuations = [
        mapping(each, f"{place}, a continuation") for each in sequence(sample.get("continuations", []), place)
    ]
    for each in continuations:
        text(each["option"], f"{place}, option")
        whole(each["characters"], f"{place}, characters", 1)
        whole(each["bytes"], f"{place}, bytes", 1)
    for tokens in (
        sample["tokens"],
        neutral["tokens"],
        *sequence(neutral["continuations"], f"{place}, neutral", 1),
        *(each["tokens"] for each in continuations),
        *(each["prompt"] for each in continuations if "prompt" in each),
    ):
        for token in sequence(tokens, f"{place}, tokens", 1):
            whole(token, f"{place}, tokens")


def read_scored_task(
    name: str, definition: Mapping[str, Any], base: Path | str, prompts: Path | str
) -> tuple[Task, list[dict[str, Any]]]:
    """Return a task as it is scored for the base model in folder `base`, and its prepared samples."""
    task, samples = for_base(parse_task(name, definition), base), read_samples(prompts)
    max_tokens, stop = response_limits(samples, task.max_tokens, task.stop)
    return replace(task, max_tokens=max_tokens, stop=stop), samples


def read_responses(path: Path | str, samples: Sequence[Row]) -> dict[str, tuple[str, list[str]]]:
    """Return the individual in each role of a test, and its responses in the order of `samples`.

    Roles are `best`, `member1`, `member2`, …. Rows may be in any order; a sample without a row, with two, or of another
    test is an error.
    """
    by_role = _by_role(path)
    expected = [sample["id"] for sample in samples]
    with reading(path):
        for role, (_, by_sample) in by_role.items():
            _same_samples(role, by_sample, expected)
    return {role: (name, [by_sample[sample] for sample in expected]) for role, (name, by_sample) in by_role.items()}


def read_names(path: Path | str) -> list[str]:
    """Return the names of the individuals that answered a test: the best, then the members."""
    return [name for name, _ in _by_role(path).values()]


def _by_role(path: Path | str) -> dict[str, tuple[str, dict[Any, str]]]:
    """Return the individual in each role of a test, the best first, and its responses by sample."""
    rows = read_jsonl(path, REMAKE)
    found: dict[str, dict[Any, str]] = {}
    names: dict[str, str] = {}
    with reading(path):
        for index, row in enumerate(sequence(rows, "its rows", 1)):
            place = f"row {index + 1}"
            role, name = text(mapping(row, place)["role"], f"{place}, role"), text(row["individual"], f"{place}, name")
            sample = sample_name(row["sample"], f"{place}, sample")
            by_sample = found.setdefault(role, {})
            if sample in by_sample:
                raise UnexpectedError(f"two responses of {role} to sample {sample}")
            if names.setdefault(role, name) != name:
                raise UnexpectedError(f"{role} is both {names[role]} and {name}")
            by_sample[sample] = text(row["response"], f"{place}, response")
        roles = ["best", *(f"member{rank}" for rank in range(1, len(found)))]
        for role in roles:
            if role not in found:
                raise UnexpectedError(f"no responses of {role}; it has {', '.join(found)}")
    return {role: (names[role], found[role]) for role in roles}


def read_origin(path: Path | str) -> Row:
    """Return the origin of responses: the `engine` that answered, the `experts`, and the number of `members`.

    Of a run's responses, also the kind of what it hands out (`handed_out`: `genome.search.finalists.Kind`).
    """
    value = read_json(path, REMAKE)
    with reading(path):
        for name in ("engine", "versions"):
            mapping(mapping(value, "it")[name], name)
        for entry in sequence(value["experts"], "experts", 1):
            for name in ("name", "sha256"):
                text(mapping(entry, "experts, entry")[name], f"experts, {name}")
        whole(value["members"], "members")
        _kind(value, "it")
    return value


def origin_of(responses: Path | str) -> Path:
    """Return the file next to responses that records their origin."""
    return Path(responses).with_suffix(".json")


def read_evaluations(path: Path | str) -> list[Row]:
    """Return the validation answers of a stage, a row per individual, task and sample."""
    rows = read_jsonl(path, REMAKE)
    with reading(path):
        for index, row in enumerate(rows):
            place = f"row {index + 1}"
            text(mapping(row, place)["individual"], f"{place}, individual")
            text(row["task"], f"{place}, task")
            sample_name(row["sample"], f"{place}, sample")
            _answer(row["answer"], place)
            share(row["score"], f"{place}, score")
        _refuse_twice(
            ((row["individual"], row["task"], row["sample"]) for row in rows), "the answer of {0[0]} to {0[1]} {0[2]}"
        )
    return rows


def read_answers(path: Path | str) -> dict[str, list[Row]]:
    """Return the scored answers of a test by what is reported (`best`, `ensemble`), a row per sample."""
    rows = read_jsonl(path, REMAKE)
    by_report: dict[str, list[Row]] = {}
    with reading(path):
        for index, row in enumerate(sequence(rows, "its rows", 1)):
            place = f"row {index + 1}"
            by_report.setdefault(_report(mapping(row, place)["report"], place), []).append(row)
            sample_name(row["sample"], f"{place}, sample")
            share(row["score"], f"{place}, score")
            _parts(row.get("parts", []), f"{place}, parts")
        _refuse_twice(((row["report"], row["sample"]) for row in rows), "the answer of {0[0]} to {0[1]}")
    return by_report


def read_scores(path: Path | str) -> list[Row]:
    """Return the rows of a test's scores.json, one for each result that is reported of a run.

    If the file's path names a test and a run, rows must be of these.
    """
    rows = read_json(path, REMAKE)
    with reading(path):
        for index, row in enumerate(sequence(rows, "its rows", 1)):
            place = f"row {index + 1}"
            mapping(row, place)
            absent = [name for name in SCORE if name not in row]
            if absent:
                raise UnexpectedError(f"a row has no field {absent[0]!r}")
            _report(row["report"], place)
            for name in ("method", "tasks", "test_task", "run"):
                text(row[name], f"{place}, {name}")
            for name in ("population_size", "seed"):
                if row[name] is not None:
                    whole(row[name], f"{place}, {name}")
            share(row["score"], f"{place}, score")
            whole(row["n"], f"{place}, n", 1)
            whole(row["unparsed"], f"{place}, unparsed")
            if number(row["standard_error"], f"{place}, standard_error") < 0:
                raise UnexpectedError(f"{place}, standard_error: {row['standard_error']}")
            _kind(row, place)
            if row.get("engine") is not None:
                mapping(row["engine"], f"{place}, engine")
            if _test_of(path) not in (None, _place(row)):
                raise UnexpectedError(f"{place} is of {_place(row)}")
        _refuse_twice(((_place(row), row["run"], row["report"]) for row in rows), "the {0[2]} of {0[0]}")
    return rows


def read_record(path: Path | str, *numbers: str) -> Row:
    """Return the cost of a stage: the `machine` that answered (None: no engine was used), and the given `numbers`."""
    value = read_json(path, REMAKE)
    with reading(path):
        mapping(value, "it")
        for name in numbers:
            if name in COUNTS:
                whole(value[name], name)
            elif number(value[name], name) < 0:
                raise UnexpectedError(f"{name}: {value[name]}")
        if value["machine"] is not None:
            text(value["machine"], "machine")
    return value


def _test_of(path: Path | str) -> str | None:
    """Return the test and run in the path of a file below `results/test`; None for other files."""
    folders = Path(path).parent.as_posix().rpartition("results/test/")
    return folders[2] if folders[1] else None


def _place(row: Row) -> str:
    """Return the folder of a row's test below `results/test`."""
    parts = [row["test_task"], row["tasks"], row["method"]]
    numbers = (("n", row["population_size"]), ("seed", row["seed"]))
    parts += [f"{letter}{value}" for letter, value in numbers if value is not None]
    return "/".join(parts)


def _same_samples(role: str, found: Mapping[Any, str], expected: Sequence[Any]) -> None:
    missing = [sample for sample in expected if sample not in found]
    if missing:
        raise UnexpectedError(
            f"no response of {role} to sample {missing[0]} ({len(missing)} of {len(expected)} missing)"
        )
    foreign = found.keys() - set(expected)
    if foreign:
        first = next(sample for sample in found if sample in foreign)
        raise UnexpectedError(f"{role} has answered sample {first}, which is not among the {len(expected)} prompts")


def _refuse_twice(keys: Iterable[Any], what: str) -> None:
    seen = set()
    for key in keys:
        if key in seen:
            raise UnexpectedError(f"{what.format(key)} occurs twice")
        seen.add(key)


def sample_name(value: Any, place: str) -> str | int:
    """Return the name of a sample: text, or a number if rows are numbered."""
    return value if type(value) is int else text(value, place)


def _answer(value: Any, place: str) -> str | None:
    return None if value is None else text(value, f"{place}, answer")


def _kind(value: Row, place: str) -> None:
    """Check what kind of model was handed out, where a file says it."""
    kind = value.get("handed_out", KINDS[0])
    if kind not in KINDS:
        raise UnexpectedError(f"{place}, handed_out: expected one of {', '.join(KINDS)}, found {shown(kind)}")


def _parts(value: Any, place: str) -> None:
    """Check the parts of a metric: names, numbers, and lists of these."""
    for part in sequence(value, place):
        if isinstance(part, list):
            _parts(part, place)
        elif not isinstance(part, str):
            number(part, place)


def _report(value: Any, place: str) -> str:
    if value not in REPORTS:
        raise UnexpectedError(f"{place}, report: expected {' or '.join(REPORTS)}, found {shown(value)}")
    return value
