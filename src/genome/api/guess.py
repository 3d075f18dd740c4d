"""A task from a look at its rows: which columns are used, and which kind of answer they have.

What rows do not say is never guessed: a GenomeError of one line names the option that says it.
"""

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from genome.errors import GenomeError
from genome.tasks.file import check_task
from genome.tasks.options import LETTERS
from genome.tasks.prompts import facts, place_row

Row = Mapping[str, Any]

QUESTIONS = ("question", "prompt", "instruction", "input", "query", "problem", "sentence", "text", "utterance")
ANSWERS = (
    *("answer", "answerkey", "answer_key", "label", "target", "output", "response", "completion", "reference"),
    *("solution", "gold", "expected", "class", "category"),
)
OPTIONS = ("options", "choices", "candidates")
"""Names of columns, in lower case."""

OPTION_COLUMN = re.compile(r"(?:(?:option|choice)[ _]?)?([A-H])|(?:option|choice)[ _]?([1-8])", re.IGNORECASE)
NUMBER = re.compile(r"[-+−]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?")
WORKED = re.compile(r"(?s).*####\s*(.+)")
"""A solution whose last line is the result, as in GSM8K."""

FEW, OFTEN = 20, 5
"""Labels are at most FEW, and each occurs OFTEN on average."""

SHORT = 5
"""Words of an answer that can be compared as a text."""

WHOLE = r"(?s)(.*)"
"""The pattern of a response that is the answer, without more."""

TOKENS = {"choice": 16, "label": 16, "number": 16, "text": 32}
"""The most tokens of a short answer."""

NAMES_OF_JINJA = {"and", "cycler", "dict", "else", "examples", "false", "if", "import", "in", "is", "joiner", "labels"}
NAMES_OF_JINJA |= {"lipsum", "namespace", "none", "not", "options", "or", "range", "row", "self", "true", "zip"}


@dataclass(frozen=True)
class Said:
    """What a user says about rows: the columns of question, answer and options, the kind, and the prompt's template."""

    question: str | None = None
    answer: str | None = None
    options: str | None = None
    kind: str | None = None
    prompt: str | None = None


@dataclass(frozen=True)
class Guess:
    """A task's definition without its source, and why, for comments, by the definition's keys."""

    fields: dict[str, Any]
    reasons: dict[str, str] = field(default_factory=dict[str, str])


def guess_task(name: str, rows: Sequence[Row], file: str, said: Said) -> Guess:
    """Return the task of the rows of `file`; GenomeError if they do not show what it is, or a row does not fit it."""
    if len(rows) < 2:
        raise GenomeError(f"{file}: {len(rows)} row(s); a task needs rows that choose and rows that report")
    shown = [column for column in rows[0] if isinstance(column, str)]
    if len(shown) < 2:
        raise GenomeError(
            f"{file}: one column only ({', '.join(shown)}); a task needs a question and its answer, and a CSV file has "
            "commas between columns"
        )
    options = _options(rows, shown, file, said)
    answer = _named(said.answer, shown, file, "answer") or _column(ANSWERS, shown, options, file, "answer")
    question = None
    if said.prompt is None:
        question = _named(said.question, shown, file, "question")
        question = question or _column(QUESTIONS, [each for each in shown if each != answer], options, file, "question")
    answers = [_value(row, answer, number, file) for number, row in enumerate(rows, start=1)]
    kind, reason = _kind(answers, bool(options), f"{file}: column {answer!r}", said.kind)
    fields: dict[str, Any] = {"kind": kind}
    if kind == "choice":
        fields |= {"options": options.expression, "reference": _letter_of(rows, answer, answers, options, file)}
    elif kind == "number" and all(WORKED.fullmatch(str(each)) for each in answers):
        fields |= {"reference": f'{_expression(answer)}.split("####")[-1]'}
    else:
        fields |= {"reference": _expression(answer)}
    if kind == "label":
        fields["labels"] = sorted({str(each) for each in answers})
        fields["reference"] += " | string" if isinstance(answers[0], bool) else ""
    fields["prompt"] = said.prompt or _prompt(question or "", fields)
    fields |= {"pattern": WHOLE, "max_tokens": _most_tokens(kind, answers)}
    _check(name, fields, rows, file)
    return Guess(fields, {"kind": reason})


