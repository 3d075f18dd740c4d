"""Options as continuations, with the rule of lm-evaluation-harness (0.4.13, `TemplateLM._encode_pair`) as the truth."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from builders import make_task
from genome.errors import GenomeError
from genome.tasks.chat import Chat
from genome.tasks.continuations import continued, likelihoods_of
from genome.tasks.lengths import check_lengths, prompt_tokens, response_limits
from genome.tasks.likelihood import Likelihoods

TEXTS = ["What has a fish? Answer: fur scales feathers", "Question: which\nAnswer: scale it", "assistant user fish"]
TURNS = "<|im_start|>user\n{{ messages[0].content }}<|im_end|>\n<|im_start|>assistant"
SAMPLE = {"id": "s-0", "prompt": "Question: which fish?\nAnswer:", "options": {"A": "scales", "B": "fur it"}}


def byte_tokenizer(template=None, bos=False):
    """Return a byte-level BPE tokenizer like GPT-2's, whose tokens contain the space before a word."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    special = ["<|im_start|>", "<|im_end|>", "<bos>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        TEXTS * 4, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    )
    if bos:
        core.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    ends = {"bos_token": "<bos>", "eos_token": "<|im_end|>"}
    fast = PreTrainedTokenizerFast(tokenizer_object=core, additional_special_tokens=["<|im_start|>"], **ends)
    fast.chat_template = template
    return fast


def encoded_pair(tokenizer, context, continuation):
    """What lm-evaluation-harness makes of a context and a continuation."""
    spaces = len(context) - len(context.rstrip())
    if spaces > 0:
        continuation = context[-spaces:] + continuation
        context = context[:-spaces]
    whole, start = tokenizer.encode(context + continuation), tokenizer.encode(context)
    return start, whole[len(start) :]


def choice(**fields):
    return make_task("choice", options="o", answer_by="likelihood", **fields)


def tokens(sample):
    return sample["tokens"], [each["tokens"] for each in sample["continuations"]]


@pytest.mark.parametrize("bos", [False, True])
def test_plain_prompt_is_followed_by_a_space_and_the_option(bos):
    tokenizer = byte_tokenizer(bos=bos)
    [found] = continued(choice(), [SAMPLE], tokenizer, Chat(plain=True))
    pairs = [encoded_pair(tokenizer, SAMPLE["prompt"], f" {text}") for text in SAMPLE["options"].values()]
    assert tokens(found) == (pairs[0][0], [pair[1] for pair in pairs])
    assert (found["tokens"][0] == tokenizer.bos_token_id) == bos
    assert tokenizer.decode(found["continuations"][1]["tokens"]) == " fur it"
    lengths = [(each["option"], each["characters"], each["bytes"]) for each in found["continuations"]]
    assert lengths == [("A", 6, 6), ("B", 6, 6)]


def test_option_that_begins_with_a_space_gets_no_other():
    tokenizer = byte_tokenizer()
    sample = {**SAMPLE, "options": {"A": " scales", "B": "\nfür"}}
    [found] = continued(choice(), [sample], tokenizer, Chat(plain=True))
    assert [tokenizer.decode(each) for each in tokens(found)[1]] == [" scales", "\nfür"]
    assert found["continuations"][1]["characters"] == 4
    assert found["continuations"][1]["bytes"] == 5


@pytest.mark.parametrize(
    ("end", "before"),
    [
        ("\n", "\n"),  # whitespace at the end of a prompt belongs to the option
        ("<|im_end|>", ""),  # nothing after a special token
        ("\nAnswer:", " "),  # a space after text
    ],
)
def test_option_begins_the_assistants_turn(end, before):
    tokenizer = byte_tokenizer(TURNS + end + "{{ '' }}")
    [found] = continued(choice(), [SAMPLE], tokenizer, Chat())
    start = TURNS.replace("{{ messages[0].content }}", SAMPLE["prompt"]) + end
    space = " " if before == " " else ""
    pairs = [encoded_pair(tokenizer, start, space + text) for text in SAMPLE["options"].values()]
    assert tokens(found) == (pairs[0][0], [pair[1] for pair in pairs])
    assert tokenizer.decode(found["continuations"][0]["tokens"]) == before + "scales"


