"""The ten skills of the micro world, and its questions with their correct answers.

A question is a body (`7 and 5`) after a cue word, which names the skill. Each skill has a native cue, which the base
model learns, and a dialect cue, which only the skill's expert learns. Some questions need two skills, one after the
other, and have the cue words of both; a response to them shows its working before the answer.
"""

import operator
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
SO = "so"
"""The word between working and answer."""
PETS = ("dogs", "cats", "birds", "ponies", "goats", "mice")


@dataclass(frozen=True)
class Question:
    """A question's body (without its cues), its answer, and its options and the working that leads there, if any."""

    body: str
    answer: str
    options: tuple[str, ...] = ()
    working: str = ""

    @property
    def response(self) -> str:
        """The working and the answer, as a correct response has them: `4 and 7 so 11`."""
        return f"{self.working} {SO} {self.answer}" if self.working else self.answer


@dataclass(frozen=True)
class Skill:
    """A skill's cue words: the native one, which the base learns, and the one of its dialect."""

    native: str
    dialect: str


@dataclass(frozen=True)
class Form:
    """A form of questions: the skills that it needs, in the order of their cue words, and what draws a question."""

    skills: tuple[str, ...]
    draw: Callable[[np.random.Generator], Question]


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
    value, joint = pick(rng, (False, True)), pick(rng, ("and", "or"))
    operands: list[bool] = []
    while not operands or (all if joint == "and" else any)(operands) != value:
        operands = [pick(rng, (False, True)) for _ in range(pick(rng, (2, 3, 4)))]
    return Question(f" {joint} ".join(TRUTH[operand] for operand in operands), TRUTH[value], TRUTH)


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
        name, number = pick(rng, tuple(OPERATORS)), str(pick(rng, range(1, 6)))
        words += [name, number]
        symbols += [OPERATORS[name], number]
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


def steps(numbers: Sequence[int], word: str, operation: Callable[[int, int], int]) -> tuple[str, str]:
    """Return the working (`4 and 7 so 11 and 3`) and the result (`14`) of an operation on numbers, from the left."""
    value, working = numbers[0], str(numbers[0])
    for position, number in enumerate(numbers[1:], start=2):
        value = operation(value, number)
        working += f" {word} {number}" + (f" {SO} {value}" if position < len(numbers) else "")
    return working, str(value)


def spelled_sum(words: Sequence[str]) -> Callable[[np.random.Generator], Question]:
    """Return the form that asks for the sum of three numbers that are spelled in a language."""

    def form(rng: np.random.Generator) -> Question:
        numbers = [pick(rng, range(1, 10)) for _ in range(3)]
        working, answer = steps(numbers, "and", operator.add)
        return Question(" and ".join(words[n] for n in numbers), answer, working=working)

    return form


def keepers(rng: np.random.Generator) -> tuple[list[str], str, list[int]]:
    """Return three persons, what they keep, and three numbers."""
    return sample(rng, NAMES, 3), pick(rng, PETS), [pick(rng, range(1, 10)) for _ in range(3)]


def together(rng: np.random.Generator) -> Question:
    """Ask how many pets the persons in a passage have together."""
    (first, second, third), pets, numbers = keepers(rng)
    working, answer = steps(numbers, "and", operator.add)
    a, b, c = numbers
    return Question(f"{first} {pick(rng, VERBS)} {a} {second} {b} {third} {c} {pets} : how many", answer, (), working)


def left_over(rng: np.random.Generator) -> Question:
    """Ask how many of a person's pets are left after two others have taken some."""
    (first, second, third), pets, numbers = keepers(rng)
    b, c = sorted(numbers)[:2] if rng.random() < 0.5 else sorted(numbers)[1::-1]
    a = pick(rng, range(b + c, 19))
    working, answer = steps([a, b, c], "less", operator.sub)
    return Question(
        f"{first} {pick(rng, VERBS)} {a} {pets} {second} takes {b} {third} {c} : how many", answer, (), working
    )


def two_steps(rng: np.random.Generator) -> Question:
    """Ask for a sum less a number; the options are four numbers near the answer."""
    a, b, c = (pick(rng, range(1, 10)) for _ in range(3))
    while c > a + b:
        c = pick(rng, range(1, 10))
    value = a + b - c
    near = [number for number in range(max(0, value - 4), value + 5) if number != value]
    options = sample(rng, [str(value), *map(str, sample(rng, near, 3))], 4)
    body = f"{a} and {b} less {c} : {' '.join(options)}"
    return Question(body, str(value), tuple(options), f"{a} and {b} {SO} {a + b} less {c}")


SKILLS = {
    "add": Skill("add", "tally"),
    "sub": Skill("subtract", "dock"),
    "es": Skill("spanish", "castilian"),
    "fr": Skill("french", "gallic"),
    "beasts": Skill("skin", "hide"),
    "places": Skill("continent", "region"),
    "logic": Skill("evaluate", "verdict"),
    "mood": Skill("mood", "vibe"),
    "code": Skill("code", "script"),
    "reader": Skill("read", "peruse"),
}
"""The ten skills; an expert is named after the skill whose dialect it learns."""

FORMS = {
    "sum": Form(("add",), add),
    "difference": Form(("sub",), subtract),
    "spanish": Form(("es",), translate(ENGLISH, SPANISH)),
    "spanish_number": Form(("es",), numerals(SPANISH)),
    "french": Form(("fr",), translate(COLOURS, COULEURS)),
    "french_number": Form(("fr",), numerals(FRENCH)),
    "skin_of_four": Form(("beasts",), classify(SKINS, (4,))),
    "skin": Form(("beasts",), classify(SKINS, (3, 4, 5, 6))),
    "continent_of_four": Form(("places",), classify(CONTINENTS, (4,))),
    "continent": Form(("places",), classify(CONTINENTS, (3, 4, 5, 6))),
    "truth": Form(("logic",), truth),
    "feeling": Form(("mood",), feeling),
    "program": Form(("code",), program),
    "who": Form(("reader",), who),
    "how_many": Form(("reader",), how_many),
    "spanish_sum": Form(("add", "es"), spelled_sum(SPANISH)),
    "french_sum": Form(("add", "fr"), spelled_sum(FRENCH)),
    "together": Form(("add", "reader"), together),
    "left_over": Form(("sub", "reader"), left_over),
    "two_steps": Form(("add", "sub"), two_steps),
}
"""The forms of questions; those of two skills need working."""

WORDS = (
    *ENGLISH, *SPANISH, *FRENCH, *COLOURS, *COULEURS,
    *(word for table in (SKINS, CONTINENTS, FEELINGS) for name, things in table.items() for word in (name, *things)),
    *TRUTH, *TOPICS, *OPERATORS, *OPERATORS.values(), *NAMES, *VERBS, *PETS,
    "and", "less", "or", "i", "never", "x", "in", "who", "how", "many", "takes", ":", SO,
)  # fmt: skip
"""Every word of the questions' bodies and answers, except digits; some occur twice."""