@dataclass(frozen=True)
class _Options:
    """Where the options of rows are: the columns, the expression of them, and their form."""

    columns: tuple[str, ...] = ()
    expression: str = ""
    form: str = ""

    def __bool__(self) -> bool:
        return bool(self.columns)


def _options(rows: Sequence[Row], columns: Sequence[str], file: str, said: Said) -> _Options:
    """Return where the options are: one column of lists or mappings, or one column per option."""
    if said.kind not in (None, "choice") and said.options is None:
        return _Options()
    named = _named(said.options, columns, file, "options")
    found = [named] if named else [column for column in columns if column.lower() in OPTIONS]
    for column in found:
        values = [row.get(column) for row in rows]
        if all(isinstance(value, list) and len(value) > 1 for value in values):
            return _Options((column,), _expression(column), "list")
        if all(isinstance(value, Mapping) and {*value} == {"label", "text"} for value in values):
            text = _expression(column)
            return _Options((column,), f"dict(zip({text}.label, {text}.text))", "labelled")
        if all(isinstance(value, Mapping) and len(value) > 1 for value in values):
            return _Options((column,), _expression(column), "mapping")
    if named:
        raise GenomeError(f"{file}: column {named!r} is not a list or a mapping of options in every row; name another")
    lettered = [column for column in columns if OPTION_COLUMN.fullmatch(column)]
    ends = [column.strip()[-1].upper() for column in lettered]
    if len(lettered) > 1 and "".join(ends) in (LETTERS[: len(ends)], "12345678"[: len(ends)]):
        pairs = ", ".join(f'"{letter}": {_expression(column)}' for letter, column in zip(ends, lettered, strict=True))
        return _Options(tuple(lettered), f"{{{pairs}}}", "columns")
    return _Options()


def _named(column: str | None, columns: Sequence[str], file: str, what: str) -> str | None:
    """Return the column that a user names; GenomeError if rows have no such column."""
    if column is not None and column not in columns:
        raise GenomeError(f"{file}: no column {column!r} for --{what}; its columns are {', '.join(columns)}")
    return column


def _column(names: Sequence[str], columns: Sequence[str], options: _Options, file: str, what: str) -> str:
    """Return the column whose name says that it is the question or the answer, or the only one that is left."""
    free = [column for column in columns if column not in options.columns]
    found = [column for column in free if column.lower() in names]
    if not found and len(free) <= 2:
        other = ANSWERS if what == "question" else QUESTIONS
        found = [column for column in free if column.lower() not in other]
    if len(found) != 1:
        several = (
            f"{' and '.join(map(repr, found))} may be the {what}" if found else f"no column is the {what} by its name"
        )
        raise GenomeError(f"{file}: {several}; name it: --{what} COLUMN, of {', '.join(columns)}")
    return found[0]


def _value(row: Row, column: str, number: int, file: str) -> Any:
    value = row.get(column)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise GenomeError(f"{file}: row {number} has no value in {column!r}; fill it in, or leave the row out")
    return value


def _kind(answers: Sequence[Any], has_options: bool, place: str, said: str | None) -> tuple[str, str]:
    """Return the kind of answers and the reason for it; GenomeError if it could be one of several."""
    if said is not None:
        if said not in TOKENS:
            raise GenomeError(f"--kind {said}: expected {', '.join(TOKENS)}; others need a task file (docs/tasks.md)")
        if said == "choice" and not has_options:
            raise GenomeError(f"{place}: --kind choice needs options; name their column: --options COLUMN")
        return said, "as you said"
    if has_options:
        return "choice", "every row has options"
    texts = [str(each).strip() for each in answers]
    distinct, often = {*texts}, len(texts) / len({*texts})
    few = len(distinct) <= FEW and often >= OFTEN
    if all(isinstance(each, bool) for each in answers):
        return "label", "all answers are true or false"
    if all(WORKED.fullmatch(text) and NUMBER.fullmatch(text.rpartition("####")[2].strip()) for text in texts):
        return "number", "all answers end in a number after ####"
    if all(NUMBER.fullmatch(text) for text in texts):
        if few:
            raise GenomeError(
                f"{place} has numbers, but only {len(distinct)} different ones in {len(texts)} rows; say what they "
                "are: --kind number or --kind label"
            )
        return "number", "all answers are numbers"
    words = statistics.median(len(text.split()) for text in texts)
    if not all(isinstance(each, str) for each in answers):
        raise GenomeError(f"{place} has values that are not text; say how to read it in a task file (docs/tasks.md)")
    if words > SHORT:
        raise GenomeError(
            f"{place} has long answers ({words:.0f} words in the middle), which no short answer equals; say --kind "
            "text to compare all words, or write a task file of another kind (docs/tasks.md)"
        )
    if few:
        return "label", f"{len(distinct)} different answers, each in {often:.0f} rows on average"
    if often < 2:
        return "text", "short answers that seldom repeat"
    raise GenomeError(
        f"{place} has {len(distinct)} different answers in {len(texts)} rows; say whether these are all there are: "
        "--kind label or --kind text"
    )


