"""Tasks from a look at rows: what is clear is guessed, what is not is refused in one line that names the option."""

import json

import pytest

from genome.api.guess import Said, guess_task
from genome.errors import GenomeError
from genome.tasks.file import check_task
from genome.tasks.prompts import facts, render

NOTHING = Said()
MOODS = ["good", "bad", "so so"]


def guessed(rows, said=NOTHING):
    return guess_task("mine", rows, "rows.jsonl", said)


def task_of(rows, said=NOTHING):
    return check_task("mine", {**guessed(rows, said).fields, "source": {"path": "rows.jsonl"}})


def rows_of(answers, **more):
    return [{"question": f"question {i}", "answer": answer, **more} for i, answer in enumerate(answers)]


def refusal(rows, said=NOTHING):
    with pytest.raises(GenomeError) as caught:
        guessed(rows, said)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("answers", "kind", "reason"),
    [
        ([str(n) for n in range(30)], "number", "all answers are numbers"),
        ([1.5 * n for n in range(30)], "number", "all answers are numbers"),
        ([f"{n},000" for n in range(1, 30)], "number", "all answers are numbers"),
        ([f"1 + {n}\n#### {n + 1}" for n in range(30)], "number", "all answers end in a number after ####"),
        (MOODS * 10, "label", "3 different answers, each in 10 rows on average"),
        ([True, False] * 10, "label", "all answers are true or false"),
        ([f"town {n}" for n in range(30)], "text", "short answers that seldom repeat"),
    ],
)
def test_kind_follows_from_the_answers(answers, kind, reason):
    guess = guessed(rows_of(answers))
    assert (guess.fields["kind"], guess.reasons["kind"]) == (kind, reason)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([0, 1] * 20, "only 2 different ones in 40 rows; say what they are: --kind number or --kind label"),
        ([f"word{n % 15}" for n in range(45)], "15 different answers in 45 rows; .*--kind label or --kind text"),
        (["a sentence with more than five words in it"] * 9, "long answers.*--kind text"),
        ([["a"], ["b"]], "values that are not text.*task file"),
        (["a", None], "row 2 has no value in 'answer'"),
        (["a", " "], "row 2 has no value in 'answer'"),
        (["a"], "1 row"),
    ],
)
def test_ambiguous_answers_are_refused_with_the_option_that_says_it(answers, words):
    import re

    assert re.search(words, refusal(rows_of(answers)))


def test_a_given_kind_is_taken():
    rows = rows_of([0, 1] * 20)
    assert guessed(rows, Said(kind="label")).fields["labels"] == ["0", "1"]
    assert guessed(rows, Said(kind="number")).fields["kind"] == "number"
    assert "--kind nmber: expected choice, label, number, text" in refusal(rows, Said(kind="nmber"))
    assert "--options COLUMN" in refusal(rows, Said(kind="choice"))


CHOICES = ["fur", "scale", "skin"]


@pytest.mark.parametrize(
    ("columns", "letter"),
    [
        ({"choices": CHOICES, "answer": "B"}, "B"),
        ({"choices": CHOICES, "answer": "scale"}, "B"),
        ({"options": {"1": "fur", "2": "scale"}, "answer": "2"}, "2"),
        ({"options": {"1": "fur", "2": "scale"}, "answer": "scale"}, "2"),
        ({"choices": {"label": ["A", "B"], "text": ["fur", "scale"]}, "answerKey": "B"}, "B"),
        ({"A": "fur", "B": "scale", "C": "skin", "answer": "B"}, "B"),
        ({"option_a": "fur", "option_b": "scale", "answer": "scale"}, "B"),
        ({"Option 1": "fur", "Option 2": "scale", "answer": "2"}, "2"),
    ],
)
def test_the_right_option_is_found_by_letter_and_by_text(columns, letter):
    rows = [{"question": "What has a fish?", **columns}] * 3
    task = task_of(rows)
    assert task.kind == "choice"
    assert facts(task, rows[0])["reference"] == letter
    assert "scale\n" in render(task, rows[0]) + "\n"
    assert f"{letter}. scale" in render(task, rows[0])


@pytest.mark.parametrize(("positions", "letters"), [((0, 2, 1), "ACB"), ((1, 3, 2), "ACB")])
def test_positions_of_options_count_from_zero_or_one(positions, letters):
    rows = [{"question": "?", "choices": CHOICES, "answer": position} for position in positions]
    task = task_of(rows)
    assert "".join(facts(task, row)["reference"] for row in rows) == letters


def test_positions_that_may_count_from_zero_or_one_are_refused():
    rows = [{"question": "?", "choices": CHOICES, "answer": position} for position in (1, 2)]
    assert "row 1 has the answer 1, which is neither the letter nor the text" in refusal(rows)


def test_an_answer_outside_the_options_is_refused_with_its_row():
    rows = [{"question": "?", "choices": CHOICES, "answer": answer} for answer in ("fur", "wood")]
    assert "row 2 has the answer 'wood'" in refusal(rows)


def test_columns_are_found_by_name_or_because_no_other_is_left():
    assert guessed([{"Input": str(n), "Target": f"t {n}"} for n in range(9)]).fields["reference"] == "Target"
    assert guessed([{"frage": "a b", "answer": f"t {n}"} for n in range(9)]).fields["prompt"].startswith("{{ frage }}")


def test_several_columns_that_may_be_meant_are_refused():
    rows = [{"instruction": "a", "input": "b", "output": f"c {n}"} for n in range(9)]
    assert "'instruction' and 'input' may be the question; name it: --question COLUMN" in refusal(rows)
    assert guessed(rows, Said(question="input")).fields["prompt"].startswith("{{ input }}")
    both = "{{ instruction }} {{ input }}"
    assert guessed(rows, Said(prompt=both)).fields["prompt"] == both
    strange = [{"frage": "a", "antwort": "b", "thema": "c"}] * 3
    assert "no column is the answer by its name; name it: --answer COLUMN, of frage" in refusal(strange)
    assert "no column 'x' for --answer; its columns are frage, antwort, thema" in refusal(strange, Said(answer="x"))


def test_columns_with_strange_names_are_read():
    rows = [{"my question": f"what {n}", "options": "x", "label": f"town {n}"} for n in range(9)]
    task = task_of(rows, Said(question="my question", answer="label"))
    assert render(task, rows[3]).startswith("what 3")
    rows = [{"range": f"what {n}", "is": f"town {n}"} for n in range(9)]
    task = task_of(rows, Said(question="range", answer="is"))
    assert facts(task, rows[3])["reference"] == "town 3"


def test_tasks_are_whole_and_ask_for_the_answer_alone():
    rows = rows_of(MOODS * 10)
    task = task_of(rows)
    assert render(task, rows[0]).endswith("Answer with one of these only: bad, good, so so.")
    assert json.dumps(guessed(rows).fields)


def test_one_column_is_not_enough():
    rows = [{"question;answer": f"{n};{n}"} for n in range(30)]
    assert "rows.jsonl: one column only (question;answer); a task needs a question and its answer" in refusal(rows)