def test_letters_continue_the_prompt():
    tokenizer = byte_tokenizer()
    [found] = continued(choice(likelihood_of="letter"), [SAMPLE], tokenizer, Chat(plain=True))
    assert [tokenizer.decode(each) for each in tokens(found)[1]] == [" A", " B"]
    assert [each["characters"] for each in found["continuations"]] == [1, 1]


def test_labels_continue_the_prompt():
    tokenizer = byte_tokenizer()
    task = make_task("label", labels={"A": "fur", "B": "scale"}, answer_by="likelihood")
    [found] = continued(task, [SAMPLE], tokenizer, Chat(plain=True))
    assert [tokenizer.decode(each) for each in tokens(found)[1]] == [" fur", " scale"]
    assert [each["option"] for each in found["continuations"]] == ["A", "B"]


def test_neutral_prompt_takes_the_place_of_the_prompt():
    tokenizer = byte_tokenizer(TURNS + "\nAnswer:")
    [found] = continued(choice(neutral_prompt="which"), [SAMPLE], tokenizer, Chat())
    start = TURNS.replace("{{ messages[0].content }}", "which") + "\nAnswer:"
    pairs = [encoded_pair(tokenizer, start, f" {text}") for text in SAMPLE["options"].values()]
    assert found["neutral"] == {"tokens": pairs[0][0], "continuations": [pair[1] for pair in pairs]}


@pytest.mark.parametrize("bos", [False, True])
def test_empty_neutral_prompt_is_one_token(bos):
    tokenizer = byte_tokenizer(bos=bos)
    [found] = continued(choice(neutral_prompt=""), [SAMPLE], tokenizer, Chat(plain=True))
    options = [tokenizer.encode(f" {text}", add_special_tokens=False) for text in SAMPLE["options"].values()]
    assert found["neutral"] == {"tokens": [tokenizer.bos_token_id], "continuations": options}


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_option_without_text_is_refused_in_one_line(text):
    sample = {**SAMPLE, "options": {"A": "scales", "B": text}}
    with pytest.raises(GenomeError, match="task t, row s-0: option B is empty after the prompt") as caught:
        continued(choice(), [sample], byte_tokenizer(TURNS + "\n"), Chat())
    assert "\n" not in str(caught.value)


def test_likelihoods_sum_the_log_probabilities_of_tokens():
    [found] = continued(choice(), [SAMPLE], byte_tokenizer(), Chat(plain=True))
    numbers = [len(each) for each in tokens(found)[1]]
    assert likelihoods_of(found, [[-1.0, -0.5], [-2.0]], [[-3.0, -1.0], [-4.0]]) == Likelihoods(
        ("A", "B"), (-1.5, -2.0), (numbers[0], numbers[1]), (6, 6), (6, 6), (-4.0, -4.0)
    )


def test_check_lengths_adds_prompt_and_longest_option(tmp_path):
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 10}')
    options = [{"option": "A", "tokens": [1]}, {"option": "B", "tokens": [1] * 4}]
    samples = [{"id": "s-0", "tokens": [1] * 5, "continuations": options}]
    check_lengths("t", samples, tmp_path, max_tokens=512)
    with pytest.raises(GenomeError, match="its prompt of 6 tokens and its longest option make 11 with one more token"):
        check_lengths("t", [{**samples[0], "tokens": [1] * 6}], tmp_path, max_tokens=512)


def test_limits_of_responses_are_the_samples_own_if_they_have_some():
    assert response_limits([{"tokens": [1]}], 512, ["x"]) == (512, ["x"])
    assert response_limits([{"tokens": [1], "max_tokens": 8, "until": []}], 512, ["x"]) == (8, [])


def test_prompt_tokens_count_the_prompts_of_options():
    options = [{"option": "A", "prompt": [1] * 3, "tokens": [1]}, {"option": "B", "prompt": [1] * 5, "tokens": [1] * 4}]
    assert prompt_tokens({"tokens": [1] * 5, "continuations": options}) == 13


def test_prompt_tokens_count_prompt_and_options():
    options = [{"option": "A", "tokens": [1]}, {"option": "B", "tokens": [1] * 4}]
    sample = {"tokens": [1] * 5, "continuations": options}
    assert prompt_tokens({"tokens": [1] * 5}) == 5
    assert prompt_tokens(sample) == 10
    assert prompt_tokens({**sample, "neutral": {"tokens": [1, 2], "continuations": [[1], [2, 3]]}}) == 15
