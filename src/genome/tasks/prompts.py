"""Rows become samples: prompt, token ids, reference, and other facts that scoring needs.

A template can use a row's columns by name, and also `options` (choice: {letter: text}), `labels` (label), `examples`
(tasks with shots: rows from outside the splits, each with its own `options` and `reference`), and `row`, to read a
column of any name (`row["my column"]`). Without shots, `examples` is a normal column. Expressions can use only the
columns and `row`. The filter `listed` writes one option per line, `options_in` finds the options listed in a question,
`gold_spans` the answers to a question of DROP, `boxed` returns the content of the last \\boxed{}. Templates run in
Jinja2's sandbox, with limits of time and memory and without randomness. A name that is not in the row is an error, and
so is a null or an object in a prompt.

A row of a split contains the columns as they were read and the keys `id`, the sample's name, and `examples`. Columns
of the same names are kept separately, under `columns`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import SandboxedEnvironment

from genome.errors import GenomeError, one_line
from genome.files import encodable
from genome.limits import OverLimitError, limited
from genome.tasks import harness_prompts
from genome.tasks.chat import Chat, load_tokenizer, opens_thinking, prints_date, prompt_texts, token_ids
from genome.tasks.continuations import continued
from genome.tasks.extraction import boxed
from genome.tasks.kinds import KINDS
from genome.tasks.lengths import check_lengths
from genome.tasks.likelihood import LIKELIHOOD
from genome.tasks.options import lettered, options_in
from genome.tasks.spans import gold_spans
from genome.tasks.task import Task
from genome.tasks.values import fault, hidden, is_null, shown

Row = Mapping[Any, Any]
"""A row by its columns; keys that are not text are ours, such as `ORIGIN`."""

ORIGIN = ("origin",)
"""Key of a row's origin for messages: the user's file and the row's number."""

RESERVED = ("id", "examples", "columns")
"""Keys that the workflow adds to a split's rows."""

LONGEST_PROMPT = 10_000_000
"""Characters; more than any model reads."""

_EXPRESSIONS = ("reference", "options", "tests", "setup", "examples_by", "where", "distinct")
_ROW = "row"
_PRINTABLE = (str, int, float, list, tuple, dict, range, jinja2.Undefined)
_NAME = re.compile(r"[^\W\d]\w*")
_KEYWORDS = {"and", "else", "false", "if", "import", "in", "is", "none", "not", "or", "recursive", "self", "true"}
_KEYWORDS |= {"False", "None", "True"}


def place_row(columns: Row, name: str, examples: Sequence[Row] | None = None) -> dict[str, Any]:
    """Return a row of a split: the columns, the sample's name, and the rows of its examples."""
    apart = {key: columns[key] for key in RESERVED if key in columns}
    return {
        **{key: value for key, value in columns.items() if isinstance(key, str) and key not in RESERVED},
        "id": name,
        **({"columns": apart} if apart else {}),
        **({} if examples is None else {"examples": list(examples)}),
    }


def columns_of(row: Row) -> dict[Any, Any]:
    """Return the columns of a row of a split, as they were read."""
    return {**{key: value for key, value in row.items() if key not in RESERVED}, **row.get("columns", {})}


def listed(options: Mapping[str, str]) -> str:
    """Return one option per line, for a prompt.

    >>> listed({"A": "fur", "B": "scale"})
    'A. fur\\nB. scale'
    """
    return "\n".join(f"{letter}. {text}" for letter, text in options.items())


@lru_cache
def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_printed
    )
    environment.filters.update(listed=listed, boxed=boxed, options_in=options_in, gold_spans=gold_spans)
    environment.globals["zip"] = zip
    environment.tests["none"] = is_null
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "default": _json}
    # The same row must always give the same prompt.
    del environment.filters["random"], environment.globals["lipsum"]
    return environment


@lru_cache
def _nameless() -> SandboxedEnvironment:
    """Return an environment without predefined names, because a column may have the name of a global function."""
    environment = _environment().overlay()
    environment.globals = {}
    return environment


def _printed(value: Any) -> Any:
    """Return a value that a template prints; ValueError for values printed as None or as an address in memory."""
    if value is None:
        raise ValueError('it prints a null; test for it, or print something else instead (`or ""`)')
    if not is_null(value) and not isinstance(value, _PRINTABLE):
        kind = type(value).__name__
        raise ValueError(f"it prints an object ({kind}); {'add | list' if kind == 'generator' else 'print its text'}")
    return value


