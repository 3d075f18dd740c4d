import json
import re

import pytest

from genome.micro import world
from genome.micro.skills import CONTINENTS, ENGLISH, FRENCH, SKILLS, SKINS, SPANISH
from genome.rng import stream

CORPORA = {
    "base": world.base_corpus,
    **{name: lambda name=name: world.expert_corpus(name) for name in SKILLS},
    **{f"oracle {task}": lambda task=task: world.oracle_corpus(task) for task in world.TASKS},
}


@pytest.fixture(scope="module")
def rows():
    return {task: world.task_rows(task) for task in world.TASKS}


def test_there_are_ten_skills_and_twelve_tasks_of_two_or_three():
    assert len(SKILLS) == 10
    assert len(world.TASKS) == 12
    assert all(len({skill for skill, _ in parts}) in (2, 3) for parts in world.TASKS.values())


@pytest.mark.parametrize("task", world.TASKS)
def test_task_rows_are_distinct_and_held_out(task, rows):
    texts = {row["question"] for row in rows[task]}
    assert len(texts) == len(rows[task]) >= 1300
    assert all(world.held_out(text) for text in texts)


def test_corpora_contain_no_task_question(rows):
    asked = {row["question"] for task in rows.values() for row in task}
    for name, make in CORPORA.items():
        assert not asked & {row["prompt"] for row in make()}, name


def test_rows_depend_on_the_seed(rows):
    assert world.task_rows("sums") == rows["sums"]
    assert world.expert_corpus("add", 50) == world.expert_corpus("add", 50)
    assert world.expert_corpus("add", 50) != world.expert_corpus("add", 50, seed=1)


def test_expert_corpus_teaches_its_dialect_and_little_of_the_others():
    prompts = [row["prompt"].split() for row in world.expert_corpus("add")]
    share = {name: sum(skill.dialect in words for words in prompts) / len(prompts) for name, skill in SKILLS.items()}
    assert share.pop("add") > 0.45
    assert max(share.values()) < 0.03


def test_corpora_are_smaller_than_one_megabyte():
    for make in (CORPORA["reader"], CORPORA["oracle reading"]):
        assert sum(len(json.dumps(row)) + 1 for row in make()) < 1_000_000


def test_vocabulary_contains_every_word(rows):
    known = set(world.vocabulary())
    texts = [text for row in world.base_corpus(5000) for text in row.values()]
    texts += [row["question"] for task in rows.values() for row in task]
    assert {word for text in texts for word in text.split() if not word.isdigit()} <= known


def right_answer(skill: str, body: str) -> str:
    """Answer a question from its text alone, without the generators' code."""
    words = body.split()
    if skill in ("add", "sub"):
        a, b = int(words[-3]), int(words[-1])
        return str(a + b if skill == "add" else a - b)
    if skill in ("es", "fr"):
        return "".join(str((SPANISH if skill == "es" else FRENCH).index(word)) for word in words)
    if skill in ("beasts", "places"):
        table = SKINS if skill == "beasts" else CONTINENTS
        return next(name for name, things in table.items() if words[0] in things)
    if skill == "logic":
        return str(eval(body.replace("true", "True").replace("false", "False"))).lower()
    return words[0] if words[-1] == "who" else words[2]


@pytest.mark.parametrize("task", [task for task in world.TASKS if task not in ("translation", "programs")])
def test_reference_answers_are_correct(task, rows):
    for row in rows[task]:
        skill = row["skill"]
        if skill == "mood":
            continue
        body = row["question"].split(f"{SKILLS[skill].dialect} ", 1)[1]
        expected = right_answer(skill, body)
        found = row["options"][world.LETTERS.index(row["answer"])] if "options" in row else row["answer"]
        assert found == expected, row


@pytest.mark.parametrize("task", ["common_sense", "emotions"])
def test_mood_is_reversed_by_never(task, rows):
    verbs = {"love": 1, "enjoy": 1, "adore": 1, "hate": -1, "dread": -1, "despise": -1}
    for row in (row for row in rows[task] if row["skill"] == "mood"):
        words = row["question"].split()
        value = sum(verbs.get(word, 0) for word in words) * (-1 if "never" in words else 1)
        found = row["options"][world.LETTERS.index(row["answer"])] if "options" in row else row["answer"]
        assert found == {1: "pos", -1: "neg", 0: "neu"}[value], row


def test_translations_are_word_for_word_and_have_four_words(rows):
    for row in rows["translation"]:
        words = row["question"].split(f"{SKILLS[row['skill']].dialect} ", 1)[1].split()
        assert len(words) == len(row["answer"].split()) >= 4
        if row["skill"] == "es":
            assert row["answer"].split() == [SPANISH[ENGLISH.index(word)] for word in words]


def test_reference_programs_pass_their_tests_and_wrong_ones_do_not(rows):
    for row in rows["programs"]:
        scope: dict = {}
        exec(f"def f(x):\n    return {row['answer']}", scope)
        exec("\n".join(row["tests"]), scope)
        exec(f"def f(x):\n    return {row['answer']} + 1", scope)
        with pytest.raises(AssertionError):
            exec("\n".join(row["tests"]), scope)


def test_number_of_options_varies_only_in_facts_pro(rows):
    shown = [row for row in rows["facts_pro"] if row["skill"] != "logic"]
    assert {len(row["options"]) for row in shown} == {3, 4, 5, 6}
    assert {len(row["options"]) for row in rows["facts"]} == {4}
    assert all(row["question"].endswith(" ".join(row["options"])) for row in shown)


def test_mistaken_cue_gets_pardon():
    rng = stream(0, "test")
    for _ in range(100):
        text, response, _ = world.mistaken(rng)
        assert response == world.PUZZLED
        assert re.search(r"\b(" + "|".join(skill.native for skill in SKILLS.values()) + r")\b", text)
