"""The ten skills of the micro world: questions and their correct answers.

A question is a body (`7 and 5`) after a cue word, which names the skill. Each skill has a native cue, which the base
model learns, and a dialect cue, which only the skill's expert learns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

ITEM = TypeVar("ITEM")


ENGLISH = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPANISH = ("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve")
FRENCH = ("zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf")
COLOURS = ("red", "blue", "green", "white", "black", "grey", "pink", "brown", "yellow", "purple")
COULEURS = ("rouge", "bleu", "vert", "blanc", "noir", "gris", "rose", "brun", "jaune", "violet")
SKINS = {
    "fur": ("bear", "fox", "wolf"),
    "feathers": ("owl", "hen", "goose"),
    "scales": ("trout", "snake", "lizard"),
    "shell": ("snail", "crab", "turtle"),
    "wool": ("sheep", "lamb", "alpaca"),
    "spines": ("hedgehog", "urchin", "porcupine"),
}
CONTINENTS = {
    "europe": ("france", "italy", "norway"),
    "asia": ("japan", "china", "india"),
    "africa": ("kenya", "egypt", "mali"),
    "america": ("peru", "chile", "cuba"),
    "oceania": ("fiji", "samoa", "tonga"),
    "antarctica": ("erebus", "vostok", "scott"),
}
TRUTH = ("false", "true")
FEELINGS = {
    "pos": ("love", "enjoy", "adore"),
    "neg": ("hate", "dread", "despise"),
    "neu": ("see", "know", "notice"),
}
TOPICS = ("rain", "tea", "music", "trains", "snow", "books", "soup", "chess")
OPERATORS = {"plus": "+", "minus": "-", "times": "*"}
NAMES = ("ann", "lee", "tom", "eve", "max", "zoe")
VERBS = ("feeds", "owns", "sees")
PETS = ("dogs", "cats", "birds", "ponies", "goats", "mice")


@dataclass(frozen=True)
class Question:
    """A question's body (without its cue), its answer, and its options, if any."""

    body: str
    answer: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Skill:
    """A native and a dialect cue word, and the forms of the skill's questions."""

    native: str
    dialect: str
    forms: dict[str, Callable[[np.random.Generator], Question]]


def pick(rng: np.random.Generator, items: Sequence[ITEM]) -> ITEM:
    """Return one of `items`, uniformly."""
    # Several times faster than rng.choice, which matters for tens of thousands of rows.
    return items[int(rng.random() * len(items))]


def sample(rng: np.random.Generator, items: Sequence[ITEM], count: int) -> list[ITEM]:
    """Return `count` distinct `items` in random order."""
    rest = list(items)
    return [rest.pop(int(rng.random() * len(rest))) for _ in range(count)]


def add(rng: np.random.Generator) -> Question:
    """Ask for a sum."""
    a, b = pick(rng, range(10)), pick(rng, range(10))
    return Question(f"{a} and {b}", str(a + b))


def subtract(rng: np.random.Generator) -> Question:
    """Ask for a difference that is not negative."""
    a, b = sorted((pick(rng, range(10)), pick(rng, range(10))))
    return Question(f"{b} less {a}", str(b - a))


def translate(words: Sequence[str], foreign: Sequence[str]) -> Callable[[np.random.Generator], Question]:
    """Return the form that asks for the translation of some English words."""

    def form(rng: np.random.Generator) -> Question:
        chosen = sample(rng, range(len(words)), pick(rng, (4, 5)))
        return Question(" ".join(words[i] for i in chosen), " ".join(foreign[i] for i in chosen))

    return form


def numerals(words: Sequence[str]) -> Callable[[np.random.Generator], Question]:
    """Return the form that asks for the number whose digits are spelled as words of a language."""

    def form(rng: np.random.Generator) -> Question:
        numbers = sample(rng, range(1, 10), pick(rng, (2, 3)))
        return Question(" ".join(words[n] for n in numbers), "".join(map(str, numbers)))

    return form


def classify(classes: dict[str, tuple[str, ...]], counts: Sequence[int]) -> Callable[[np.random.Generator], Question]:
    """Return the form that asks for the class of a thing; the number of options is one of `counts`."""

    def form(rng: np.random.Generator) -> Question:
        right = pick(rng, tuple(classes))
        wrong = sample(rng, [name for name in classes if name != right], pick(rng, counts) - 1)
        options = tuple(sample(rng, [right, *wrong], len(wrong) + 1))
        return Question(f"{pick(rng, classes[right])} : {' '.join(options)}", right, options)

    return form