def _json(value: Any) -> None:
    if not is_null(value):
        raise TypeError(f"{type(value).__name__} has no JSON form")


@lru_cache
def _template(task: str, text: str) -> jinja2.Template:
    return _compiled(task, "prompt", text, lambda: _environment().from_string(text))


@lru_cache
def _expression(task: str, field: str, text: str) -> Callable[..., Any]:
    return _compiled(task, field, text, lambda: _environment().compile_expression(text, undefined_to_none=False))


def _compiled(task: str, field: str, text: str, compiler: Callable[[], Any]) -> Any:
    """Return the template or expression that `compiler` returns; GenomeError if the text is invalid."""
    expression = field != "prompt"
    try:
        with limited():
            return compiler()
    except jinja2.TemplateSyntaxError as error:
        if expression:
            reason = f"{error.message} in {one_line(text)!r}"
            raise GenomeError(f"task {task}: {field} is not an expression: {reason}") from error
        raise GenomeError(f"task {task}: prompt, line {error.lineno}: {error.message}") from error
    except OverLimitError as error:
        raise GenomeError(f"task {task}: {field} {error}; write it shorter") from error
    # From Python, which compiles Jinja2's output, and from constants that Jinja2 computes.
    except (ArithmeticError, LookupError, SyntaxError, TypeError, ValueError) as error:
        raise GenomeError(f"task {task}: {field}: {one_line(error)}; simplify it") from error


def columns(task: Task) -> frozenset[str]:
    """Return the names of the columns that the task's template and expressions use, after compiling all of these."""
    found, _ = _used(task)
    return found


def _used(task: Task) -> tuple[frozenset[str], frozenset[str]]:
    """Return the columns that a task needs, and the names that are columns only if rows have them."""
    of_prompt, of_expressions = _names_of(task)
    provided = {*(["options"] if task.options else []), *(["labels"] if task.labels else [])}
    if task.shots:
        provided.add("examples")
    names = (of_prompt - provided) | of_expressions
    optional = {*_environment().globals.keys(), _ROW} | ({"examples"} - of_expressions)
    return names - optional, names & optional


def _names_of(task: Task) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names that the prompt and the expressions of a task read from a row."""
    expressions = ((field, text) for field in _EXPRESSIONS if (text := getattr(task, field)) is not None)
    return _compiled_names(task.name, task.prompt, tuple(expressions))


@lru_cache
def _compiled_names(
    task: str, prompt: str, expressions: tuple[tuple[str, str], ...]
) -> tuple[frozenset[str], frozenset[str]]:
    _template(task, prompt)
    for field, text in expressions:
        _expression(task, field, text)
    # Limited, because Jinja2 computes constants while parsing.
    with limited():
        return _names(prompt), frozenset().union(*(_names("{{ " + text + " }}") for _, text in expressions))


def _names(template: str) -> frozenset[str]:
    """Return the names that a template reads from a row, directly or through `row`."""
    tree = _nameless().parse(template)
    names = set(meta.find_undeclared_variables(tree))
    if _ROW in names:
        found = tree.find_all((nodes.Getitem, nodes.Getattr))
        of_row = [node for node in found if isinstance(node.node, nodes.Name) and node.node.name == _ROW]
        names |= {node.attr for node in of_row if isinstance(node, nodes.Getattr) and not hasattr(dict, node.attr)}
        keys = [node.arg for node in of_row if isinstance(node, nodes.Getitem)]
        names |= {key.value for key in keys if isinstance(key, nodes.Const) and isinstance(key.value, str)}
    return frozenset(names)


def evaluate(task: Task, row: Row, field: str) -> Any:
    """Return the value of one of the task's expressions for `row`; None if the task does not have it."""
    text = getattr(task, field)
    if text is None:
        return None
    return _guarded(
        task, row, field, lambda: hidden(_defined(_expression(task.name, field, text)(_context(task, row))))
    )


