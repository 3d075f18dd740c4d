"""The paper's tasks: their files, their splits, and the scores of gold answers in a model's phrasing.

All tests run on made-up rows, and on the real rows if GENOME_DATA names a folder that contains them.
"""

import gzip
import importlib.util
import json
import os
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import yaml

from genome.tasks import parse_task
from genome.tasks.prompts import evaluate, facts, render, sample
from genome.tasks.scoring import extract, judge
from genome.tasks.splits import read_rows, split

ROOT = Path(__file__).parents[2]
OWN = ROOT / "tests" / "data"
REAL = os.environ.get("GENOME_DATA")

TASKS = (
    *("mmlu", "mmlu_pro", "mmlu_pro_knowledge", "mmlu_pro_reasoning", "gsm8k", "math", "mgsm", "flores37"),
    *("flores101", "arc_c", "csqa", "bbh", "drop", "emorynlp", "meld", "mbpp"),
)
# Sizes of tests that are all remaining rows, if not 1000. 843 scenes of EmoryNLP are available.
REST = {"mgsm": 2637, "flores37": 1012, "flores101": 1012, "emorynlp": 643, "mbpp": 774}
# The draws that reproduce the authors' positions, including repeats.
PUBLISHED = {"gsm8k": "gsm8k", "csqa": "commonsense_qa", "mgsm": "mgsm", "mbpp": "mbpp"}
DIGITS = {"bn": "০১২৩৪৫৬৭৮৯", "te": "౦౧౨౩౪౫౬౭౮౯", "th": "๐๑๒๓๔๕๖๗๘๙"}
NO_ANSWER = "Hard to say; several readings are possible."

real_only = pytest.mark.skipif(not REAL, reason="GENOME_DATA names no folder of real data sets")
every_task = pytest.mark.parametrize("name", TASKS)
every_data = pytest.mark.parametrize(
    "data", [pytest.param("own", id="own rows"), pytest.param("real", id="real rows", marks=real_only)]
)


@lru_cache
def task_of(name):
    return parse_task(name, yaml.safe_load((ROOT / f"config/tasks/{name}.yaml").read_text(encoding="utf-8")))


@lru_cache
def sides(name, data):
    """Return the rows of validation and test: 20 and 40 made-up ones, or the paper's numbers of real rows."""
    sizes = (20, 40) if data == "own" else (200, 1000)
    return split(task_of(name), read_rows(task_of(name), OWN if data == "own" else Path(REAL)), *sizes)


@lru_cache
def judged_rows(name, data):
    """Return the rows for judging gold answers, and their facts for scoring."""
    validation, test = sides(name, data)
    # Running programs takes time.
    rows = (validation + test)[: 100 if name == "mbpp" else None]
    return rows, [facts(task_of(name), row) for row in rows]


def scores_of(task, samples, responses_by_model):
    answers = [
        [extract(task, sample, text) for sample, text in zip(samples, texts, strict=True)]
        for texts in responses_by_model
    ]
    return judge(task, samples, answers)


# Phrasings of an answer, by the kind of answer.


def said(golds, *others):
    """Return every phrasing of each of `golds`, and special forms."""
    reasoned = "There are 2 cases to look at, A and b.\nOnly one of them holds.\n\n"
    forms = (
        *("Answer: {}", reasoned + "Answer: {}", reasoned + "**Answer:** {}", "**Answer: {}**", "The answer is {}."),
        *(
            "Thus, the correct answer is {}.",
            "Final Answer: {}",
            "### Answer: {}",
            "Answer:\n\n{}",
            "ANSWER: {}\n\nBye!",
        ),
    )
    return [form.format(gold) for gold in golds for form in forms] + list(others)


def named(letter, options):
    """Return the names of an option: its letter, and its text if that identifies the option."""
    text = options[letter]
    names = [letter, f"({letter})", f"{letter}.", f"**{letter}**"]
    if "\n" in text or not text.strip():
        return names
    # Two options may have equal texts, and a text may be only the letter of another option.
    alone = [other.casefold().rstrip(".") for other in options.values()].count(text.casefold().rstrip(".")) == 1
    is_letter = text.strip("(). ").upper() in options
    return [*names, f"{letter}. {text}", *([text] if alone and not is_letter else [])]


def choice(row, sample, task):
    letter = sample["reference"]
    return said(named(letter, sample["options"]), rf"So it is \boxed{{{letter}}}.")


def label(row, sample, task):
    letter = next(letter for letter, text in task.labels.items() if text == sample["reference"])
    text = sample["reference"]
    return said([letter, text, text.title(), f"{letter}. {text}"], letter, text, f"{letter}.", f"{text.title()}.")


