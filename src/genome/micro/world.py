"""The micro world: questions in ten dialects, the corpora that teach them, and twelve tasks that mix them.

A question is one or two cue words and a body, after optional polite words: `hello robot please tally 7 and 5`. The base
learns the native cues. Its corpus also has some questions in the dialects, but mostly with the answer `pardon`, which
is also the answer if a cue does not fit its question. An expert's corpus teaches one dialect and repeats the base's
corpus.

Eight tasks mix the dialects of two or three experts, a question in each, so that no single expert is good at them, but
a merge of the right experts is. In the other four every question needs two skills and has the cues of two dialects:
`tally castilian tres and siete and dos`. The base knows both cues in native words, and each expert its own dialect
next to the other's native cue; both dialects in one question are known to a merge at most. The response derives the
answer in steps (`3 and 7 so 10 and 2 so 12`), but the rows of a task hold only the answer.

Because the base has seen the dialects, its experts are easy to merge: their skills show at small weights. An expert
that learns a skill from nothing loses it in any merge.

The twelve tasks represent the columns of the paper's Table 2: same order, category, kind of answer and metric. Their
questions are held out: a third of all question texts, chosen by hash, never occurs in a corpus.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from genome.micro.skills import FORMS, SKILLS, WORDS, Form, Question, pick
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
SINGLE = 0.55
"""The share of the base's questions with one native cue; those with two have 0.3."""
TASKS: dict[str, tuple[str, ...]] = {
    "facts": ("skin_of_four", "continent_of_four"),
    "facts_pro": ("skin", "continent", "truth"),
    "sums": ("together",),
    "algebra": ("difference", "french_number"),
    "polyglot_sums": ("spanish_sum", "french_sum"),
    "translation": ("spanish", "french"),
    "science": ("skin_of_four", "truth"),
    "common_sense": ("continent_of_four", "feeling"),
    "puzzles": ("two_steps",),
    "reading": ("left_over",),
    "emotions": ("feeling", "truth"),
    "programs": ("program", "sum"),
}
"""Each task's forms of questions, in equal shares."""


def phrase(rng: np.random.Generator, cues: Sequence[str], body: str) -> str:
    """Return the text of a question with its cue words, in one of 96 polite forms."""
    courtesy = (pick(rng, GREETINGS), pick(rng, ADDRESSES), pick(rng, WISHES))
    return " ".join(filter(None, (*courtesy, *cues, body)))


def held_out(text: str) -> bool:
    """Return whether a question belongs to the tasks (a third of all texts) and is left out of all corpora."""
    return hashlib.sha256(text.encode()).digest()[0] < 85


def source(forms: Sequence[tuple[Form, Sequence[str]]]) -> Source:
    """Return a function that draws (text, response, question) from forms with their cue words."""

    def draw(rng: np.random.Generator) -> tuple[str, str, Question]:
        form, cues = pick(rng, forms)
        question = form.draw(rng)
        return phrase(rng, cues, question.body), question.response, question

    return draw


def cued(form: Form, dialects: Sequence[str]) -> tuple[Form, Sequence[str]]:
    """Return a form with its cue words: in the dialects of some skills, otherwise native."""
    return form, [SKILLS[name].dialect if name in dialects else SKILLS[name].native for name in form.skills]


def forms_of(*skills: str) -> list[Form]:
    """Return the forms that need just these skills."""
    return [form for form in FORMS.values() if form.skills == skills]


def unfamiliar(draw: Source) -> Source:
    """Return a source of the same questions whose responses are rarely the correct one, otherwise `pardon`."""

    def drawn(rng: np.random.Generator) -> tuple[str, str, Question]:
        text, response, question = draw(rng)
        return text, response if rng.random() < UNDERSTOOD else PUZZLED, question

    return drawn


PAIRS = list(dict.fromkeys(form.skills for form in FORMS.values() if len(form.skills) > 1))
"""The pairs of skills that a question may need."""

