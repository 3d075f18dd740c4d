"""A task as a value: the fields of a task file, checked completely before anything is read or generated.

A task file (config/tasks/NAME.yaml, or a mapping in a user's config) says where the rows are, how a row becomes a
prompt and a reference, and how a response is judged. Templates and expressions are kept as text here and compiled
in `genome.tasks.prompts` only, because every generation's job builds tasks and none of them renders a prompt.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from genome.errors import GenomeError, nearest
from genome.tasks.extraction import FALLBACKS, find_answer
from genome.tasks.kinds import KINDS
from genome.tasks.metrics import BASE, METRICS, TOKENIZERS
from genome.tasks.options import choose, folded


@dataclass(frozen=True)
class Task:
    """One task, as its file describes it.

    `shots` examples stand in `examples` of every row; `examples_by` is an expression whose value a row shares with
    its examples (the subtask, the language). `where` says which rows belong to the task; the value of `distinct` (by
    default the prompt) stands once in the whole split. `draw` gives positions in the permutation of the pool, for
    tasks whose published split is known: {"pool": 1319, "validation": [1000, 1200], "test": [0, 1000]}, or of
    Python's own sampling, {"validation": {"sample": 200}}, the test being drawn from the rest. `test_samples`
    stands above the config's number: "rest" is all that is left.
    `metric` is by default the first that suits the kind. `labels` maps the letter (or the label itself, where labels
    have no letters) to the label. `fallback` names what is taken for the answer where a response names none. Where
    all answers are `integers`, a point before three digits parts thousands.
    """

    name: str
    kind: str
    metric: str
    source: Mapping[str, Any]
    prompt: str
    category: str = ""
    reference: str | None = None
    shots: int = 0
    examples_by: str | None = None
    where: str | None = None
    distinct: str | None = None
    test_samples: int | str | None = None
    max_tokens: int = 512
    version: int = 1
    options: str | None = None
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    tests: str | None = None
    setup: str | None = None
    prefix: str = ""
    pattern: str | None = None
    fallback: str | None = None
    integers: bool = False
    tokenizer: str = "13a"
    draw: Mapping[str, Any] | None = None


# Metric and kind are checked by their tables, name is given beside the mapping.
_REQUIRED = ("kind", "source", "prompt", "reference")
_OF_KIND = ("options", "labels", "tests", "setup", "prefix", "tokenizer", "integers")
_FIELDS = tuple(f.name for f in fields(Task) if f.name != "name")
_TABLES = {"path", "config", "split", "join", "conversation"}
_SOURCES = {
    "generator": {"generator"},
    "hub": {"hub", "revision", *_TABLES},
    "url": {"url", "records", *_TABLES},
    "path": _TABLES,
}


def parse_task(name: str, mapping: Mapping[str, Any]) -> Task:
    """Return the task that `mapping` describes; GenomeError lists everything that is wrong with it in one line."""
    if not isinstance(mapping, Mapping):
        raise GenomeError(f"task {name}: expected a mapping of fields, found {mapping!r}")
    given = {key: value for key, value in mapping.items() if value is not None}
    problems = [f"unknown field {key!r} ({nearest(key, _FIELDS)})" for key in given if key not in _FIELDS]
    problems += _kind_problems(given)
    for key, (accepts, expected) in _TYPES.items():
        if key in given and not accepts(given[key]):
            problems.append(f"{key} must be {expected}, found {given[key]!r}")
    if isinstance(given.get("source"), Mapping):
        given["source"] = {key: value for key, value in given["source"].items() if value is not None}
        problems += _source_problems(given["source"])
    if isinstance(given.get("pattern"), str):
        problems += _pattern_problems(given["pattern"])
    if not problems and given.get("labels"):
        problems += _label_problems(_labels(given["labels"]), given.get("pattern") is None)
    if problems:
        raise GenomeError(f"task {name}: " + "; ".join(problems))
    given.setdefault("metric", KINDS[given["kind"]].metrics[0])
    if "labels" in given:
        given["labels"] = _labels(given["labels"])
    return Task(name=name, **given)


def _kind_problems(given: Mapping[str, Any]) -> list[str]:
    """Return what is missing or misplaced, given the kind of answer and the metric."""
    name, metric = given.get("kind"), given.get("metric")
    kind = KINDS.get(name) if isinstance(name, str) else None
    # Nothing but its tests says what a right program is.
    required = [key for key in _REQUIRED if not (key == "reference" and given.get("kind") == "program")]
    problems = [f"missing field {key!r}" for key in required if key not in given]
    if "kind" in given and kind is None:
        problems.append(f"unknown kind {given['kind']!r} ({nearest(given['kind'], KINDS)})")
    if metric is not None and (not isinstance(metric, str) or metric not in METRICS):
        problems.append(f"unknown metric {metric!r} ({nearest(metric, METRICS)})")
    elif kind is not None and metric is not None and metric not in kind.metrics:
        problems.append(f"metric {metric!r} does not suit kind {given['kind']!r} (use {' or '.join(kind.metrics)})")
    if kind is not None:
        needed = [key for key in kind.requires if key not in given]
        problems += [f"kind {given['kind']!r} needs the field {key!r}" for key in needed]
        foreign = [key for key in _OF_KIND if key in given and key not in (*kind.requires, *kind.allows)]
        problems += [f"kind {given['kind']!r} has no use for the field {key!r}" for key in foreign]
    return problems


def _source_problems(source: Mapping[str, Any]) -> list[str]:
    which = next((key for key in _SOURCES if key in source), None)
    if which is None:
        return [f"source must name one of {', '.join(_SOURCES)}, found {sorted(source)}"]
    problems = [
        f"unknown field {key!r} in source ({nearest(key, sorted(_SOURCES[which]))})"
        for key in source
        if key not in _SOURCES[which]
    ]
    if which == "generator" and source["generator"] != "micro":
        problems.append(f"unknown generator {source['generator']!r} in source (known: micro)")
    for key, (accepts, expected) in _SOURCE_TYPES.items():
        if key in source and not accepts(source[key]):
            problems.append(f"source.{key} must be {expected}, found {source[key]!r}")
    addresses = source.get("url") or []
    for address in [addresses] if isinstance(addresses, str) else addresses if _is_texts(addresses) else []:
        if not address.endswith((".csv", ".json")):
            problems.append(f"source.url must end in .csv or .json, found {address!r}")
    lists = [len(source[key]) for key in ("path", "url") if isinstance(source.get(key), list | tuple)]
    if len(set(lists)) > 1:
        problems.append("source.path and source.url must name as many files, in the same order")
    if which == "hub":
        missing = [key for key in ("split", "revision") if key not in source]
        problems += [f"source needs {key!r} beside 'hub', so that the rows stay the same" for key in missing]
    return problems


def _labels(given: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    return dict(given) if isinstance(given, Mapping) else {label: label for label in given}


def _label_problems(labels: Mapping[str, str], usual: bool) -> list[str]:
    """Return which labels, or letters of labels, no response can name; `usual` if it says `Answer: …`."""
    alike: dict[str, str] = {}
    problems = []
    for letter, label in labels.items():
        first = alike.setdefault(folded(label), label)
        if first != label or list(labels.values()).count(label) > 1:
            problems.append(f"labels: {first!r} and {label!r} are the same but for case, space and marks; keep one")
            continue
        for what, text in {"label": label, "letter": letter}.items():
            said = find_answer(f"Answer: {text}") if usual else text
            read = None if said is None else choose(said, labels)
            if read != letter:
                found = "nothing" if read is None else f"{labels[read]!r}"
                other = " (a letter is one or two letters or digits)" if what == "letter" and letter != label else ""
                problems.append(
                    f"labels: the answer {text!r} would be read as {found}, so choose another {what}{other}"
                )
                break
    return problems


def _pattern_problems(pattern: str) -> list[str]:
    try:
        groups = re.compile(pattern).groups
    except (re.error, OverflowError, RecursionError) as error:
        return [f"pattern is no regular expression ({error})"]
    return [] if groups else ["pattern needs a group (…): the first one is the answer"]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_tokenizer(value: Any) -> bool:
    return isinstance(value, str) and value in (*TOKENIZERS, BASE)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(map(_is_text, value))


def _is_labels(value: Any) -> bool:
    return _is_texts([*value.keys(), *value.values()] if isinstance(value, Mapping) else value)


def _is_range(value: Any, pool: int) -> bool:
    pair = isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_count, value))
    return pair and value[0] < value[1] <= pool


def _is_draw(value: Any) -> bool:
    """Say whether a draw names positions of its pool, no position for both sides."""
    if not isinstance(value, Mapping) or not _is_count(value.get("pool")):
        return False
    match value:
        case {"validation": {"sample": size}}:
            return set(value) == {"pool", "validation"} and _is_count(size) and size <= value["pool"]
        case {"validation": first, "test": second}:
            whole = all(_is_range(side, value["pool"]) for side in (first, second))
            return set(value) == {"pool", "validation", "test"} and whole and not {*range(*first)} & {*range(*second)}
    return False


def _is_named(value: Any) -> bool:
    return _is_text(value) or _is_texts(value)


def _is_by_side(value: Any) -> bool:
    """Say whether a place is given: by one or several names, or so for each side."""
    if isinstance(value, Mapping):
        return set(value) == {"validation", "test"} and all(map(_is_named, value.values()))
    return _is_named(value)


def _is_config(value: Any) -> bool:
    if isinstance(value, Mapping):
        return len(value) == 1 and all(_is_text(column) and _is_labels(names) for column, names in value.items())
    return _is_text(value)


def _is_join(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(joined, Mapping)
        and set(joined) == {"config", "by", "column"}
        and all(map(_is_text, joined.values()))
        for joined in value.values()
    )


_TEXT = (_is_text, "text that is not empty")
_TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("category", "prompt", "reference", "options", "tests", "setup"), _TEXT),
    **dict.fromkeys(("examples_by", "where", "distinct"), _TEXT),
    "pattern": _TEXT,
    "integers": (lambda value: isinstance(value, bool), "true or false"),
    "tokenizer": (
        lambda value: isinstance(value, str) and value in (*TOKENIZERS, BASE),
        f"one of {', '.join(TOKENIZERS)}, {BASE}",
    ),
    "prefix": (lambda value: isinstance(value, str), "text"),
    "source": (lambda value: isinstance(value, Mapping), "a mapping such as {path: FILE.jsonl}"),
    "shots": (_is_count, "a whole number from 0"),
    "max_tokens": (lambda value: _is_count(value) and value > 0, "a whole number from 1"),
    "version": (_is_count, "a whole number"),
    # YAML reads a bare yes or no as a truth value, hence the hint.
    "labels": (_is_labels, "a list of texts or a mapping of letters to texts (put yes and no in quotes)"),
    "test_samples": (
        lambda value: value == "rest" or (_is_count(value) and value > 0),
        "a whole number from 1, or rest",
    ),
    "fallback": (lambda value: isinstance(value, str) and value in FALLBACKS, f"one of {', '.join(FALLBACKS)}"),
    "draw": (
        _is_draw,
        "{pool: ROWS, validation: [START, STOP], test: [START, STOP]} or {pool: ROWS, validation: {sample: SIZE}}",
    ),
}
_PLACE = (_is_by_side, "a name, a list of names, or so by side: {validation: …, test: …}")
_SOURCE_TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("path", "split", "url"), _PLACE),
    "config": (_is_config, "a name, or several under the column that tells them apart: {language: [de, en]}"),
    "join": (_is_join, "{COLUMN: {config: NAME, by: COLUMN, column: COLUMN}}"),
    "conversation": _TEXT,
    "records": (_is_texts, "a list of names"),
    "revision": _TEXT,
    "hub": _TEXT,
}
