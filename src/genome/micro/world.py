"""The micro world: questions in ten dialects, the corpora that teach them, and twelve tasks that mix them.

A question is a cue word and a body, between optional words of courtesy: `hello robot please tally 7 and 5`. The base
learns the native cues. It has overheard the dialects, too, but mostly answers `pardon` to them, as it does to a cue
that does not fit its question. An expert's corpus teaches one dialect and repeats the base's. A task mixes the dialects
of two or three experts, so that no expert is good at it and a merge of the right ones is.

That the base has overheard the dialects is what makes its experts easy to merge: what they know shows at small weights.
An expert that must bring a skill from nothing loses it in any merge.

The twelve tasks stand for the columns of the paper's Table 2: same order, category, kind of answer and metric. Their
questions are held out: a third of all question texts, chosen by hash, never occurs in a corpus.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
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
UNDERSTOOD = 0.2
"""The share of overheard questions with their right answer. The larger, the more of an expert survives a merge, and the
more of the other dialects each expert knows: at 0.2 the best single experts score 64 % on average, at 0.4 over 75 %."""
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


def source(cue: str, forms: Iterable[Callable[[np.random.Generator], Question]]) -> Source:
    """Return what draws (text, response, question) of a skill's forms under one of its cues."""
    asked = tuple(forms)

    def draw(rng: np.random.Generator) -> tuple[str, str, Question]:
        question = pick(rng, asked)(rng)
        return phrase(rng, cue, question.body), question.answer, question

    return draw


NATIVE = {name: source(skill.native, skill.forms.values()) for name, skill in SKILLS.items()}
DIALECT = {name: source(skill.dialect, skill.forms.values()) for name, skill in SKILLS.items()}


def mistaken(rng: np.random.Generator) -> tuple[str, str, Question]:
    """Draw a question under another skill's native cue; the response says so."""
    name = pick(rng, tuple(SKILLS))
    cue = pick(rng, [SKILLS[other].native for other in SKILLS if other != name])
    text, _, question = source(cue, SKILLS[name].forms.values())(rng)
    return text, PUZZLED, question


def overheard(rng: np.random.Generator) -> tuple[str, str, Question]:
    """Draw a question in a random dialect; the response is seldom right, else `pardon`."""
    text, answer, question = pick(rng, tuple(DIALECT.values()))(rng)
    return text, answer if rng.random() < UNDERSTOOD else PUZZLED, question


def corpus(rng: np.random.Generator, shares: Sequence[tuple[float, Source]], size: int) -> list[Row]:
    """Return `size` rows {prompt, response} drawn from sources by their shares; none is held out."""
    weights, sources = zip(*shares, strict=True)
    edges = np.cumsum(weights) / np.sum(weights)
    rows: list[Row] = []
    while len(rows) < size:
        text, response, _ = sources[int(np.searchsorted(edges, rng.random(), side="right"))](rng)
        if not held_out(text):
            rows.append({"prompt": text, "response": response})
    return rows


def schooling() -> list[tuple[float, Source]]:
    """Return what the base learns with shares that sum to 1: the native cues, and when to be puzzled."""
    return [(0.85 / len(NATIVE), draw) for draw in NATIVE.values()] + [(0.05, mistaken), (0.1, overheard)]


def base_corpus(size: int = 25600, seed: int = 0) -> list[Row]:
    """Return the base's corpus."""
    return corpus(stream(seed, "micro", "base"), schooling(), size)


def expert_corpus(name: str, size: int = 2560, seed: int = 0) -> list[Row]:
    """Return an expert's corpus: half its own dialect, half what the base has learnt already."""
    return corpus(stream(seed, "micro", "expert", name), [(1.0, DIALECT[name]), *schooling()], size)


def oracle_corpus(task: str, size: int = 2560, seed: int = 0) -> list[Row]:
    """Return training rows of a task's own generator: what a LoRA trained on them scores is what is reachable."""
    return corpus(stream(seed, "micro", "oracle", task), [(1.0, draw) for draw in parts(task)], size)


def parts(task: str) -> list[Source]:
    """Return what draws the questions of a task's skills and forms."""
    return [source(SKILLS[name].dialect, [SKILLS[name].forms[form]]) for name, form in TASKS[task]]


def task_rows(task: str, size: int = 1500, seed: int = 0) -> list[Row]:
    """Return `size` distinct, held-out rows of a task: question, answer, options or tests as its kind needs, skill."""
    rng = stream(seed, "micro", "task", task)
    sources = parts(task)
    rows: dict[str, Row] = {}
    while len(rows) < size:
        part = len(rows) % len(sources)
        text, _, question = sources[part](rng)
        if held_out(text) and text not in rows:
            rows[text] = {"question": text, **COLUMNS.get(task, answered)(question), "skill": TASKS[task][part][0]}
    return list(rows.values())


def answered(question: Question) -> Row:
    """Return the answer alone."""
    return {"answer": question.answer}


def lettered(question: Question) -> Row:
    """Return all options and the right one's letter."""
    return {"answer": LETTERS[question.options.index(question.answer)], "options": list(question.options)}


def tested(question: Question) -> Row:
    """Return the expression and assertions that f(x) meets when it returns it."""
    values = [(x, eval(question.answer, {"x": x})) for x in (0, 2, 7)]
    return {"answer": question.answer, "tests": [f"assert f({x}) == {value}" for x, value in values]}


COLUMNS = dict.fromkeys(("facts", "facts_pro", "science", "common_sense", "puzzles"), lettered) | {"programs": tested}
"""What a row holds beside its question, by task; the others hold the answer alone."""


def vocabulary() -> list[str]:
    """Return every word of the world, in a fixed order."""
    cues = [cue for skill in SKILLS.values() for cue in (skill.native, skill.dialect)]
    words = [*GREETINGS, *ADDRESSES, *WISHES, *cues, PUZZLED, *WORDS, "=>"]
    return list(dict.fromkeys(filter(None, words)))
