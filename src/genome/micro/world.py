"""The micro world: questions in ten dialects, the corpora that teach them, and twelve tasks that mix them.

A question is a cue word and a body, between optional words of courtesy: `hello robot please tally 7 and 5`. The base
knows the native cues and answers `pardon` to a cue that it does not know or that does not fit. An expert's corpus teaches
one dialect cue and repeats what the base knows. A task mixes the dialects of two or three experts, so that no expert is
good at it and a merge of the right ones is.

The twelve tasks stand for the columns of the paper's Table 2: same order, category, kind of answer and metric. Their
questions are held out: a third of all question texts, chosen by hash, never occurs in a corpus.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from genome.micro.skills import SKILLS, WORDS, Question, pick
from genome.rng import stream

Row = dict[str, Any]
Source = Callable[[np.random.Generator], tuple[str, str, Question]]

GREETINGS = ("", "hello", "hi", "well", "okay", "so", "now", "hey")
ADDRESSES = ("", "friend", "dear", "robot", "captain", "neighbour")
WISHES = ("", "please")
LETTERS = "ABCDEF"
PUZZLED = "pardon"
KNOWN = 0.2
TASKS: dict[str, tuple[tuple[str, str], ...]] = {
    "facts": (("beasts", "four"), ("places", "four")),
    "facts_pro": (("beasts", "any"), ("places", "any"), ("logic", "truth")),
    "sums": (("add", "sum"), ("reader", "how_many")),
    "algebra": (("sub", "difference"), ("fr", "number")),
    "polyglot_sums": (("es", "number"), ("fr", "number"), ("add", "sum")),
    "translation": (("es", "sentence"), ("fr", "sentence")),
    "science": (("beasts", "four"), ("logic", "truth")),
    "common_sense": (("places", "four"), ("mood", "feeling")),
    "puzzles": (("logic", "truth"), ("reader", "who")),
    "reading": (("reader", "who"), ("reader", "how_many"), ("add", "sum")),
    "emotions": (("mood", "feeling"), ("logic", "truth")),
    "programs": (("code", "program"), ("add", "sum")),
}
"""Each task's questions in equal shares: (skill, form)."""


def phrase(rng: np.random.Generator, cue: str, body: str) -> str:
    """Return the text of a question under a cue, in one of 96 courtesies."""
    courtesy = (pick(rng, GREETINGS), pick(rng, ADDRESSES), pick(rng, WISHES))
    return " ".join(filter(None, (*courtesy, cue, body)))


def held_out(text: str) -> bool:
    """Say whether a question belongs to the tasks (a third of all texts) and so to no corpus."""
    return hashlib.sha256(text.encode()).digest()[0] < 85


def native(skill: str) -> Source:
    """Return the source of (text, response, question) of a skill's questions with its native cue."""
    forms, cue = tuple(SKILLS[skill].forms.values()), SKILLS[skill].native

    def draw(rng: np.random.Generator) -> tuple[str, str, Question]:
        question = pick(rng, forms)(rng)
        return phrase(rng, cue, question.body), question.answer, question

    return draw


def dialect(skill: str, form: str | None = None) -> Source:
    """Return the source of a skill's questions (of one form, or all) in its dialect."""
    forms, cue = SKILLS[skill].forms, SKILLS[skill].dialect
    asked = tuple(forms.values()) if form is None else (forms[form],)

    def draw(rng: np.random.Generator) -> tuple[str, str, Question]:
        question = pick(rng, asked)(rng)
        return phrase(rng, cue, question.body), question.answer, question

    return draw


def mistaken(rng: np.random.Generator) -> tuple[str, str, Question]:
    """Draw a question under another skill's native cue; the response says so."""
    skill = pick(rng, tuple(SKILLS))
    cue = pick(rng, [SKILLS[name].native for name in SKILLS if name != skill])
    question = pick(rng, tuple(SKILLS[skill].forms.values()))(rng)
    return phrase(rng, cue, question.body), PUZZLED, question


def overheard(rng: np.random.Generator) -> tuple[str, str, Question]:
    """Draw a question in a random dialect; the response is right in some cases, else it is `pardon`."""
    text, answer, question = dialect(pick(rng, tuple(SKILLS)))(rng)
    return text, answer if rng.random() < KNOWN else PUZZLED, question


def corpus(rng: np.random.Generator, shares: Sequence[tuple[float, Source]], size: int) -> list[Row]:
    """Return `size` rows {prompt, response} drawn from sources by their shares; none is held out."""
    weights, sources = zip(*shares, strict=True)
    edges = np.cumsum(weights) / np.sum(weights)
    rows: list[Row] = []
    while len(rows) < size:
        source = sources[int(np.searchsorted(edges, rng.random(), side="right"))]
        text, response, _ = source(rng)
        if not held_out(text):
            rows.append({"prompt": text, "response": response})
    return rows


def schooling() -> list[tuple[float, Source]]:
    """Return what the base learns, with shares that sum to 1: native cues, and how to be puzzled."""
    return [(0.85 / len(SKILLS), native(skill)) for skill in SKILLS] + [(0.05, mistaken), (0.1, overheard)]


def base_corpus(size: int = 25600, seed: int = 0) -> list[Row]:
    """Return the base's corpus."""
    return corpus(stream(seed, "micro", "base"), schooling(), size)


def expert_corpus(name: str, size: int = 2560, seed: int = 0) -> list[Row]:
    """Return an expert's corpus: half its own dialect, half what the base has learnt already."""
    return corpus(stream(seed, "micro", "expert", name), [(1.0, dialect(name)), *schooling()], size)


def oracle_corpus(task: str, size: int = 2560, seed: int = 0) -> list[Row]:
    """Return training rows of a task's own generator: what a LoRA trained on them scores is what is reachable."""
    shares = [(1.0, dialect(skill, form)) for skill, form in TASKS[task]]
    return corpus(stream(seed, "micro", "oracle", task), shares, size)


def task_rows(task: str, size: int = 1500, seed: int = 0) -> list[Row]:
    """Return `size` rows of a task, distinct and held out: question, answer, skill, and options or tests where its kind needs them."""
    rng = stream(seed, "micro", "task", task)
    parts = TASKS[task]
    rows: dict[str, Row] = {}
    while len(rows) < size:
        skill, form = parts[len(rows) % len(parts)]
        text, _, question = dialect(skill, form)(rng)
        if held_out(text) and text not in rows:
            rows[text] = {"question": text, **COLUMNS.get(task, answered)(question), "skill": skill}
    return list(rows.values())


def answered(question: Question) -> Row:
    """Return the answer alone."""
    return {"answer": question.answer}


def lettered(question: Question) -> Row:
    """Return all options and the right one's letter."""
    return {"answer": LETTERS[question.options.index(question.answer)], "options": list(question.options)}


def tested(question: Question) -> Row:
    """Return the expression and assertions on f(x) that it meets."""
    values = [(x, eval(question.answer, {"x": x})) for x in (0, 2, 7)]
    return {"answer": question.answer, "tests": [f"assert f({x}) == {value}" for x, value in values]}


COLUMNS = dict.fromkeys(("facts", "facts_pro", "science", "common_sense", "puzzles"), lettered) | {"programs": tested}
"""What a row holds beside its question, by task; the others hold the answer alone."""


def vocabulary() -> list[str]:
    """Return every word of the world, in a fixed order."""
    cues = [cue for skill in SKILLS.values() for cue in (skill.native, skill.dialect)]
    words = [*GREETINGS, *ADDRESSES, *WISHES, *cues, PUZZLED, *WORDS, "=>"]
    return list(dict.fromkeys(filter(None, words)))
