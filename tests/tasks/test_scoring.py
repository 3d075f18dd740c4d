"""Each kind from response to score: gold answers in a model's phrasing, and shuffled gold answers."""

import sys
import time
from dataclasses import replace
from subprocess import run

import numpy as np
import pytest

from genome.errors import GenomeError
from genome.tasks import parse_task, sandbox
from genome.tasks.prompts import sample
from genome.tasks.scoring import Scores, extra_results, extract, for_base, judge, standard_error

METRIC = {"choice": "accuracy", "label": "weighted_f1", "number": "accuracy", "math": "accuracy", "span": "exact_match"}
METRIC |= {"translation": "bleu", "program": "pass@1"}
FIELDS = {"category": "c", "source": {"path": "x"}, "prompt": "{{ q }}", "reference": "a"}
EXTRA = {"choice": {"options": "o"}, "label": {"labels": ["joy", "fear", "anger"]}, "program": {"tests": "t"}}

WORDS = ["red", "green", "blue", "old", "new", "small", "large", "round", "flat", "warm", "cold", "dry"]


def task_of(kind, **changes):
    return parse_task(
        f"some-{kind}", {**FIELDS, "kind": kind, "metric": METRIC[kind], **EXTRA.get(kind, {}), **changes}
    )


def rows_of(kind, n=60):
    """Rows of kind `kind`, each with columns q, a (reference), said (a model's phrasing), and o or t."""
    rng = np.random.default_rng(5)
    for i in range(n):
        k = int(rng.integers(4))
        sentence = " ".join(rng.choice(WORDS, 6))
        row = {
            "choice": {
                "a": "ABCD"[k],
                "o": [f"w{i}", f"x{i}", f"y{i}", f"z{i}"],
                "said": f"({'abcd'[k]}) {'wxyz'[k]}{i}.",
            },
            "label": {"a": ["joy", "fear", "anger"][k % 3], "said": ["Joy.", "**fear**", "anger"][k % 3]},
            "number": {"a": f"{1000 + 7 * i:,}", "said": f"${1000 + 7 * i}.00 per day"},
            "math": {"a": rf"\frac{{{i + 1}}}{{97}}", "said": rf"$\dfrac{{{i + 1}}}{{97}}$."},
            "span": {"a": [f"The {sentence}", ["x", "y"]], "said": f"the {sentence}."},
            "translation": {"a": f"{sentence}.", "said": f"{sentence}."},
            "program": {
                "a": None,
                "t": [f"assert f(1) == {i + 1}"],
                "said": f"```python\ndef f(x):\n    return x + {i}\n```",
            },
        }[kind]
        yield {"id": f"r{i}", "q": f"Question {i}?", **row}


TEXT = parse_task("t", {**FIELDS, "kind": "text", "metric": "accuracy", "options": "q | options_in"})


@pytest.mark.parametrize(
    ("question", "reference", "said", "wrong"),
    [
        ("Which?\nOptions:\n(A) fur\n(B) scale", "(B)", ["(B)", "b", "scale.", "(B) scale"], ["(A)", "B or A"]),
        ("So?\nOptions:\n- Yes\n- No", "Yes", ["Yes", "yes.", "**Yes**"], ["No", "perhaps"]),
        ("Is it?", "no", ["No", "No, it is not.", "NO."], ["yes", "not quite"]),
        ("Close it: [ [", "] ]", ["] ]", "]]", "`] ]`"], ["]", "] ] ]", "} ]"]),
        ("Sort b a", "a b", ["a b", "a, b", '"A B."'], ["b a", "ab"]),
        ("How many?", "-1960", ["-1960", "-1,960.", "−1960.0"], ["1960", "-196"]),
        # Three rows of BIG-Bench Hard split their options at commas.
        ("Which?\nOptions:\n(A) Monsters\n(B) Inc", "Monsters, Inc", ["monsters, inc"], ["(A)", "Inc"]),
    ],
)
def test_score_of_short_texts(question, reference, said, wrong):
    made = sample(TEXT, {"id": "r", "q": question, "a": reference})
    answers = [extract(TEXT, made, f"Well.\nAnswer: {text}") for text in said + wrong]
    assert [judged.value for judged in judge(TEXT, [made], [[answer] for answer in answers])] == [1] * len(said) + [
        0
    ] * len(wrong)
    assert len({*answers[: len(said)]}) == 1  # one answer in a vote


