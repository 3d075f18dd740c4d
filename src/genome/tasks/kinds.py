"""Kinds of answers, one row per kind: how an answer is found, read and scored, and how an ensemble combines it.

A sample is a mapping as `genome.tasks.prompts` writes it. An answer is canonical text: two answers that mean the same
number, letter or label are the same string, so a vote counts them together.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from genome.tasks import choosing, mathematics, metrics, options, programs, shorttexts, spans, wordforms
from genome.tasks.announced import Statement, announced
from genome.tasks.code_blocks import find_program, read_program
from genome.tasks.extraction import find_answer, find_result
from genome.tasks.number_words import has_number_word
from genome.tasks.numbers import parse_number, says_number
from genome.tasks.task import HARNESS, Task

Sample = Mapping[str, Any]
Pairs = Sequence[tuple[Sample, str]]


@dataclass(frozen=True)
class Kind:
    """One kind of answer.

    find: response -> text of the answer, if the task has no pattern
    read: task, sample, that text -> canonical answer, or None when it is none
    reference: task, sample, value of the reference expression -> canonical reference; ValueError says why not
    score: task, pairs of sample and answer -> score of each in [0, 1]
    expected: the form of an answer, for messages
    settle: task, sample, what a response announces as its answer -> canonical answer; replaces `find`
    sentences: whether the last sentence of a response may name the answer without announcing it
    beside: task, samples, one model's answers -> what is reported in addition to the metric
    whole: whether `read` gets a response as it is, with its thinking and without any search for an answer
    """

    read: Callable[[Task, Sample, str], str | None]
    reference: Callable[[Task, Sample, Any], Any]
    score: Callable[[Task, Pairs], list[float]]
    metrics: tuple[str, ...]
    combine: str
    expected: str
    find: Callable[[str], str | None] = find_answer
    settle: Callable[[Task, Sample, Sequence[Statement]], str | None] | None = None
    sentences: bool = False
    requires: tuple[str, ...] = ()
    allows: tuple[str, ...] = ()
    beside: Callable[[Task, Sequence[Sample], Sequence[str | None]], dict[str, Any]] | None = None
    whole: bool = False


def _same(task: Task, pairs: Pairs) -> list[float]:
    """Score answers whose canonical text is all that counts."""
    return [float(sample["reference"] == answer) for sample, answer in pairs]


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value).strip():
        raise ValueError(f"expected text, found {value!r}")
    return str(value).strip()


def _read_choice(task: Task, sample: Sample, text: str) -> str | None:
    return choosing.choose(text, sample["options"])


def _settle_choice(task: Task, sample: Sample, said: Sequence[Statement]) -> str | None:
    return choosing.settle(said, sample["options"], alike=True)


def _choice_reference(task: Task, sample: Sample, value: Any) -> str:
    letters = {letter.casefold(): letter for letter in sample["options"]}
    letter = letters.get(_text(value).casefold())
    if letter is None:
        raise ValueError(f"{value!r} is none of the letters {', '.join(sample['options'])}")
    return letter


def _read_label(task: Task, sample: Sample, text: str) -> str | None:
    return _label(task, choosing.choose(text, task.labels, _names(task)))


def _settle_label(task: Task, sample: Sample, said: Sequence[Statement]) -> str | None:
    return _label(task, choosing.settle(said, task.labels, _names(task)))


def _label(task: Task, letter: str | None) -> str | None:
    return None if letter is None else task.labels[letter]


def _names(task: Task) -> dict[str, list[str]]:
    return _names_of(tuple(task.labels.items()), tuple((label, tuple(each)) for label, each in task.synonyms.items()))


@lru_cache
def _names_of(labels: tuple[tuple[str, str], ...], synonyms: tuple[tuple[str, tuple[str, ...]], ...]) -> dict:
    return wordforms.names_of(dict(labels), dict(synonyms))


def _label_reference(task: Task, sample: Sample, value: Any) -> str:
    label = _read_label(task, sample, _text(value))
    if label is None:
        raise ValueError(f"{value!r} is none of the labels {', '.join(task.labels.values())}")
    return label


def _read_text(task: Task, sample: Sample, text: str) -> str | None:
    """Read a short text: an option if the row lists some, else a number, a yes or no, or words in order."""
    return choosing.choose(text, sample["options"]) if sample.get("options") else shorttexts.read(text)


def _settle_text(task: Task, sample: Sample, said: Sequence[Statement]) -> str | None:
    if sample.get("options"):
        return choosing.settle(said, sample["options"])
    texts = [statement.text for statement in said if statement.sure]
    return next((read for text in reversed(texts) if (read := shorttexts.read(text))), None)


def _text_reference(task: Task, sample: Sample, value: Any) -> str:
    """Return an option's letter; a row whose options do not hold its reference is taken as one without options."""
    text = _text(value)
    read = _read_text(task, sample, text) or shorttexts.read(text)
    if read is None:
        raise ValueError(f"expected a short text, found {value!r}")
    return read


def _score_text(task: Task, pairs: Pairs) -> list[float]:
    return [float(shorttexts.same(answer, sample["reference"])) for sample, answer in pairs]


def _read_number(task: Task, sample: Sample, text: str) -> str | None:
    number = parse_number(text, integers=task.integers)
    return None if number is None else str(number)


def _find_number(response: str) -> str | None:
    return find_result(response, says_number)


def _number_reference(task: Task, sample: Sample, value: Any) -> str:
    number = _read_number(task, sample, _text(value))
    if number is None:
        raise ValueError(f"{value!r} is not a number")
    return number