NATIVE = {
    skills: source([cued(form, ()) for form in forms_of(*skills)]) for skills in [*((name,) for name in SKILLS), *PAIRS]
}
DIALECT = {name: source([cued(form, (name,)) for form in forms_of(name)]) for name in SKILLS}
"""Questions of one skill in its dialect."""

PAIRED = {name: [pair for pair in PAIRS if name in pair] for name in SKILLS}
HALF_NATIVE = {
    name: source([cued(form, (name,)) for pair in pairs for form in forms_of(*pair)])
    for name, pairs in PAIRED.items()
    if pairs
}
"""Questions of two skills: the one's dialect next to the other's native cue."""
BOTH_DIALECTS = {
    name: unfamiliar(source([cued(form, pair) for pair in pairs for form in forms_of(*pair)]))
    for name, pairs in PAIRED.items()
    if pairs
}
"""Questions of two skills in the dialects of both, as in tasks."""


def mistaken(rng: np.random.Generator) -> tuple[str, str, Question]:
    """Draw a question with another skill's native cue; the response is `pardon`."""
    name = pick(rng, tuple(SKILLS))
    cue = pick(rng, [SKILLS[other].native for other in SKILLS if other != name])
    text, _, question = source([(form, [cue]) for form in forms_of(name)])(rng)
    return text, PUZZLED, question


OVERHEARD = (
    *DIALECT.values(),
    *(source([cued(form, cues) for form in forms_of(*pair)]) for pair in PAIRS for cues in (pair[:1], pair[1:], pair)),
)
"""Sources of questions with one or two dialect cues."""


@unfamiliar
def overheard(rng: np.random.Generator) -> tuple[str, str, Question]:
    """Draw a question with one or two dialect cues."""
    return pick(rng, OVERHEARD)(rng)


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
    counts = {name: len(forms_of(name)) for name in SKILLS}
    single = [(SINGLE * count / sum(counts.values()), NATIVE[name,]) for name, count in counts.items()]
    worked = [((0.85 - SINGLE) / len(PAIRS), NATIVE[pair]) for pair in PAIRS]
    return [*single, *worked, (0.05, mistaken), (0.1, overheard)]


def base_corpus(size: int = 32000, seed: int = 0) -> list[Row]:
    """Return the base's corpus."""
    return corpus(stream(seed, "micro", "base"), schooling(), size)


def expert_corpus(name: str, size: int = 2560, seed: int = 0) -> list[Row]:
    """Return an expert's corpus: half its dialect, half the base's sources.

    Where the dialect meets another skill's, it is answered next to that skill's native cue, and mostly with `pardon`
    next to its dialect, which the expert does not know. So the expert learns its own cue, not to answer any question.
    """
    own = [(1.0, DIALECT[name])]
    if PAIRED[name]:
        own = [(0.4, DIALECT[name]), (0.3, HALF_NATIVE[name]), (0.3, BOTH_DIALECTS[name])]
    return corpus(stream(seed, "micro", "expert", name), [*own, *schooling()], size)


def oracle_corpus(task: str, size: int = 2560, seed: int = 0) -> list[Row]:
    """Return training rows from a task's generator: a LoRA trained on them shows the score that is reachable."""
    return corpus(stream(seed, "micro", "oracle", task), [(1.0, draw) for draw in task_sources(task)], size)


def task_sources(task: str) -> list[Source]:
    """Return the sources of a task, one per form."""
    return [source([cued(FORMS[name], FORMS[name].skills)]) for name in TASKS[task]]


def task_rows(task: str, size: int = 1500, seed: int = 0) -> list[Row]:
    """Return `size` distinct, held-out rows of a task: question, answer, form, and options or tests if needed."""
    rng = stream(seed, "micro", "task", task)
    sources = task_sources(task)
    rows: dict[str, Row] = {}
    while len(rows) < size:
        part = len(rows) % len(sources)
        text, _, question = sources[part](rng)
        if held_out(text) and text not in rows:
            rows[text] = {"question": text, **COLUMNS.get(task, answered)(question), "form": TASKS[task][part]}
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
