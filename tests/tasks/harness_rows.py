"""Made-up rows in the columns of data sets that lm-evaluation-harness has tasks of."""

import random
from typing import Any

Row = dict[str, Any]

CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "Egypt": "Cairo", "Peru": "Lima",
    "Kenya": "Nairobi", "Norway": "Oslo", "Greece": "Athens", "Cuba": "Havana", "Poland": "Warsaw", "Chile": "Santiago",
    "Austria": "Vienna", "Ireland": "Dublin", "Portugal": "Lisbon", "Hungary": "Budapest", "Iran": "Tehran",
    "Germany": "Berlin", "Russia": "Moscow", "Finland": "Helsinki", "China": "Beijing", "Iraq": "Baghdad",
    "Canada": "Ottawa", "Turkey": "Ankara", "Syria": "Damascus", "Belgium": "Brussels",
}  # fmt: skip
NAMES = ("Ann", "Robert", "Maria", "Samuel", "Lee", "Patricia", "Tom", "Eve", "Nina", "Oliver")
THINGS = ("apples", "books", "stones", "dogs", "red marbles", "coins")
PLACES = ("in the garden", "at the old school", "by the river", "in the kitchen", "at the station")


def rows_of_capitals(drawn: random.Random, number: int) -> list[Row]:
    """Return questions with four options each, of which one is right."""
    rows = []
    for index, (country, city) in enumerate(list(CAPITALS.items())[:number]):
        wrong = drawn.sample([other for other in CAPITALS.values() if other != city], 3)
        place = index % 4
        texts = [*wrong[:place], city, *wrong[place:]]
        labels = list("ABCD") if index % 3 else list("1234")
        rows.append(
            {
                "question": f"What is the capital of {country}?",
                "choices": {"text": texts, "label": labels},
                "options": texts,
                "answerKey": labels[place],
                "place": place,
                "support": f"{city} is where the parliament of {country} meets." if index % 2 else "",
                "right": city,
                "wrong": wrong,
                "names": [city, city.upper(), f"the city of {city}"],
            }
        )
    return rows


def sums(drawn: random.Random, number: int) -> list[Row]:
    """Return word problems whose answers have working, as GSM8K's have."""
    rows = []
    for _ in range(number):
        name, thing, a, b = drawn.choice(NAMES), drawn.choice(THINGS), drawn.randint(2, 9), drawn.randint(2, 9)
        answer = f"{name} has {a} {thing} and finds {b}.\n{a} + {b} = <<{a}+{b}={a + b}>>{a + b}\n#### {a + b}"
        rows.append({"question": f"{name} has {a} {thing} and finds {b} more. How many are there?", "answer": answer})
    return rows


def stories(drawn: random.Random, number: int) -> list[Row]:
    """Return beginnings of stories with four endings of different lengths."""
    rows = []
    for index in range(number):
        name, other = drawn.sample(NAMES, 2)
        endings = [
            f"{name.lower()} puts them into a bag and walks home with {other}.",
            "sleeps.",
            f"the {drawn.choice(THINGS)} drink coffee, naïvely.",
            f"{other} eats a house {drawn.choice(PLACES)}",
        ]
        place = index % 4
        endings[0], endings[place] = endings[place], endings[0]
        context = f"{name} [title] collects {drawn.choice(THINGS)}  {drawn.choice(PLACES)}. Then"
        rows.append({"activity": "Collecting", "ctx": context, "endings": endings, "label": str(place)})
    return rows


def pronouns(drawn: random.Random, number: int) -> list[Row]:
    """Return sentences with a blank and two names for it; every fourth begins with the blank."""
    rows = []
    for index in range(number):
        first, second = drawn.sample(NAMES, 2)
        sentence = (
            "_ was thirsty, so there was no water left."
            if index % 4 == 0
            else f"{first} thanked {second} {drawn.choice(PLACES)} because _ had found the {drawn.choice(THINGS)}."
        )
        rows.append({"sentence": sentence, "option1": first, "option2": second, "answer": str(1 + index % 2)})
    return rows


def causes(drawn: random.Random, number: int) -> list[Row]:
    """Return premises with two possible causes or effects."""
    rows = []
    for index in range(number):
        name, thing = drawn.choice(NAMES), drawn.choice(THINGS)
        pair = ("The bag had a hole.", f"The {thing} were singing.")
        rows.append(
            {
                "premise": f"{name} lost the {thing} {drawn.choice(PLACES)}.",
                "question": ("cause", "effect")[index % 2],
                "choice1": pair[index % 2],
                "choice2": pair[1 - index % 2],
                "label": index % 2,
            }
        )
    return rows


def goals(drawn: random.Random, number: int) -> list[Row]:
    """Return goals with two ways to reach them."""
    rows = []
    for index in range(number):
        thing, place = drawn.choice(THINGS), drawn.choice(PLACES)
        ways = (f"Count the {thing} {place} one by one.", f"Ask the moon about {thing}, then boil them.")
        rows.append(
            {
                "goal": f"To know how many {thing} are {place},",
                "sol1": ways[index % 2],
                "sol2": ways[1 - index % 2],
                "label": index % 2,
            }
        )
    return rows


def passages(drawn: random.Random, number: int) -> list[Row]:
    """Return short passages with a question of yes or no."""
    rows = []
    for index in range(number):
        name, thing, place = drawn.choice(NAMES), drawn.choice(THINGS), drawn.choice(PLACES)
        asked = place if index % 2 else drawn.choice([each for each in PLACES if each != place])
        rows.append(
            {
                "passage": f"{name} keeps the {thing} {place}.",
                "question": f"are the {thing} {asked}",
                "label": index % 2,
            }
        )
    return rows


def minimal_pairs(drawn: random.Random, number: int) -> list[Row]:
    """Return sentences of which one is grammatical."""
    rows = []
    for _ in range(number):
        name, thing = drawn.choice(NAMES), drawn.choice(THINGS)
        rows.append({"good": f"{name} has many {thing}.", "bad": f"{name} have many {thing}."})
    return rows