def render(task: Task, row: Row, examples: Sequence[Row] = ()) -> str:
    """Return the user's message for `row`, stripped; `examples` are the rows of the task's shots."""
    context = {**_context(task, row), **_provided(task, row)}
    if task.shots or "examples" not in row:
        context["examples"] = [
            {**_context(task, example), **_provided(task, example), "reference": reference(task, example)}
            for example in examples
        ]

    def rendered() -> str:
        text = _template(task.name, task.prompt).render(context).strip()
        if not text:
            raise ValueError("it is empty")
        if len(text) > LONGEST_PROMPT:
            raise ValueError(f"it has {len(text)} characters, more than {LONGEST_PROMPT}")
        if not encodable(text):
            raise ValueError("it contains half of a character (a lone surrogate)")
        return text

    return _guarded(task, row, "prompt", rendered)


def reference(task: Task, row: Row) -> Any:
    """Return the canonical reference of `row`; GenomeError if its kind cannot read it."""
    value = evaluate(task, row, "reference")
    return _guarded(task, row, "reference", lambda: KINDS[task.kind].reference(task, _provided(task, row), value))


def facts(task: Task, row: Row) -> dict[str, Any]:
    """Return what scoring needs of `row`: its reference, and its options, language or tests if its kind has them."""
    found: dict[str, Any] = {"reference": reference(task, row)}
    options = _provided(task, row).get("options")
    if options and (task.kind == "choice" or found["reference"] in options):
        found["options"] = options
    if task.kind == "translation" and "language" in row:
        found["language"] = row["language"]
    if task.tests is not None:
        tests = _texts(task, row, "tests")
        # The set-up of tests may use the program's definitions, so it runs after the program.
        setup = evaluate(task, row, "setup")
        if setup is not None and not isinstance(setup, str):
            raise GenomeError(f"task {task.name}, {_where(row)}: setup must give text, found {one_line(repr(setup))}")
        found["tests"] = [setup, *tests] if setup else tests
        if any("\0" in test for test in found["tests"]):
            raise GenomeError(f"task {task.name}, {_where(row)}: tests: a NUL character, which programs cannot contain")
    for name, value in found.items():
        wrong = fault(value, name)
        if wrong:
            raise GenomeError(f"task {task.name}, {_where(row)}: {wrong}; correct the row")
    return found


def sample(task: Task, row: Row) -> dict[str, Any]:
    """Return the sample of a split's `row` without its tokens: id, prompt, and the facts that scoring needs."""
    own = {ORIGIN: f"row {row['id']}", **columns_of(row)}
    examples = [columns_of(example) for example in row.get("examples", ())]
    return {"id": row["id"], "prompt": render(task, own, examples), **facts(task, own)}


def prepare(
    task: Task, rows: Sequence[Row], tokenizer_dir: Path | str, chat: Chat | None = None
) -> list[dict[str, Any]]:
    """Return the samples of a split's `rows`, with `tokens`: the ids of the prompt in the base model's chat template.

    Samples of a task that is answered by likelihood also have `continuations` (`genome.tasks.continuations`). If the
    template prints today's date, `date` is the day it was given; `thinking` is true if the prompt ends within
    reasoning; `of` is the number of samples. GenomeError: no tokenizer in the folder, a chat template that fails, a
    prompt that is longer than the model's context.
    """
    chat = chat or Chat()
    samples = [sample(task, row) for row in rows]
    tokenizer = load_tokenizer(tokenizer_dir)
    date = {"date": chat.date.isoformat()} if prints_date(tokenizer, chat) else {}
    of = {"of": len(samples)}  # shows whether a file has lost lines
    if "lm_eval" in task.source:
        found = harness_prompts.prepare(task, list(map(columns_of, rows)), tokenizer, chat)
        prepared = [{**each, **own, **date, **of} for each, own in zip(samples, found, strict=True)]
        check_lengths(task.name, prepared, tokenizer_dir)
        return prepared
    texts = prompt_texts(tokenizer, [each["prompt"] for each in samples], chat)
    thinking = [opens_thinking(text, each["prompt"]) for each, text in zip(samples, texts, strict=True)]
    if task.answer_by != LIKELIHOOD:
        tokens = [{"tokens": ids} for ids in token_ids(tokenizer, texts)]
    elif any(thinking):
        raise GenomeError(
            f"task {task.name}: the chat template opens the model's reasoning, where no option would be compared; set "
            "chat: {template_arguments: {enable_thinking: false}} as the template needs it"
        )
    else:
        tokens = continued(task, samples, tokenizer, chat)
    prepared = [
        {**each, **ids, **date, **({"thinking": True} if thinks else {}), **of}
        for each, ids, thinks in zip(samples, tokens, thinking, strict=True)
    ]
    check_lengths(task.name, prepared, tokenizer_dir)
    return prepared