def number(row, sample, task):
    gold = sample["reference"]
    grouped = f"{int(gold):,}" if gold.lstrip("-").isdigit() else gold
    native = gold.translate(str.maketrans("0123456789", DIGITS.get(row.get("language"), "0123456789")))
    others = [rf"Hence \boxed{{{gold}}}.", f"So 3 of 7.\n#### {grouped}", f"The answer is ${grouped}."]
    return said([gold, grouped, native, f"{gold} apples", f"**{grouped}** miles"], *others)


def latex(row, sample, task):
    gold = evaluate(task, row, "reference")
    # A separate heading, as models write it.
    return said([f"${gold}$", f"$\\boxed{{{gold}}}$"], rf"So we find \[\boxed{{{gold}}}\]", f"## Answer:\n\n${gold}$")


def span(row, sample, task):
    golds = sample["reference"]
    return said([golds[0], golds[-1], f'"{golds[0]}"'])


def text(row, sample, task):
    if "options" in sample:
        return said([row["target"], sample["reference"]])
    gold = row["target"]
    return said([gold, f'"{gold}"', f"**{gold}**"], f"The answer is: {gold}")


def translation(row, sample, task):
    gold = sample["reference"]
    return [gold, f"Answer: {gold}", f"\n{gold}\n\n"]


def program(row, sample, task):
    fence = f"```python\n{row['code']}\n```"
    plain = row["code"].replace("\r\n", "\n")
    return [fence, f"It takes a loop.\n\n{fence}\n\nThis passes the tests.", f"Answer:\n```\n{plain}\n```", plain]


PHRASED = {
    "choice": choice,
    "label": label,
    "number": number,
    "math": latex,
    "span": span,
    "text": text,
    "translation": translation,
    "program": program,
}


@every_task
def test_task_file_has_a_source_line_and_pinned_revisions(name):
    path = ROOT / f"config/tasks/{name}.yaml"
    text = path.read_text(encoding="utf-8")
    task = task_of(name)
    assert text.splitlines()[0].startswith("# ")
    assert any(character.isdigit() for character in text.splitlines()[0]), "the first line cites a year"
    assert task.version >= 1
    assert task.max_tokens == (256 if name.startswith("flores") else 512)
    # A commit, or the hub's own conversion of a data set with a loading script.
    pins = [task.source["revision"]] if "hub" in task.source else task.source["url"]
    assert all(re.search(r"\b[0-9a-f]{40}\b|^refs/convert/parquet$", pin) for pin in pins)


@every_task
@every_data
def test_rows_are_read_and_split(name, data):
    task = task_of(name)
    validation, test = sides(name, data)
    if data == "real":
        assert (len(validation), len(test)) == (200, REST.get(name, 1000))
    else:
        assert len(validation) == 20
        assert len(test) == 40 or (task.test_samples == "rest" and len(test) > 40)
    assert not {row["id"] for row in validation} & {row["id"] for row in test}
    prompts = [render(task, row) for row in validation + test]
    if data == "own" or name not in PUBLISHED:
        keys = [evaluate(task, row, "distinct") or render(task, row) for row in validation + test]
        assert len(set(keys[: len(validation)])) == len(validation)
        assert not set(keys[: len(validation)]) & set(keys[len(validation) :])
    assert ("Answer:" in prompts[0]) == (task.kind not in ("translation", "program"))
    for row in validation + test:
        assert len(row.get("examples", ())) == task.shots
        for example in row.get("examples", ()):
            assert evaluate(task, example, "examples_by") == evaluate(task, row, "examples_by")


@every_data
@pytest.mark.parametrize("name", ["flores37", "flores101"])
def test_flores_has_each_english_sentence_once_and_names_languages(name, data):
    validation, test = sides(name, data)
    english = [row["english"] for row in validation + test]
    assert len(set(english)) == len(english)
    assert len({row["language"] for row in test}) > 25
    for row in validation + test:
        prompt = sample(task_of(name), row)["prompt"]
        assert prompt.startswith(f"Translate the sentence from English into {row['language_name']}.")
        assert prompt.endswith(f"English: {row['english']}\n{row['language_name']}:")
        assert prompt.count(f"\n{row['language_name']}: ") == 3
        # The prompt contains neither the answer nor its own sentence as an example.
        assert row["sentence"] not in prompt
        assert prompt.count(f"English: {row['english']}\n") == 1


@real_only
@pytest.mark.parametrize(("name", "published"), PUBLISHED.items())
def test_draws_equal_those_of_the_authors(name, published):
    drawn = json.loads((Path(REAL) / "paper_splits" / f"{published}.json").read_text(encoding="utf-8"))
    for side, key in zip(sides(name, "real"), ("valid", "test"), strict=True):
        assert [row["id"] for row in side] == [f"{name}-{index}" for index in drawn[key]["indices"]]


@real_only
def test_validation_of_drop_equals_that_of_the_authors():
    drawn = json.loads((Path(REAL) / "paper_splits" / "drop.json").read_text(encoding="utf-8"))
    validation, _ = sides("drop", "real")
    assert [row["id"] for row in validation] == [f"drop-{index}" for index in drawn["valid"]["indices"]]


