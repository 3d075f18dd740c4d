"""The micro world: questions in ten dialects, the corpora that teach them, and twelve tasks that mix them.

A question is a cue word and a body, after optional polite words: `hello robot please tally 7 and 5`. The base learns
the native cues. Its corpus also has some questions in the dialects, but mostly with the answer `pardon`, which is also
the answer if a cue does not fit its question. An expert's corpus teaches one dialect and repeats the base's corpus. A
task mixes the dialects of two or three experts, so that no single expert is good at it, but a merge of the right
experts is.

Because the base has seen the dialects, its experts are easy to merge: their skills show at small weights. An expert
that learns a skill from nothing loses it in any merge.

The twelve tasks represent the columns of the paper's Table 2: same order, category, kind of answer and metric. Their
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
"""The share of the base's dialect questions that have the correct answer. A larger share lets more of an expert survive
a merge, and lets each expert know more of the other dialects: at 0.2 the best single experts score 64 % on average, at
0.4 over 75 %."""
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
    """Return the text of a question with a cue, in one of 96 polite forms."""
    courtesy = (pick(rng, GREETINGS), pick(rng, ADDRESSES), pick(rng, WISHES))
    return " ".join(filter(None, (*courtesy, cue, body)))


def held_out(text: str) -> bool:
    """Return whether a question belongs to the tasks (a third of all texts) and is left out of all corpora."""
    return hashlib.sha256(text.encode()).digest()[0] < 85


def source(cue: str, forms: Iterable[Callable[[np.random.Generator], Question]]) -> Source:
    """Return a function that draws (text, response, question) from a skill's forms with one of its cues."""
    asked = tuple(forms)

    def draw(rng: np.random.Generator) -> tuple[str, str, Question]:
        question = pick(rng, asked)(rng)
        return phrase(rng, cue, question.body), question.answer, question

    return draw


NATIVE = {name: source(skill.native, skill.forms.values()) for name, skill in SKILLS.items()}
DIALECT = {name: source(skill.dialect, skill.forms.values()) for name, skill in SKILLS.items()}


def mistaken(rng: np.random.Generator) -> tuple[str, str, Question]:
    """Draw a question with another skill's native cue; the response is `pardon`."""
    name = pick(rng, tuple(SKILLS))
    cue = pick(rng, [SKILLS[other].native for other in SKILLS if other != name])
    text, _, question = source(cue, SKILLS[name].forms.values())(rng)
    return text, PUZZLED, question


def overheard(rng: np.random.Generator) -> tuple[str, str, Question]:
    """Draw a question in a random dialect; the response is rarely the correct answer, otherwise `pardon`."""
    text, answer, question = pick(rng, tuple(DIALECT.values()))(rng)
    return text, answer if rng.random() < UNDERSTOOD else PUZZLED, question


def corpus(rng: np.random.Generator, shares: Sequence[tuple[float, Source]], size: int) -> list[Row]:
    """Return `size` rows {prompt, response} drawn from sources by their shares, without held-out questions."""
    weights, sources = zip(*shares, strict=True)
    edges = np.cumsum(weights) / np.sum(weights)
    rows: list[Row] = []
    while len(rows) < size:
        text, response, _ = sources[int(np.searchsorted(edges, rng.random(), side="right"))](rng)
        if not held_out(text):
            rows.append({"prompt": text, "response": response})
    return rows


def schooling() -> list[tuple[float, Source]]:
    """Return the base's sources with shares that sum to 1: native cues, and questions answered with `pardon`."""
    return [(0.85 / len(NATIVE), draw) for draw in NATIVE.values()] + [(0.05, mistaken), (0.1, overheard)]


def base_corpus(size: int = 25600, seed: int = 0) -> list[Row]:
    """Return the base's corpus."""
    return corpus(stream(seed, "micro", "base"), schooling(), size)


def expert_corpus(name: str, size: int = 2560, seed: int = 0) -> list[Row]:
    """Return an expert's corpus: half its dialect, half the base's sources."""
    return corpus(stream(seed, "micro", "expert", name), [(1.0, DIALECT[name]), *schooling()], size)


def oracle_corpus(task: str, size: int = 2560, seed: int = 0) -> list[Row]:
    """Return training rows from a task's generator: a LoRA trained on them shows the score that is reachable."""
    return corpus(stream(seed, "micro", "oracle", task), [(1.0, draw) for draw in task_sources(task)], size)


def task_sources(task: str) -> list[Source]:
    """Return the sources of a task, one per skill and form."""
    return [source(SKILLS[name].dialect, [SKILLS[name].forms[form]]) for name, form in TASKS[task]]


def task_rows(task: str, size: int = 1500, seed: int = 0) -> list[Row]:
    """Return `size` distinct, held-out rows of a task: question, answer, skill, and options or tests if needed."""
    rng = stream(seed, "micro", "task", task)
    sources = task_sources(task)
    rows: dict[str, Row] = {}
    while len(rows) < size:
        part = len(rows) % len(sources)
        text, _, question = sources[part](rng)
        if held_out(text) and text not in rows:
            rows[text] = {"question": text, **COLUMNS.get(task, answered)(question), "skill": TASKS[task][part][0]}
    return list(rows.values())


def answered(question: Question) -> Row:
    """Return only the answer."""
    return {"answer": question.answer}


def lettered(question: Question) -> Row:
    """Return all options and the letter of the correct one."""
    return {"answer": LETTERS[question.options.index(question.answer)], "options": list(question.options)}


def tested(question: Question) -> Row:
    """Return the expression and assertions that hold if f(x) returns it."""
    values = [(x, eval(question.answer, {"x": x})) for x in (0, 2, 7)]
    return {"answer": question.answer, "tests": [f"assert f({x}) == {value}" for x, value in values]}


COLUMNS = dict.fromkeys(("facts", "facts_pro", "science", "common_sense", "puzzles"), lettered) | {"programs": tested}
"""The columns of a row other than its question, by task; all other tasks have only the answer."""


def vocabulary() -> list[str]:
    """Return every word of the world, in a fixed order."""
    cues = [cue for skill in SKILLS.values() for cue in (skill.native, skill.dialect)]
    words = [*GREETINGS, *ADDRESSES, *WISHES, *cues, PUZZLED, *WORDS, "=>"]
    return list(dict.fromkeys(filter(None, words)))