def _read_math(task: Task, sample: Sample, text: str) -> str | None:
    simple = mathematics.simplify(text)
    number = mathematics.plain_number(simple)
    if (
        number is None
        and simple.isascii()
        and simple.replace("-", "").replace(" ", "").isalpha()
        and has_number_word(simple)
    ):
        number = parse_number(simple.replace("-", "minus ", 1) if simple[0] == "-" else simple)
    return (simple or None) if number is None else str(number)


def _find_math(response: str) -> str | None:
    return find_result(response, mathematics.says_result)


def _read_result(task: Task, sample: Sample, text: str) -> str | None:
    # A percentage keeps its sign, since it is also a part of one.
    percent = mathematics.percent(mathematics.simplify(text))
    return _read_math(task, sample, text) if percent is None else f"{100 * percent}%"


def _math_reference(task: Task, sample: Sample, value: Any) -> str:
    return _read_math(task, sample, _text(value)) or _text("")


def _score_math(task: Task, pairs: Pairs) -> list[float]:
    return [float(v) for v in mathematics.equal([(sample["reference"], answer) for sample, answer in pairs])]


def _find_span(response: str) -> str | None:
    """Return the answer, or the items of a list that begins there."""
    found = find_answer(response)
    if found is None or not re.match(r"(?:1[.)]|[-*•])\s", found):
        return found
    return next((text for text, sure in reversed(announced(response)) if sure), found)


def _read_span(task: Task, sample: Sample, text: str) -> str | None:
    quotes = " '’‘“”"
    return options.plain(text).strip(quotes).rstrip("." + quotes) or None


def _span_reference(task: Task, sample: Sample, value: Any) -> list[str | list[str]]:
    """Return the gold answers as a list; each is a span, or a list of spans that belong together."""
    golds = value if isinstance(value, list | tuple) else [value]
    if not golds or [] in golds:
        raise ValueError("there is no gold answer")
    return [[_text(span) for span in gold] if isinstance(gold, list | tuple) else _text(gold) for gold in golds]


def _score_span(task: Task, pairs: Pairs) -> list[float]:
    return [spans.exact_match(answer, sample["reference"]) for sample, answer in pairs]


def _read_translation(task: Task, sample: Sample, text: str) -> str | None:
    return text.strip() or None


def _translation_reference(task: Task, sample: Sample, value: Any) -> str | list[str]:
    return [_text(text) for text in value] if isinstance(value, list | tuple) and value else _text(value)


def _score_translation(task: Task, pairs: Pairs) -> list[float]:
    """Score each sentence by its own BLEU; the metric sums their counts, not these scores."""
    return [metrics.sentence_counts(task, sample, answer)[-1] for sample, answer in pairs]


def _read_program(task: Task, sample: Sample, text: str) -> str | None:
    return read_program(text, sample["tests"], body=bool(task.prefix))


def _program_reference(task: Task, sample: Sample, value: Any) -> str | None:
    return None if value is None else _text(value)


def _score_program(task: Task, pairs: Pairs) -> list[float]:
    return programs.passed(task.prefix, pairs)


def _read_harness(task: Task, sample: Sample, text: str) -> str | None:
    from genome.tasks.harness_answers import read_answer

    return read_answer(task, sample, text)


def _harness_reference(task: Task, sample: Sample, value: Any) -> str:
    return str(value)


def _score_harness(task: Task, pairs: Pairs) -> list[float]:
    from genome.tasks.harness_answers import score_answers

    return score_answers(task, pairs)


KINDS: dict[str, Kind] = {
    "choice": Kind(
        _read_choice,
        _choice_reference,
        _same,
        ("accuracy", "weighted_f1"),
        "vote",
        "the letter or the text of an option",
        settle=_settle_choice,
        requires=("options",),
    ),
    "label": Kind(
        _read_label,
        _label_reference,
        _same,
        ("weighted_f1", "accuracy"),
        "vote",
        "one of the labels, or its letter",
        settle=_settle_label,
        sentences=True,
        requires=("labels",),
        allows=("synonyms",),
    ),
    "text": Kind(
        _read_text,
        _text_reference,
        _score_text,
        ("accuracy", "exact_match"),
        "vote",
        "a short text",
        settle=_settle_text,
        allows=("options",),
    ),
    "number": Kind(
        _read_number,
        _number_reference,
        _same,
        ("accuracy", "exact_match"),
        "vote",
        "a number",
        find=_find_number,
        allows=("integers",),
    ),
    "math": Kind(
        _read_result,
        _math_reference,
        _score_math,
        ("accuracy",),
        "vote",
        "a mathematical expression",
        find=_find_math,
    ),
    "span": Kind(
        _read_span,
        _span_reference,
        _score_span,
        ("exact_match", "accuracy"),
        "similarity",
        "a short text",
        find=_find_span,
        beside=metrics.span_f1,
    ),
    "translation": Kind(
        _read_translation,
        _translation_reference,
        _score_translation,
        ("bleu",),
        "similarity",
        "a text",
        allows=("tokenizer",),
        beside=metrics.bleu_signature,
    ),
    "program": Kind(
        _read_program,
        _program_reference,
        _score_program,
        ("pass@1",),
        "similarity",
        "a program in a fenced block, or after “Answer:”",
        find=find_program,
        requires=("tests",),
        allows=("setup", "prefix"),
    ),
    HARNESS: Kind(
        _read_harness,
        _harness_reference,
        _score_harness,
        ("exact_match", "mean"),
        "vote",
        "a response that the task's filter in lm-evaluation-harness accepts",
        requires=("lm_eval",),
        whole=True,
    ),
}
