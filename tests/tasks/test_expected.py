"""Right responses as continuations: options, references in the form of a response, and what has none."""

import pytest

from builders import make_task
from genome.errors import GenomeError
from genome.tasks.chat import Chat, dialogue_texts, load_tokenizer
from genome.tasks.expected import prepare, right_continuations
from genome.tasks.prompts import prepare as prepare_prompts
from genome.tasks.references import RIGHT, right_response

WHOLE = "(?s)(.*)"
TURNS = (
    "{% for each in messages %}<|im_start|>{{ each.role }}\n{{ each.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with a byte-level tokenizer whose chat template ends each turn."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    special = ["<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        ["a b"], trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet)
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", additional_special_tokens=["<|im_start|>"]
    )
    fast.chat_template = TURNS
    folder = tmp_path_factory.mktemp("base")
    fast.save_pretrained(folder)
    return folder


def rows(*references, **columns):
    return [{"id": f"r-{i}", "question": f"q{i}", "answer": each, **columns} for i, each in enumerate(references)]


def task_of(kind, **fields):
    return make_task(kind, prompt="{{ question }}", reference="answer", **fields)


def continuation(base, sample):
    """Return the text of a sample's only continuation."""
    [found] = sample["continuations"]
    assert found["option"] == RIGHT
    return load_tokenizer(base).decode(found["tokens"])


def test_open_answer_is_the_reference_and_the_end_of_the_turn(base):
    task = task_of("number", pattern=WHOLE)
    samples = prepare(task, rows("5", "-12"), base)
    assert [continuation(base, each) for each in samples] == ["5<|im_end|>", "-12<|im_end|>"]
    tokenizer = load_tokenizer(base)
    text = tokenizer.decode([*samples[0]["tokens"], *samples[0]["continuations"][0]["tokens"]])
    [dialogue] = dialogue_texts(tokenizer, ["q0"], ["5"], Chat())
    assert text == "".join(dialogue).rstrip("\n")
    prompts = prepare_prompts(task, rows("5", "-12"), base)
    assert [{key: each[key] for key in prompts[0]} for each in samples] == prompts


@pytest.mark.parametrize("chat", [Chat(), Chat(system="Be brief."), Chat(plain=True)])
def test_right_response_has_the_tokens_that_training_teaches(base, chat):
    """Up to the end of the turn, after which a response has ended."""
    from genome.lora.training import encode

    [sample] = prepare(task_of("translation", pattern=WHOLE), rows("un deux"), base, chat)
    [trained] = encode(load_tokenizer(base), [{"prompt": "q0", "response": "un deux"}], 200, chat)
    taught = list(trained.tokens)
    tokens = sample["continuations"][0]["tokens"]
    assert sample["tokens"] == taught[: trained.prompt_length]
    assert tokens == taught[trained.prompt_length :][: len(tokens)]
    assert tokens[-1] == load_tokenizer(base).eos_token_id


def test_without_a_template_the_end_token_ends_a_response(base):
    [sample] = prepare(task_of("number", pattern=WHOLE), rows("5"), base, Chat(plain=True))
    assert continuation(base, sample) == "5<|im_end|>"


def test_announced_answers_have_the_form_that_the_task_reads(base):
    task = task_of("translation", pattern=r"Answer: (.*)")
    [sample] = prepare(task, rows("un deux"), base)
    assert continuation(base, sample) == "Answer: un deux<|im_end|>"
    [sample] = prepare(task_of("translation"), rows("un deux"), base)
    assert continuation(base, sample) == "Answer: un deux<|im_end|>"


def test_options_are_continuations_as_in_answers_by_likelihood(base):
    fields = {"options": "options", "max_tokens": 4}
    table = rows("A", "B", options={"A": "fur", "B": "scales"})
    generated, likely = task_of("choice", **fields), task_of("choice", answer_by="likelihood", **fields)
    assert prepare(generated, table, base) == prepare_prompts(likely, table, base)
    label = task_of("label", labels=["fur", "scales"])
    [sample] = prepare(label, rows("fur"), base)
    assert [each["option"] for each in sample["continuations"]] == ["fur", "scales"]


def test_rows_of_a_text_have_options_or_not(base):
    task = task_of("text", options="options", pattern=WHOLE)
    table = [*rows("B", options=["fur", "scales"]), {"id": "r-9", "question": "q", "answer": "yes", "options": []}]
    first, second = prepare(task, table, base)
    assert [each["option"] for each in first["continuations"]] == ["A", "B"]
    assert continuation(base, second) == "yes<|im_end|>"
    assert {each["of"] for each in (first, second)} == {2}


@pytest.mark.parametrize("kind", ["number", "math", "text", "span"])
def test_tasks_with_working_have_an_end_in_place_of_a_continuation(base, kind):
    task = task_of(kind)
    [sample] = prepare(task, rows("5"), base)
    [prompt] = prepare_prompts(task, rows("5"), base)
    end = load_tokenizer(base).convert_tokens_to_ids("<|im_end|>")
    assert sample == {**prompt, "expected": "5", "end": [end]}


def test_a_task_may_say_whether_its_answers_have_working(base):
    [sample] = prepare(task_of("number", pattern=WHOLE, working=True), rows("5"), base)
    assert sample["expected"] == "5"
    [sample] = prepare(task_of("number", working=False), rows("5"), base)
    assert continuation(base, sample) == "Answer: 5<|im_end|>"


def test_program_is_a_fenced_block(base):
    fields = {"tests": "tests", "reference": "answer"}
    code = "def f():\n    return 1"
    assert right_response(make_task("program", **fields), {"reference": code}) == f"```python\n{code}\n```"
    assert right_response(make_task("program", pattern=WHOLE, **fields), {"reference": code}) == code
    with pytest.raises(GenomeError, match="row r-0: objective: likelihood needs a right response, and the reference"):
        prepare(task_of("program", tests="tests"), rows(None, tests=["assert f()"]), base)


def test_right_response_is_none_if_no_form_is_read():
    assert right_response(make_task("number", pattern=r"<<(\d+)>>"), {"reference": "5"}) is None


def test_taught_response_is_the_first_one_that_the_base_can_write(tmp_path, base):
    from genome.micro import world
    from genome.micro.base import build_tokenizer

    build_tokenizer().save_pretrained(tmp_path)
    first, second = [word for word in world.vocabulary() if word.isalpha() and len(word) > 2][-2:]
    task = task_of("choice", pattern=WHOLE, options="o")
    sample = {"id": "r-0", "prompt": first, "reference": "A", "options": {"A": first, "B": second}}
    small, whole = load_tokenizer(tmp_path), load_tokenizer(base)
    assert small.convert_tokens_to_ids("A") == small.unk_token_id, "the micro base has no letters"
    [tokens] = right_continuations(task, [sample], tmp_path)
    assert small.decode(tokens, skip_special_tokens=True).strip() == first
    [tokens] = right_continuations(task, [sample], base)
    assert whole.decode(tokens) == "A<|im_end|>"


def test_taught_response_is_missing_where_none_is_known(base):
    task = task_of("program", tests="tests")
    samples = [{"id": f"r-{i}", "prompt": "q", "reference": code} for i, code in enumerate((None, "x = 1"))]
    missing, known = right_continuations(task, samples, base)
    assert missing is None
    assert load_tokenizer(base).decode(known) == "```python\nx = 1\n```<|im_end|>"


def test_taught_response_to_a_task_with_working_has_its_answer_alone(base):
    sample = {"id": "r-0", "prompt": "q", "reference": "5"}
    [tokens] = right_continuations(task_of("number"), [sample], base)
    assert load_tokenizer(base).decode(tokens) == "Answer: 5<|im_end|>"