def test_extract_uses_a_fallback_only_without_other_forms():
    task = task_of("label", fallback="line")
    made = {"id": "r", "reference": "joy"}
    assert extract(task, made, "Joy.") == "joy"
    assert extract(task, made, "joy\nAnswer: fear") == "fear"
    assert extract(task, made, "It may be joy") is None
    assert extract(task_of("label"), made, "Joy.") is None


@pytest.fixture
def fake_sandbox(monkeypatch):
    """Runs programs in this process and counts them; tests/tasks/test_sandbox.py tests the real sandbox."""
    seen = []

    def run_programs(programs, **_):
        seen.extend(programs)
        verdicts = []
        for program in programs:
            try:
                exec(program, {})
                verdicts.append(sandbox.Verdict(True, ""))
            except Exception as error:
                verdicts.append(sandbox.Verdict(False, repr(error)))
        return verdicts

    monkeypatch.setattr(sandbox, "run_programs", run_programs)
    return seen


@pytest.mark.usefixtures("fake_sandbox")
@pytest.mark.parametrize("kind", METRIC)
def test_judge_scores_gold_answers_one_and_shuffled_ones_near_chance(kind):
    task, rows = task_of(kind), list(rows_of(kind))
    samples = [sample(task, row) for row in rows]
    said = [f"Let me think. The first word matters.\nAnswer: {row['said']}" for row in rows]
    gold = [extract(task, s, response) for s, response in zip(samples, said, strict=True)]
    shuffled = gold[1:] + gold[:1]
    right, wrong, silent = judge(task, samples, [gold, shuffled, [None] * len(gold)])
    assert right.value == pytest.approx(1.0)
    assert right.scores == pytest.approx((1.0,) * 60)
    assert right.unparsed == 0
    chance = {"choice": 0.25, "label": 0.33, "translation": 0.15}.get(kind, 0.0)
    assert abs(wrong.value - chance) < 0.15
    assert silent == Scores(value=0.0, scores=(0.0,) * 60, unparsed=60)
    assert standard_error(task, samples, shuffled, wrong) == standard_error(task, samples, shuffled)


def test_extract_uses_only_the_pattern_of_a_task():
    task = task_of("number", pattern=r"<(.*?)>")
    assert extract(task, {}, "<7> and <8>\nAnswer: 9") == "8"
    assert extract(task, {}, "Answer: 9") is None


def test_extract_gives_equal_answers_the_same_text():
    number = task_of("number")
    assert extract(number, {}, "Answer: $1,000.00") == extract(number, {}, "#### 1000") == "1000"
    label = task_of("label", labels={"A": "joy", "B": "fear"})
    assert extract(label, {}, "Answer: (b)") == extract(label, {}, "the answer is Fear.") == "fear"
    maths = task_of("math")
    assert extract(maths, {}, "Answer: 0.5") == extract(maths, {}, r"\boxed{\dfrac{1}{2}}") == "1/2"


def test_extract_of_out_of_range_letters_is_none():
    assert extract(task_of("choice"), {"options": {"A": "x", "B": "y"}}, "Answer: C") is None


def test_judge_runs_each_program_with_prefix_and_tests_once(fake_sandbox):
    task = task_of("program", prefix="def f(x):\n    return ", pattern="(?s)(.*)")
    samples = [
        {"id": "1", "tests": ["assert f(1) == 2"]},
        {"id": "2", "tests": ["assert f(1) == 2", "assert f(2) == 3"]},
    ]
    right, wrong, nothing = (extract(task, samples[0], response) for response in ("x + 1\n", "```\nx - 1\n```", " \n"))
    assert (right, wrong, nothing) == ("x + 1", "x - 1", None)
    scores = judge(task, samples, [[right, right], [right, wrong], [wrong, None]])
    assert [s.value for s in scores] == [1.0, 0.5, 0.0]
    assert len(fake_sandbox) == len(set(fake_sandbox)) == 4
    assert fake_sandbox[0] == "def f(x):\n    return x + 1\n\nassert f(1) == 2\n"