def _context(task: Task, row: Row) -> dict[str, Any]:
    """Return the names and values of a row for a template or an expression."""
    names = frozenset().union(*_names_of(task))
    wanted = row.keys() if _ROW in names else names & row.keys()
    own = {key: shown(row[key], f"column {key!r}") for key in wanted if isinstance(key, str)}
    return {_ROW: own, **own} if _ROW in names else own


def _texts_of(task: Task) -> list[str]:
    expressions = (getattr(task, field) for field in _EXPRESSIONS)
    return [task.prompt, *("{{ " + text + " }}" for text in expressions if text is not None)]


def _provided(task: Task, row: Row) -> dict[str, Any]:
    """Return the values other than columns for a template and the kinds."""
    if task.options is not None:
        value = evaluate(task, row, "options")
        if not value and task.kind == "text":  # rows of such a task may have options or not
            return {"options": {}}
        return {"options": _guarded(task, row, "options", lambda: lettered(value))}
    return {"labels": dict(task.labels)} if task.labels else {}


def _texts(task: Task, row: Row, field: str) -> list[str]:
    value = evaluate(task, row, field)
    if not isinstance(value, list | tuple) or not value or not all(isinstance(text, str) for text in value):
        raise GenomeError(
            f"task {task.name}, {_where(row)}: {field} must give a list of texts, found {one_line(repr(value))}"
        )
    return list(value)


def _defined(value: Any) -> Any:
    if isinstance(value, jinja2.Undefined):
        # Any use of an undefined value raises UndefinedError with its name.
        str(value)
    return value


def _guarded(task: Task, row: Row, field: str, compute: Callable[[], Any]) -> Any:
    """Return the result of `compute`; errors that a template or a row can cause become one line that names both."""
    try:
        with limited():
            return compute()
    except OverLimitError as error:
        raise GenomeError(f"task {task.name}, {_where(row)}: {field} {error}; write it shorter") from error
    except (
        jinja2.TemplateError,
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise GenomeError(f"task {task.name}, {_where(row)}: {field}: {one_line(error)}") from error


def _where(row: Row) -> str:
    if ORIGIN in row:
        return row[ORIGIN]
    return f"row {one_line(row['id'])}" if "id" in row else f"row with columns {one_line(', '.join(map(str, row)))}"


def missing_columns(task: Task, rows: Sequence[Row]) -> tuple[int, str] | None:
    """Return the number (from 0) of the first row without a column that the task uses, and that column."""
    needed, optional = _used(task)
    needed |= {name for name in optional if any(name in row for row in rows)}
    for number, row in enumerate(rows):
        absent = needed - row.keys()
        if absent:
            return number, min(absent)
    return None


def unreadable(task: Task, names: Iterable[str], missing: str | None = None) -> str:
    """Return advice about a column that the task seems to mean but that needs `row[...]` in a template; or "".

    `missing` is a name in the task for which there is no column; without it, the texts of the task are searched.
    """
    awkward = [name for name in names if isinstance(name, str) and not _is_name(name)]
    if missing is None:
        meant = [name for name in awkward if name.strip() and any(name in text for text in _texts_of(task))]
    else:
        meant = [name for name in awkward if missing in re.split(r"\W+", name)]
    return f"; the column {meant[0]!r} is written row[{meant[0]!r}]" if meant else ""


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and name not in _KEYWORDS


def printed_constants(task: Task) -> set[str]:
    """Return the constants (true, false, none) that the task prints or returns, which might be meant as columns."""
    found: set[str] = set()
    for text in _texts_of(task):
        for output in _environment().parse(text).find_all(nodes.Output):
            values = [node.value for node in output.nodes if isinstance(node, nodes.Const)]
            found |= {str(value) for value in values if value is None or isinstance(value, bool)}
    return found | {name.lower() for name in found}
