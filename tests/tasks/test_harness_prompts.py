"""Contexts and continuations of lm-evaluation-harness as tokens: exactly its own, with and without a chat template."""

import pytest

from genome.errors import GenomeError
from genome.tasks.chat import Chat
from genome.tasks.file import check_task
from genome.tasks.harness_prompts import prepare
from tasks.test_continuations import byte_tokenizer, encoded_pair

PLAIN = Chat(plain=True)
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def choice(**fields):
    return check_task("t", {"lm_eval": "x", **fields})


def row(contexts, continuations, chat=(), **options):
    plain = {"contexts": contexts, "continuations": continuations}
    options = options or {"A": "scales", "B": "fur it"}
    turns = {"contexts": list(chat), "continuations": [each.strip() for each in continuations]}
    return {"question": "q", "reference": "A", "options": options, "plain": plain, "chat": turns}


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize(
    ("context", "delimiter"), [("which fish?\nAnswer:", " "), ("which fish: ", ""), ("fish\n", "\n")]
)
def test_continuations_are_taken_as_they_are(context, delimiter, bos):
    tokenizer = byte_tokenizer(bos=bos)
    given = [f"{delimiter}scales", f"{delimiter}fur it"]
    [found] = prepare(choice(), [row([context], given)], tokenizer, PLAIN)
    pairs = [encoded_pair(tokenizer, context, each) for each in given]
    assert found["tokens"] == pairs[0][0]
    assert [each["tokens"] for each in found["continuations"]] == [pair[1] for pair in pairs]
    assert [(each["option"], each["characters"], each["bytes"]) for each in found["continuations"]] == [
        ("A", 6, 6),
        ("B", 6, 6),
    ]
    assert found["prompt"] == context


def test_an_empty_context_is_one_token():
    tokenizer = byte_tokenizer()
    [found] = prepare(choice(), [row([""], ["scales", "fur it"])], tokenizer, PLAIN)
    assert found["tokens"] == [tokenizer.bos_token_id]
    assert [tokenizer.decode(each["tokens"]) for each in found["continuations"]] == ["scales", "fur it"]


def test_options_in_the_prompt_have_separate_prompts():
    tokenizer = byte_tokenizer()
    contexts, given = ["which fish: scales", "which fish: fur it, question"], [" it", " it"]
    [found] = prepare(choice(), [row(contexts, given)], tokenizer, PLAIN)
    pairs = [encoded_pair(tokenizer, *each) for each in zip(contexts, given, strict=True)]
    assert [(each["prompt"], each["tokens"]) for each in found["continuations"]] == pairs
    assert found["tokens"] == max((pair[0] for pair in pairs), key=len)


def test_mutual_information_has_the_options_behind_an_empty_prompt():
    tokenizer = byte_tokenizer()
    [found] = prepare(choice(metric="acc_mutual_info"), [row(["which:"], [" scales", " fur it"])], tokenizer, PLAIN)
    assert found["neutral"]["tokens"] == [tokenizer.bos_token_id]
    assert [tokenizer.decode(each) for each in found["neutral"]["continuations"]] == [" scales", " fur it"]


def test_an_option_without_text_is_refused():
    with pytest.raises(GenomeError, match="task t, row 'q': option B is empty after the prompt"):
        prepare(choice(), [row(["which:"], [" fur", " "], A="fur", B="")], byte_tokenizer(), PLAIN)


def test_messages_go_through_the_template():
    tokenizer = byte_tokenizer(TEMPLATE)
    messages = [
        {"role": "system", "content": "About fish."},
        {"role": "user", "content": "fur?"},
        {"role": "assistant", "content": "it"},
        {"role": "user", "content": "which?"},
    ]
    chat = Chat(system="Be brief.", assistant_prefix="Answer:")
    [found] = prepare(choice(), [row(["which?"], [" scales", " fur it"], [messages])], tokenizer, chat)
    text = tokenizer.decode(found["tokens"] + found["continuations"][0]["tokens"])
    turns = ["system\nBe brief.\n\nAbout fish.", "user\nfur?", "assistant\nit", "user\nwhich?"]
    assert text == "".join(f"<|im_start|>{each}<|im_end|>\n" for each in turns) + "<|im_start|>assistant\nscales"


def test_the_task_begins_the_turn_of_the_assistant():
    tokenizer = byte_tokenizer(TEMPLATE)
    messages = [{"role": "user", "content": "which?"}, {"role": "assistant", "content": "It is"}]
    given = {**row(["which? It is"], [" scales", " fur it"], [messages])}
    given["chat"]["continuations"] = [" scales", " fur it"]
    [found] = prepare(choice(), [given], tokenizer, Chat())
    text = tokenizer.decode(found["tokens"] + found["continuations"][1]["tokens"])
    assert text == "<|im_start|>user\nwhich?<|im_end|>\n<|im_start|>assistant\nIt is fur it"


def test_templates_that_open_reasoning_are_refused():
    tokenizer = byte_tokenizer(TEMPLATE.replace("assistant\n{% endif", "assistant\n<think>{% endif"))
    messages = [{"role": "user", "content": "which?"}]
    with pytest.raises(GenomeError, match="opens the model's reasoning"):
        prepare(choice(), [row(["which?"], [" scales", " fur it"], [messages])], tokenizer, Chat())


def test_generated_responses_have_their_own_limits():
    tokenizer = byte_tokenizer()
    task = check_task("t", {"lm_eval": "x", "metric": "exact_match"})
    kept = {"doc": {"answer": "4"}, "harness": {"file": "x.yaml"}, "max_tokens": 7, "until": ["\n"]}
    given = {"question": "q", "reference": "4", "plain": {"contexts": ["fish? "], "continuations": []}, **kept}
    [found] = prepare(task, [given], tokenizer, PLAIN)
    assert found == {"prompt": "fish? ", "tokens": tokenizer.encode("fish? "), **kept}