def test_extract_keeps_the_indent_of_a_program(fake_sandbox):
    task = task_of("program", prefix="def f(x):\n", pattern="(?s)(.*)")
    body = extract(task, {"tests": []}, "\n    y = x\n    return y\n")
    assert body == "    y = x\n    return y"
    assert judge(task, [{"tests": ["assert f(1) == 1"]}], [[body]])[0].value == 1.0


def test_judge_runs_programs_in_the_real_sandbox():
    task = task_of("program")
    samples = [{"id": "1", "tests": ["assert f(1) == 2"]}]
    scores = judge(
        task, samples, [["def f(x):\n    return x + 1"], ["def f(x):\n    return x"], ["import os\nos._exit(0)"]]
    )
    assert [s.value for s in scores] == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("kind", METRIC)
def test_extra_results_of_spans_and_translations(kind):
    task, rows = task_of(kind), list(rows_of(kind, 2))
    samples = [sample(task, row) for row in rows]
    found = extra_results(task, samples, [extract(task, samples[0], f"Answer: {rows[0]['said']}"), None])
    expected = {"span": {"f1": 0.5}, "translation": {"signature": found.get("signature")}}
    assert found == expected.get(kind, {})
    if kind == "translation":
        assert found["signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")


def test_for_base_changes_only_tasks_with_tokenizer_base(tmp_path):
    named, base = task_of("translation"), replace(task_of("translation"), tokenizer="base")
    assert for_base(named, tmp_path) is named
    missing = r"some-translation: .*tokenizer\.json, which is missing; set the task's tokenizer to one of 13a"
    with pytest.raises(GenomeError, match=missing):
        for_base(base, tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    assert for_base(base, tmp_path) == replace(base, tokenizer=str(tmp_path / "tokenizer.json"))


def test_judge_requires_one_answer_per_sample():
    with pytest.raises(ValueError, match="zip"):
        judge(task_of("number"), [{"reference": "1"}, {"reference": "2"}], [["1"]])


@pytest.mark.parametrize("kind", ["choice", "label", "number"])
def test_judge_scores_a_population_quickly(kind):
    """15 candidates × 200 samples take about 15 ms on a free core; the bound allows for a busy one."""
    task = task_of(kind)
    rows = list(rows_of(kind, 200))
    samples = [sample(task, row) for row in rows]
    responses = [f"Some reasoning about things. {i}\nAnswer: {row['said']}" for i, row in enumerate(rows)]
    start = time.process_time()
    answers = [[extract(task, s, r) for s, r in zip(samples, responses, strict=True)] for _ in range(15)]
    judge(task, samples, answers)
    assert time.process_time() - start < 0.25


def test_scoring_imports_nothing_slow():
    code = "import sys, genome.tasks.scoring; print(*sys.modules)"
    modules = run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    slow = {
        "jinja2",
        "sacrebleu",
        "sklearn",
        "math_verify",
        "sympy",
        "datasets",
        "transformers",
        "torch",
        "pandas",
        "scipy",
        "tokenizers",
    }
    assert not slow.intersection(modules)


def test_extract_reports_an_endless_pattern_in_one_line(monkeypatch):
    monkeypatch.setattr("genome.limits.limited.__wrapped__.__defaults__", (0.05, None))
    task = parse_task(
        "slow", {"kind": "number", "source": {"path": "x"}, "prompt": "p", "reference": "a", "pattern": "((?:a+)+)$"}
    )
    with pytest.raises(GenomeError, match=r"task slow: pattern '\(\(\?:a\+\)\+\)\$' takes more than 0.05 s") as caught:
        extract(task, {}, "a" * 60 + "b")
    assert "\n" not in str(caught.value)
    assert extract(task, {}, "b") is None