@real_only
def test_conversations_of_meld_equal_those_of_the_authors():
    task = task_of("meld")
    letters = {label: letter for letter, label in task.labels.items()}
    with gzip.open(Path(REAL) / "paper_splits" / "meld_pool_1432.jsonl.gz", "rt", encoding="utf-8") as file:
        pool = [json.loads(line) for line in file]
    rows = read_rows(task, Path(REAL))
    assert len(rows) == len(pool) == 1432
    for row, item in zip(rows, pool, strict=True):
        assert [earlier["Utterance"] for earlier in row["history"]] == item["history"]
        assert (row["Utterance"], letters[facts(task, row)["reference"]]) == (item["utterance"], item["answer"])
        assert dict(task.labels) == item["candidate"]


@real_only
def test_scenes_of_emorynlp_are_complete_if_present():
    rows = read_rows(task_of("emorynlp"), Path(REAL))
    assert len(rows) == 843
    assert all(earlier["scene_id"] == row["scene_id"] for row in rows for earlier in row["history"])
    assert sum(1 + len(row["history"]) for row in rows) == 7551 + 1344 + 1328


@every_task
@every_data
def test_gold_answers_score_one_in_every_phrasing(name, data):
    task = task_of(name)
    rows, samples = judged_rows(name, data)
    phrased = [PHRASED[task.kind](row, sample, task) for row, sample in zip(rows, samples, strict=True)]
    # Options whose text cannot be used have fewer names; the first one is repeated.
    most = max(map(len, phrased))
    models = [[ways[k] if k < len(ways) else ways[0] for ways in phrased] for k in range(most)]
    for texts, scores in zip(models, scores_of(task, samples, models), strict=True):
        wrong = [
            (sample["reference"], text)
            for sample, text, score in zip(samples, texts, scores.scores, strict=True)
            if score < 1
        ]
        assert not wrong, f"{len(wrong)} of {len(texts)}, such as {wrong[:5]}"
        assert scores.unparsed == 0
        # A sum of shares may differ from 1 by rounding.
        assert scores.value == (pytest.approx(1.0, abs=1e-12) if task.metric == "weighted_f1" else 1.0)


def elsewhere(n):
    """Return a fixed permutation of n positions without a fixed point."""
    order = np.random.default_rng(7).permutation(n)
    moved = np.empty(n, dtype=int)
    moved[order] = np.roll(order, 1)
    return moved


def chance(task, samples):
    """Return the range of scores of answers that belong to other samples."""
    n = len(samples)
    margin = 2.5 / n**0.5
    if task.kind == "choice":
        guessed = float(np.mean([1 / len(sample["options"]) for sample in samples]))
        return guessed - margin, guessed + margin
    if task.kind == "label":
        shares = np.unique([sample["reference"] for sample in samples], return_counts=True)[1] / n
        guessed = float(np.sum(shares**2))
        return guessed - margin, guessed + margin
    # Letters, yes and no fit several subtasks; small numbers repeat.
    return 0.0, (0.15 if task.kind == "text" else 0.03) + margin


@every_task
@every_data
def test_answers_of_other_samples_score_at_chance(name, data):
    task = task_of(name)
    rows, samples = judged_rows(name, data)
    if task.kind == "math":
        # Comparing unequal expressions takes long.
        rows, samples = rows[:200], samples[:200]
    gold = [PHRASED[task.kind](row, sample, task)[0] for row, sample in zip(rows, samples, strict=True)]
    (scores,) = scores_of(task, samples, [[gold[index] for index in elsewhere(len(gold))]])
    low, high = chance(task, samples)
    assert low <= scores.value <= high


@every_task
@every_data
def test_missing_answers_are_counted_and_score_zero(name, data):
    task = task_of(name)
    _, samples = judged_rows(name, data)
    for text in ("", NO_ANSWER):
        (scores,) = scores_of(task, samples, [[text] * len(samples)])
        # A translation or program may be given without a heading, so any text is one.
        bare = text and task.kind in ("translation", "program")
        assert scores.unparsed == (0 if bare else len(samples))
        assert scores.value < 0.01 if task.kind == "translation" else scores.value == 0


def test_own_rows_equal_the_output_of_their_script():
    spec = importlib.util.spec_from_file_location("make_rows", OWN / "make_rows.py")
    make_rows = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_rows)
    wanted = make_rows.files()
    found = {str(path.relative_to(OWN)): path for path in OWN.rglob("*.jsonl*")}
    by_hand = {"gsm8k/main/test.jsonl"}
    assert found.keys() == wanted.keys() | by_hand
    for name, text in wanted.items():
        data = found[name].read_bytes()
        assert (gzip.decompress(data) if name.endswith(".gz") else data).decode() == text, name
    assert sum(path.stat().st_size for path in found.values()) < 1_500_000