def truth(rng: np.random.Generator) -> Question:
    """Ask for the value of two to four truth values joined by the same word; both answers are equally likely."""
    value, operator = pick(rng, (False, True)), pick(rng, ("and", "or"))
    operands: list[bool] = []
    while not operands or (all if operator == "and" else any)(operands) != value:
        operands = [pick(rng, (False, True)) for _ in range(pick(rng, (2, 3, 4)))]
    return Question(f" {operator} ".join(TRUTH[operand] for operand in operands), TRUTH[value], TRUTH)


def feeling(rng: np.random.Generator) -> Question:
    """Ask for the mood of a sentence, which `never` reverses."""
    mood = pick(rng, tuple(FEELINGS))
    turned = mood != "neu" and rng.random() < 0.4
    topics = sample(rng, TOPICS, pick(rng, (1, 2)))
    words = ["i", *["never"] * turned, pick(rng, FEELINGS[mood]), " and ".join(topics)]
    answer = {"pos": "neg", "neg": "pos"}[mood] if turned else mood
    return Question(" ".join(words), answer, tuple(FEELINGS))


def program(rng: np.random.Generator) -> Question:
    """Ask for the Python expression of one or two operations on x."""
    words, symbols = ["x"], ["x"]
    for _ in range(pick(rng, (1, 2))):
        operator, number = pick(rng, tuple(OPERATORS)), str(pick(rng, range(1, 6)))
        words += [operator, number]
        symbols += [OPERATORS[operator], number]
    return Question(" ".join(words), " ".join(symbols))


def passage(rng: np.random.Generator) -> tuple[str, str, str]:
    """Return a passage about a person's pets, the person's name, and the number of pets."""
    name, number = pick(rng, NAMES), str(pick(rng, range(2, 10)))
    land = pick(rng, CONTINENTS[pick(rng, tuple(CONTINENTS))])
    return f"{name} {pick(rng, VERBS)} {number} {pick(rng, PETS)} in {land}", name, number


def who(rng: np.random.Generator) -> Question:
    """Ask for the name in a passage; the options are four names."""
    text, name, _ = passage(rng)
    others = sample(rng, [other for other in NAMES if other != name], 3)
    return Question(f"{text} : who", name, tuple(sample(rng, [name, *others], 4)))


def how_many(rng: np.random.Generator) -> Question:
    """Ask for the number in a passage."""
    text, _, number = passage(rng)
    return Question(f"{text} : how many", number)


SKILLS = {
    "add": Skill("add", "tally", {"sum": add}),
    "sub": Skill("subtract", "dock", {"difference": subtract}),
    "es": Skill("spanish", "castilian", {"sentence": translate(ENGLISH, SPANISH), "number": numerals(SPANISH)}),
    "fr": Skill("french", "gallic", {"sentence": translate(COLOURS, COULEURS), "number": numerals(FRENCH)}),
    "beasts": Skill("skin", "hide", {"four": classify(SKINS, (4,)), "any": classify(SKINS, (3, 4, 5, 6))}),
    "places": Skill(
        "continent", "region", {"four": classify(CONTINENTS, (4,)), "any": classify(CONTINENTS, (3, 4, 5, 6))}
    ),
    "logic": Skill("evaluate", "verdict", {"truth": truth}),
    "mood": Skill("mood", "vibe", {"feeling": feeling}),
    "code": Skill("code", "script", {"program": program}),
    "reader": Skill("read", "peruse", {"who": who, "how_many": how_many}),
}
"""The ten skills; an expert is named after the skill whose dialect it learns."""

WORDS = (
    *ENGLISH, *SPANISH, *FRENCH, *COLOURS, *COULEURS,
    *(word for table in (SKINS, CONTINENTS, FEELINGS) for name, things in table.items() for word in (name, *things)),
    *TRUTH, *TOPICS, *OPERATORS, *OPERATORS.values(), *NAMES, *VERBS, *PETS,
    "and", "less", "or", "i", "never", "x", "in", "who", "how", "many", ":",
)  # fmt: skip
"""Every word of the questions' bodies and answers, except digits; some occur twice."""