def _letter_of(rows: Sequence[Row], answer: str, answers: Sequence[Any], options: _Options, file: str) -> str:
    """Return the expression of the letter of the right option, whether rows have it, its text or its position."""
    found = [_texts_by_letter(row, options) for row in rows]
    name = _expression(answer)
    texts = [str(each).strip() for each in answers]
    if all(text.casefold() in map(str.casefold, map(str, each)) for text, each in zip(texts, found, strict=True)):
        return name
    if all(text in each.values() for text, each in zip(texts, found, strict=True)):
        if options.form == "list":
            return f'"{LETTERS}"[{options.expression}.index({name})]'
        return f"(({options.expression}).items() | selectattr(1, 'equalto', {name}) | first)[0]"
    if all(type(each) is int and 0 <= each <= len(of) for each, of in zip(answers, found, strict=True)):
        from_zero = 0 in answers
        from_one = any(each == len(of) for each, of in zip(answers, found, strict=True))
        if from_zero != from_one:
            position = name if from_zero else f"{name} - 1"
            return (
                f"(({options.expression}) | list)[{position}]" if options.form != "list" else f'"{LETTERS}"[{position}]'
            )
    place = next(
        i for i, (text, each) in enumerate(zip(texts, found, strict=True)) if text not in {*each, *each.values()}
    )
    raise GenomeError(
        f"{file}: row {place + 1} has the answer {answers[place]!r}, which is neither the letter nor the text of one "
        "of its options; name other columns (--answer, --options), or say --kind text"
    )


def _texts_by_letter(row: Row, options: _Options) -> dict[str, Any]:
    """Return a row's options by their letters."""
    if options.form == "columns":
        letters = [column.strip()[-1].upper() for column in options.columns]
        return {letter: row.get(column) for letter, column in zip(letters, options.columns, strict=True)}
    value = row[options.columns[0]]
    if options.form == "list":
        return dict(zip(LETTERS, value, strict=False))
    return dict(zip(value["label"], value["text"], strict=False)) if options.form == "labelled" else dict(value)


def _prompt(question: str, fields: Mapping[str, Any]) -> str:
    """Return the template of a prompt that asks for the answer alone."""
    asked = f"{{{{ {_expression(question)} }}}}"
    return {
        "choice": f"{asked}\n\n{{{{ options | listed }}}}\n\nAnswer with the letter of the right option only.",
        "label": f"{asked}\n\nAnswer with one of these only: {', '.join(fields.get('labels', ()))}.",
        "number": f"{asked}\n\nAnswer with the number only.",
        "text": f"{asked}\n\nGive the answer only.",
    }[fields["kind"]]


def _most_tokens(kind: str, answers: Sequence[Any]) -> int:
    longest = max(len(str(each)) for each in answers) if kind in ("label", "text") else 0
    return max(TOKENS[kind], longest)  # a token has a character or more


def _expression(column: str) -> str:
    """Return how a template names a column."""
    simple = column.isidentifier() and column not in NAMES_OF_JINJA
    return column if simple else f"row[{column!r}]"


def _check(name: str, fields: Mapping[str, Any], rows: Sequence[Row], file: str) -> None:
    """Raise GenomeError, with the number of the row, unless every row gives what scoring needs."""
    task = check_task(name, {**fields, "source": {"path": file}})
    for number, row in enumerate(rows, start=1):
        facts(task, place_row(row, f"{number} of {file}"))
