import pytest

from genome.tasks import parse_task
from genome.tasks.scoring import extract
from genome.tasks.thinking import spoken

METRICS = {"number": "accuracy", "math": "accuracy", "text": "accuracy", "span": "exact_match", "translation": "bleu"}


def task_of(kind, **changes):
    fields = {"category": "c", "source": {"path": "x"}, "prompt": "{{ q }}", "reference": "a", "kind": kind}
    tests = {"tests": "t"} if kind == "program" else {}
    return parse_task("some", {**fields, "metric": METRICS.get(kind, "pass@1"), **tests, **changes})


MARKS = [
    ("<think>", "</think>"),
    ("<THINK>", "</THINK>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
]


@pytest.mark.parametrize(("start", "end"), MARKS)
def test_spoken_is_what_follows_the_thinking(start, end):
    assert spoken(f"{start}Answer: 4{end}\nAnswer: 5") == "\nAnswer: 5"
    # The chat template may have written the start in the prompt.
    assert spoken(f"Answer: 4{end}Answer: 5") == "Answer: 5"


@pytest.mark.parametrize(("start", "end"), MARKS)
def test_a_response_cut_in_its_thinking_says_nothing(start, end):
    assert spoken(f"{start}so the answer is 4. But") is None
    assert spoken(f"{start}a{end}b{start}Answer: 4") is None


@pytest.mark.parametrize("text", ["Answer: 5", "a < b and b > a", "if x[0] < y: z", "<b>5</b>", "I think so", ""])
def test_spoken_leaves_other_texts_as_they_are(text):
    assert spoken(text) == text


@pytest.mark.parametrize(
    "token",
    ["<|im_end|>", "<|eot_id|>", "<|endoftext|>", "</s>", "<eos>", "<end_of_turn>", "<|end|>", "<｜end▁of▁sentence｜>"],
)
def test_spoken_ends_before_the_first_end_token(token):
    assert spoken(f"Answer: 5{token}") == "Answer: 5"
    assert spoken(f"Answer: 5\n{token}\nuser\nAnswer: 6{token}") == "Answer: 5\n"


def test_spoken_begins_behind_the_tokens_that_start_a_turn():
    assert spoken("<|im_start|>assistant\nAnswer: 5<|im_end|>") == "Answer: 5"
    assert spoken("<s>[/INST] Answer: 5</s>") == "Answer: 5"


@pytest.mark.parametrize("kind", ["number", "math", "text", "translation", "span", "program"])
def test_no_kind_reads_an_answer_in_the_thinking(kind):
    task = task_of(kind, fallback="whole")
    sample = {"tests": [], "reference": "5"}
    assert extract(task, sample, "<think>\nAnswer: 4") is None
    assert extract(task, sample, "<think>\nAnswer: 4\n</think>") is None
    assert extract(task, sample, "<think>\nAnswer: 4\n</think>\nAnswer: 5</s>") == "5"


def test_a_pattern_of_a_task_reads_what_is_spoken():
    task = task_of("number", pattern=r"<(\d)>")
    assert extract(task, {}, "<think><4></think><5></s>") == "5"
    assert extract(task, {}, "<think><4>") is None
