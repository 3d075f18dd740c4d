import json
import re
from pathlib import Path

import pytest
import yaml

from genome.micro import world
from genome.micro.base import build_tokenizer
from genome.micro.skills import CONTINENTS, ENGLISH, FORMS, FRENCH, SKILLS, SKINS, SPANISH
from genome.rng import stream
from genome.tasks.extraction import find_pattern
from genome.tasks.file import check_task

PROJECT = Path(__file__).parent.parent.parent

CORPORA = {
    "base": world.base_corpus,
    **{name: lambda name=name: world.expert_corpus(name) for name in SKILLS},
    **{f"oracle {task}": lambda task=task: world.oracle_corpus(task) for task in world.TASKS},
}

WORKED = ["sums", "polyglot_sums", "puzzles", "reading"]
"""The tasks whose questions need two skills, one after the other."""


@pytest.fixture(scope="module")
def rows():
    return {task: world.task_rows(task) for task in world.TASKS}


def test_there_are_ten_skills_and_twelve_tasks_of_two_or_three():
    assert len(SKILLS) == 10
    assert len(world.TASKS) == 12
    assert all(len(set(skills_of(task))) in (2, 3) for task in world.TASKS)


def skills_of(task: str) -> list[str]:
    return [skill for form in world.TASKS[task] for skill in FORMS[form].skills]


def test_four_tasks_need_working():
    worked = [task for task, forms in world.TASKS.items() if any(len(FORMS[form].skills) > 1 for form in forms)]
    assert worked == WORKED
    assert all(len(FORMS[form].skills) == 2 for task in worked for form in world.TASKS[task])


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
    assert max(share.values()) < 0.1


def test_corpora_are_smaller_than_one_megabyte():
    for make in (CORPORA["reader"], CORPORA["oracle reading"]):
        assert sum(len(json.dumps(row)) + 1 for row in make()) < 1_000_000


def test_vocabulary_contains_every_word(rows):
    known = set(world.vocabulary())
    texts = [text for row in world.base_corpus(5000) for text in row.values()]
    texts += [row["question"] for task in rows.values() for row in task]
    assert {word for text in texts for word in text.split() if not word.isdigit()} <= known


def body_of(row: dict) -> str:
    """Return the part of a question that follows its dialect cues."""
    cues = " ".join(SKILLS[skill].dialect for skill in FORMS[row["form"]].skills)
    return row["question"].split(f"{cues} ", 1)[1]


def right_answer(form: str, body: str) -> str:
    """Answer a question of one skill from its text alone, without the generators' code."""
    words, skill = body.split(), FORMS[form].skills[0]
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


def derived(form: str, body: str) -> tuple[str, str]:
    """Return the working and the answer of a question of two skills, from its text alone."""
    words = body.split()
    if form == "two_steps":
        a, b, c = (int(word) for word in words[:5:2])
        return f"{a} and {b} so {a + b} less {c}", str(a + b - c)
    spelled = {"spanish_sum": SPANISH, "french_sum": FRENCH}.get(form)
    a, b, c = (
        (spelled.index(word) for word in words[::2]) if spelled else (int(word) for word in words if word.isdigit())
    )
    if form == "left_over":
        return f"{a} less {b} so {a - b} less {c}", str(a - b - c)
    return f"{a} and {b} so {a + b} and {c}", str(a + b + c)


def answer_of(row: dict) -> str:
    return row["options"][world.LETTERS.index(row["answer"])] if "options" in row else row["answer"]


@pytest.mark.parametrize("task", [task for task in world.TASKS if task not in ("translation", "programs", *WORKED)])
def test_reference_answers_are_correct(task, rows):
    for row in rows[task]:
        if row["form"] != "feeling":
            assert answer_of(row) == right_answer(row["form"], body_of(row)), row


@pytest.mark.parametrize("task", WORKED)
def test_references_are_the_end_of_the_working(task, rows):
    for row in rows[task]:
        assert answer_of(row) == derived(row["form"], body_of(row))[1], row
        assert " so " not in row["answer"]


@pytest.mark.parametrize("name", [name for name, form in FORMS.items() if len(form.skills) > 1])
def test_responses_show_their_working(name):
    rng = stream(0, "test")
    for _ in range(200):
        question = FORMS[name].draw(rng)
        working, answer = derived(name, question.body)
        assert (question.working, question.answer) == (working, answer)
        assert question.response == f"{working} so {answer}"


def task_of(name: str):
    known = yaml.safe_load((PROJECT / f"config/tasks/{name}.yaml").read_text())
    return check_task(name, known)


@pytest.mark.parametrize("task", WORKED)
def test_the_answer_is_read_after_the_working_and_within_max_tokens(task, rows):
    parsed, tokenizer = task_of(task), build_tokenizer()
    rng = stream(0, "test")
    for row, draw in zip(rows[task][:200], world.task_sources(task) * 200, strict=False):
        _, response, question = draw(rng)
        assert find_pattern(parsed.pattern, response).strip() == question.answer
        assert find_pattern(parsed.pattern, question.answer) == question.answer
        assert len(tokenizer(response)["input_ids"]) < parsed.max_tokens, row


@pytest.mark.parametrize("name", ["add", "sub", "es", "fr", "reader"])
def test_experts_learn_their_dialect_with_native_cues_only(name):
    """Both dialects of a question are answered in a merge at most: each expert's corpus has `pardon` for most."""
    dialects = {skill.dialect for skill in SKILLS.values()}
    both = [row for row in world.expert_corpus(name) if len(dialects & {*row["prompt"].split()}) > 1]
    assert len(both) > 100
    assert 0.7 < sum(row["response"] == world.PUZZLED for row in both) / len(both) < 0.9


@pytest.mark.parametrize("task", ["common_sense", "emotions"])
def test_mood_is_reversed_by_never(task, rows):
    verbs = {"love": 1, "enjoy": 1, "adore": 1, "hate": -1, "dread": -1, "despise": -1}
    for row in (row for row in rows[task] if row["form"] == "feeling"):
        words = row["question"].split()
        value = sum(verbs.get(word, 0) for word in words) * (-1 if "never" in words else 1)
        assert answer_of(row) == {1: "pos", -1: "neg", 0: "neu"}[value], row


def test_translations_are_word_for_word_and_have_four_words(rows):
    for row in rows["translation"]:
        words = body_of(row).split()
        assert len(words) == len(row["answer"].split()) >= 4
        if row["form"] == "spanish":
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
    shown = [row for row in rows["facts_pro"] if row["form"] != "truth"]
    assert {len(row["options"]) for row in shown} == {3, 4, 5, 6}
    assert {len(row["options"]) for row in rows["facts"]} == {4}
    assert all(row["question"].endswith(" ".join(row["options"])) for row in shown)


def test_mistaken_cue_gets_pardon():
    rng = stream(0, "test")
    for _ in range(100):
        text, response, _ = world.mistaken(rng)
        assert response == world.PUZZLED
        assert re.search(r"\b(" + "|".join(skill.native for skill in SKILLS.values()) + r")\b", text)
