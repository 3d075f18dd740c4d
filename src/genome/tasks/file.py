"""A task file: what it may say, checked completely before anything is read or generated. No job imports this module.

A task file (config/tasks/NAME.yaml, or a mapping in a user's config) says where the rows are, how a row becomes a
prompt and a reference, and how a response is judged.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, JsonValue, Tag, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from genome.errors import GenomeError, nearest
from genome.tasks.chat_settings import AnyChat
from genome.tasks.choosing import choose
from genome.tasks.definition import by_letter, parse_task
from genome.tasks.extraction import FALLBACKS, find_answer
from genome.tasks.harness_file import HarnessTask, expanded, is_harness
from genome.tasks.kinds import KINDS
from genome.tasks.likelihood import ANSWER_BY, LETTER, LIKELIHOOD, LIKELIHOOD_OF, LIKELIHOOD_PER
from genome.tasks.metrics import BASE, METRICS, TOKENIZERS
from genome.tasks.options import folded
from genome.tasks.task import Task
from genome.tasks.wordforms import names_of
from genome.validation.explain import explained
from genome.validation.readable import is_list, is_mapping, unreadable
from genome.validation.section import Count, OneOf, Section
from genome.validation.words import Words

Line = Annotated[str, Field(pattern=r"\S"), Words("non-empty text")]
Lines = Annotated[tuple[Line, ...], Field(min_length=1)]
Whole = Annotated[int, Field(ge=0)]


class Sides(Section):
    """Names for each side of a split."""

    validation: Line | Lines = Field(description="For validation.")
    test: Line | Lines = Field(description="For test.")


Place = Annotated[Line | Lines | Sides, Words("a name, a list of names, or {validation: …, test: …} of such")]


class Join(Section):
    """A column from the rows of another configuration."""

    config: Line = Field(description="The other configuration.")
    by: Line = Field(description="The column that both share.")
    column: Line = Field(description="The column to add.")


def _one_column(config: Any) -> Any:
    if is_mapping(config) and len(config) != 1:
        raise PydanticCustomError("mismatch", "not one column")
    return config


COPY = "The local copy below `data_dir`, as JSON Lines; {config} and {split} are replaced by their names."
SPLIT = "Split of the data set, several, or one for each side."


class Tables(Section):
    """What all sources may say of their tables."""

    config: Annotated[
        Line | dict[Line, dict[Line, Line] | Lines] | None,
        AfterValidator(_one_column),
        Words("a name, or several under the column that distinguishes them: {language: [de, en]}"),
    ] = Field(None, description="Configuration of the data set, or several under the column that distinguishes them.")
    join: dict[str, Join] | None = Field(None, description="Columns from another configuration, by their names here.")
    conversation: Line | None = Field(
        None,
        description="The column that distinguishes conversations; the last row of each is a sample, the others are its "
        "`history`.",
    )


class GeneratedRows(Section):
    """Rows of the micro suite."""

    generator: Literal["micro"] = Field(description="The micro suite.")


class HubRows(Tables):
    """A data set on the Hugging Face hub."""

    hub: Line = Field(description="Data set, OWNER/NAME.")
    split: Place = Field(description=SPLIT)
    revision: Line = Field(description="Commit, so that the rows stay the same.")
    path: Place | None = Field(None, description=COPY)


class UrlRows(Tables):
    """Published CSV or JSON files."""

    url: Place = Field(description="Addresses of .csv or .json files.")
    records: Annotated[Lines | Sides, Words("a list of names, or {validation: …, test: …} of such")] | None = Field(
        None,
        description="The levels of a JSON document that contain the records, outermost first, or those for each side.",
    )
    split: Place | None = Field(None, description=SPLIT)
    path: Place | None = Field(None, description=COPY)

    @model_validator(mode="after")
    def _check_files(self) -> "UrlRows":
        for address in [self.url] if isinstance(self.url, str) else self.url if isinstance(self.url, tuple) else ():
            if not address.endswith((".csv", ".json")):
                raise PydanticCustomError(
                    "source", "url must end in .csv or .json, found {address}", {"address": repr(address)}
                )
        lists = {len(value) for value in (self.path, self.url) if isinstance(value, tuple)}
        if len(lists) > 1:
            raise PydanticCustomError("source", "path and url must list the same files in the same order")
        return self


class LocalRows(Tables):
    """Local files."""

    path: Place = Field(
        description="JSON Lines, CSV, TSV or Parquet files; {config} and {split} are replaced by their names."
    )
    split: Place | None = Field(None, description="The names that replace {split}, for each side or for both.")


def _source(value: Any) -> str | None:
    given = [key for key in ("generator", "hub", "url", "path") if isinstance(value, Mapping) and key in value]
    return f"<with {given[0]}>" if given else None


Source = Annotated[
    Annotated[GeneratedRows, Tag("<with generator>")]
    | Annotated[HubRows, Tag("<with hub>")]
    | Annotated[UrlRows, Tag("<with url>")]
    | Annotated[LocalRows, Tag("<with path>")],
    Discriminator(
        _source,
        custom_error_type="source",
        custom_error_message="give one of generator, hub, url or path, such as {path: FILE.jsonl}",
    ),
]


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_range(value: Any, pool: int) -> bool:
    return is_list(value) and len(value) == 2 and all(map(_is_count, value)) and value[0] < value[1] <= pool


def _drawn(draw: dict[str, Any]) -> dict[str, Any]:
    """Check that a draw names positions of its pool, no position for both sides."""
    pool = draw.get("pool", -1)
    match draw if _is_count(pool) else {}:
        case {"validation": {"sample": size}}:
            right = set(draw) == {"pool", "validation"} and _is_count(size) and size <= pool
        case {"validation": first, "test": second}:
            whole = all(_is_range(side, pool) for side in (first, second))
            right = set(draw) == {"pool", "validation", "test"} and whole and not {*range(*first)} & {*range(*second)}
        case _:
            right = False
    if not right:
        raise PydanticCustomError("mismatch", "not a draw")
    return draw


def _pattern(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except (re.error, OverflowError, RecursionError) as error:
        raise PydanticCustomError("source", "not a regular expression ({error})", {"error": str(error)}) from error
    if not groups:
        raise PydanticCustomError("source", "needs a group (…): the first one is the answer")
    return pattern


class TaskFile(Section):
    """The fields of a task."""

    category: Line | None = Field(None, description="Categories in tables and figures, separated by commas.")
    kind: Annotated[str, OneOf(tuple(KINDS))] = Field(
        description="The kind of answer, which says how responses are read and scored."
    )
    metric: Annotated[str, OneOf(tuple(METRICS))] | None = Field(
        None, description="The metric; by default the first that suits the kind."
    )
    source: Source = Field(description="Where the rows are: one of `generator`, `hub`, `url` or `path`.")
    prompt: Line = Field(description="Jinja template of the prompt; it sees the columns of the row by name.")
    reference: Line | None = Field(
        None, description="Expression of the right answer; not needed for programs, which have tests."
    )
    shots: Whole | None = Field(None, description="Examples in `examples` of every row; 0 if not given.")
    examples_by: Line | None = Field(
        None, description="Expression whose value a row shares with its examples, such as its language."
    )
    where: Line | None = Field(None, description="Expression that is true for the rows that belong to the task.")
    distinct: Line | None = Field(
        None, description="Expression whose value occurs once in the whole split; by default the prompt."
    )
    test_samples: Count | Literal["rest"] | None = Field(
        None, description="Replaces `splits.test` for this task; `rest` is every sample that is left."
    )
    answer_by: Annotated[str, OneOf(ANSWER_BY)] | None = Field(
        None,
        description="How a choice or label is answered: `generation` reads a generated text (if not given), "
        "`likelihood` compares the options as continuations of the prompt. `max_tokens`, `pattern` and `fallback` are "
        "of generated texts only.",
    )
    likelihood_of: Annotated[str, OneOf(LIKELIHOOD_OF)] | None = Field(
        None, description="The part of an option that continues the prompt: its `text` (if not given) or its `letter`."
    )
    likelihood_per: Annotated[str, OneOf(LIKELIHOOD_PER)] | None = Field(
        None,
        description="What an option's log-likelihood is divided by: nothing (`option`, if not given), or its number of "
        "tokens, characters or bytes.",
    )
    neutral_prompt: str | None = Field(
        None,
        description="A prompt without the question, such as `Answer:`, whose log-likelihood of an option is subtracted "
        "from that after the prompt.",
    )
    max_tokens: Count | None = Field(None, description="Most tokens of a response; 512 if not given.")
    chat: AnyChat = Field(
        None, description="Changes to the base's `chat`, key by key, or `plain` for no template; null: none."
    )
    version: Whole | None = Field(None, description="Raised when scores change; 1 if not given.")
    options: Line | None = Field(None, description="Expression of the options of a choice: {letter: text}.")
    labels: Annotated[
        dict[Line, Line] | Lines | None, Field(min_length=1), Words("a list of texts, or a mapping of letters to texts")
    ] = Field(None, description="The labels of a classification, or a mapping of letters to labels.")
    synonyms: dict[Line, Lines] | None = Field(
        None, description="Other words for a label, which answers may use: a mapping of labels to lists of words."
    )
    tests: Line | None = Field(None, description="Expression of the tests of a program: a list of assertions.")
    setup: Line | None = Field(None, description="Expression of code that runs after a program and before its tests.")
    prefix: str | None = Field(None, description="Code that runs before every program.")
    pattern: Annotated[Line, AfterValidator(_pattern)] | None = Field(
        None, description="Regular expression of the answer in a response, whose first group is the answer."
    )
    fallback: Annotated[str, OneOf(tuple(FALLBACKS))] | None = Field(
        None, description="What is used as the answer if a response does not say which it is."
    )
    integers: bool | None = Field(
        None,
        description="All answers are whole numbers, so that a period before three digits is a thousands separator.",
    )
    working: bool | None = Field(
        None,
        description="Whether answers follow working, so that the reference is only the end of a right response. If not "
        "given: a number, math, text or span without options and without a `pattern` does. Only searches by likelihood "
        "use it.",
    )
    tokenizer: Annotated[str, OneOf((*TOKENIZERS, BASE))] | None = Field(
        None,
        description="What BLEU counts: sacrebleu's tokenizers, or `base` for the base model's own; 13a if not given.",
    )
    draw: (
        Annotated[
            dict[str, JsonValue],
            AfterValidator(_drawn),
            Words(
                "{pool: ROWS, validation: [START, STOP], test: [START, STOP]} or "
                "{pool: ROWS, validation: {sample: SIZE}}"
            ),
        ]
        | None
    ) = Field(
        None,
        description="Positions of a published split in the seeded permutation of a pool of this size; other pools are "
        "split by the rule.",
    )


OF_KIND = ("options", "labels", "synonyms", "tests", "setup", "prefix", "tokenizer", "integers")
"""Fields that only some kinds have."""

OF_LIKELIHOOD = ("likelihood_of", "likelihood_per", "neutral_prompt")
"""Fields of answers by likelihood."""

WITH_OPTIONS = ("choice", "label")
"""Kinds whose answer is one of several given options."""


def check_task(name: str, definition: Any) -> Task:
    """Return the task that a definition describes; GenomeError lists everything that is wrong with it in one line."""
    if not is_mapping(definition):
        raise GenomeError(f"task {name}: expected a mapping of fields, found {definition!r}")
    given = {key: value for key, value in definition.items() if value is not None}
    if is_harness(given):
        return _check_harness_task(name, given)
    if is_mapping(source := given.get("source")):
        given["source"] = {key: value for key, value in source.items() if value is not None}
    problems = unreadable(given, "")
    if not problems:
        problems = _model_problems(given, TaskFile)
        problems += _kind_problems(given)
        problems += _likelihood_problems(given)
        if not problems and given.get("labels"):
            generated = given.get("answer_by") != LIKELIHOOD
            labels = by_letter(given["labels"])
            problems = _label_problems(labels, generated and given.get("pattern") is None)
            problems += _synonym_problems(labels, given.get("synonyms") or {})
    _refuse(name, problems)
    return parse_task(name, given)


def _check_harness_task(name: str, given: Mapping[str, Any]) -> Task:
    """Return a task of lm-evaluation-harness; GenomeError as `check_task`. The harness is not asked."""
    _refuse(name, unreadable(given, "") or _model_problems(given, HarnessTask))
    return parse_task(name, expanded(given))


def _model_problems(given: Mapping[str, Any], model: type[Section]) -> list[str]:
    """Return what is wrong with single fields of a definition."""
    try:
        model.model_validate_json(json.dumps(given))
    except ValidationError as error:
        return explained(error, model, "")
    return []


def _refuse(name: str, problems: Sequence[str]) -> None:
    """Raise GenomeError, in one line, if there are problems."""
    if problems:
        raise GenomeError(f"task {name}: " + "; ".join(problem.lstrip(".:").strip() for problem in problems))


def _kind_problems(given: Mapping[str, Any]) -> list[str]:
    """Return what does not suit the kind of answer."""
    name, metric = given.get("kind"), given.get("metric")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        return []
    # A program's tests say what is right.
    needed = [key for key in (*kind.requires, *(["reference"] if name != "program" else [])) if key not in given]
    problems = [f"kind {name!r} needs the key {key!r}" for key in needed]
    foreign = [key for key in OF_KIND if key in given and key not in (*kind.requires, *kind.allows)]
    problems += [f"kind {name!r} does not use the key {key!r}" for key in foreign]
    if isinstance(metric, str) and metric in METRICS and metric not in kind.metrics:
        problems.append(f"metric {metric!r} does not suit kind {name!r} (use {' or '.join(kind.metrics)})")
    return problems


def _likelihood_problems(given: Mapping[str, Any]) -> list[str]:
    """Return what does not suit answers by likelihood, or answers by generation."""
    kind, labels = given.get("kind"), given.get("labels")
    if given.get("answer_by") != LIKELIHOOD:
        return [
            f"the key {key!r} needs answer_by: {LIKELIHOOD}; add it, or remove {key}"
            for key in OF_LIKELIHOOD
            if key in given
        ]
    if kind not in WITH_OPTIONS:
        return [
            f"answer_by: {LIKELIHOOD} compares options, which kind {kind!r} does not have; "
            f"use kind {' or '.join(WITH_OPTIONS)}"
        ]
    if given.get("likelihood_of") == LETTER and is_list(labels):
        return [f"likelihood_of: {LETTER} needs labels with letters, such as {{A: {labels[0]}}}; found a list"]
    return []


def _label_problems(labels: Mapping[str, str], usual: bool) -> list[str]:
    """Return which labels, or letters of labels, no response can name; `usual` if it says `Answer: …`."""
    alike: dict[str, str] = {}
    problems: list[str] = []
    for letter, label in labels.items():
        first = alike.setdefault(folded(label), label)
        if first != label or list(labels.values()).count(label) > 1:
            problems.append(f"labels: {first!r} and {label!r} are the same except for case, space and marks; keep one")
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


def _synonym_problems(labels: Mapping[str, str], synonyms: Mapping[str, list[str]]) -> list[str]:
    """Return which labels with synonyms do not exist, and which synonyms no response can use."""
    known = list(labels.values())
    problems = [
        f"synonyms: {label!r} is not a label ({nearest(label, known)})" for label in synonyms if label not in known
    ]
    if problems:
        return problems
    other = names_of(labels, synonyms)
    for label, words in synonyms.items():
        for word in words:
            read = choose(word, labels, other)
            if read is None or labels[read] != label:
                found = "nothing" if read is None else f"{labels[read]!r}"
                problems.append(f"synonyms: {word!r} of {label!r} would be read as {found}; leave it out")
    return problems
