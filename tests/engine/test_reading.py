"""How prompts are read: shared prefixes, parts, steps and packed weights change no answer, on any architecture."""

import itertools
import json
import subprocess
import sys
from collections import Counter

import pytest
import torch
from transformers import AutoModelForCausalLM

from engine import tiny_models
from engine.test_model import adapt, generate
from engine.tiny_models import ARCHITECTURES
from genome.engine import batches, reading, weights
from genome.engine.model import Model

RANDOM = torch.Generator().manual_seed(11)
PREFIX = torch.randint(3, 80, (17,), generator=RANDOM).tolist()
LENGTHS = (1, 2, 2, 5, 9, 20, 26, 3)
PROMPTS = [PREFIX + torch.randint(3, 80, (length,), generator=RANDOM).tolist() for length in LENGTHS]
CONTINUATIONS = [
    [torch.randint(3, 80, (length,), generator=RANDOM).tolist() for length in lengths]
    for lengths in ([1, 3, 2], [1], [4, 4], [], [1, 1, 1], [6], [2, 1], [0, 3])
]


def log_probabilities(network, prompt, tokens):
    """The log-probabilities of the tokens that follow a prompt, by one plain pass of transformers."""
    with torch.inference_mode():
        logits = network(torch.tensor([[*prompt, *tokens]])).logits[0].log_softmax(-1)
    return [logits[len(prompt) - 1 + at, token].item() for at, token in enumerate(tokens)]


@pytest.fixture
def small_steps(monkeypatch):
    """Pack all weights, share every prefix, and read in steps and parts of a few tokens."""
    monkeypatch.setattr(weights, "PACKED_VALUES", 1)
    monkeypatch.setattr(reading, "SHARED_TOKENS", 1)
    monkeypatch.setattr(reading, "TOKENS_AT_ONCE", 40)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_shared_prefix_and_small_steps_equal_transformers(name, small_steps, tmp_path):
    base = tmp_path / "base"
    tiny_models.architecture(name).save_pretrained(base)
    tiny_models.tokenizer().save_pretrained(base)
    served = Model(base, batch_tokens=150)
    network = AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager")
    if served.linear:  # GPT-2's are not torch's
        network = adapt(base, tmp_path / "adapter", served.linear)
        served.use(served.read_adapter(tmp_path / "adapter"))
    assert [(c.tokens, c.stopped) for c in served.complete(PROMPTS, 10)] == [generate(network, p, 10) for p in PROMPTS]
    for prompt, each, found in zip(PROMPTS, CONTINUATIONS, served.continuations(PROMPTS, CONTINUATIONS), strict=True):
        for tokens, row in zip(each, found, strict=True):
            assert row == pytest.approx(log_probabilities(network, prompt, tokens), abs=3e-4)
    scores, following = served.score(PROMPTS)
    for prompt, row, completion in zip(PROMPTS, scores, following, strict=True):
        assert row == pytest.approx(log_probabilities(network, prompt[:1], prompt[1:]), abs=3e-4)
        assert completion.tokens == generate(network, prompt, 1)[0]


def test_sliding_window_shorter_than_the_prefix_equals_transformers(small_steps, tmp_path):
    """Gemma 2 has soft caps as well, which torch's attention cannot compute."""
    torch.manual_seed(5)
    tiny_models.FAMILIES["gemma2"]().save_pretrained(tmp_path)
    tiny_models.tokenizer().save_pretrained(tmp_path)
    served = Model(tmp_path)
    assert served.network.config._attn_implementation == "eager"
    network = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager")
    assert network.config.sliding_window < len(PREFIX)
    assert [(c.tokens, c.stopped) for c in served.complete(PROMPTS, 12)] == [generate(network, p, 12) for p in PROMPTS]


def passes(served):
    """Record the shape of the tokens of each pass."""
    shapes = []
    served.network.register_forward_pre_hook(
        lambda _, __, call: shapes.append(tuple(call["input_ids"].shape)), with_kwargs=True
    )
    return shapes


def test_prompts_are_read_once_for_all_continuations(gemma):
    served = Model(gemma[0])
    shapes = passes(served)
    served.continuations(PROMPTS, CONTINUATIONS)
    read = sum(rows * columns for rows, columns in shapes)
    whole = sum(
        len(prompt) + len(tokens) for prompt, each in zip(PROMPTS, CONTINUATIONS, strict=True) for tokens in each
    )
    # The prefix once, each prompt once in a width of its batch, and the continuations without their last tokens.
    ahead = [len(tokens) - 1 for each in CONTINUATIONS for tokens in each if len(tokens) > 1]
    assert read <= len(PREFIX) + len(PROMPTS) * max(LENGTHS) + len(ahead) * max(ahead) < whole
    assert shapes[0] == (1, len(PREFIX))


@pytest.mark.parametrize(
    ("name", "together"), [("llama", True), ("gpt2", True), ("gemma3_text", False), ("mistral", False)]
)
def test_continuations_share_a_row_if_attention_is_not_limited_to_a_window(name, together, small_steps, tmp_path):
    tiny_models.architecture(name).save_pretrained(tmp_path)
    tiny_models.tokenizer().save_pretrained(tmp_path)
    served = Model(tmp_path)
    shapes = passes(served)
    served.continuations([[5, 6, 7]], [[[8, 9], [10, 11, 12]]])
    assert shapes[-1] == ((1, 3) if together else (2, 2))


def test_continuations_of_one_token_need_no_further_pass(gemma):
    served = Model(gemma[0])
    shapes = passes(served)
    served.continuations(PROMPTS, [[[5], [6], [7]] for _ in PROMPTS])
    assert len(shapes) == 2


@pytest.mark.parametrize("batch_tokens", [1, 100, 300, 10**6])
def test_batches_are_bounded_by_tokens(gemma, batch_tokens):
    served = Model(gemma[0], batch_tokens=batch_tokens)
    shapes = passes(served)
    answers = served.complete(PROMPTS, 8)
    rows = max(rows for rows, columns in shapes if columns == 1)
    assert rows == 1 or rows * (min(map(len, PROMPTS)) + 8) <= batch_tokens
    assert max(Counter(answer.batch for answer in answers).values()) == rows
    assert answers == Model(gemma[0]).complete(PROMPTS, 8)


@pytest.mark.parametrize("most", [1, 3])
def test_batches_are_bounded_by_logits(gemma, most, monkeypatch):
    served = Model(gemma[0])
    answers = served.complete(PROMPTS, 8)
    monkeypatch.setattr("genome.engine.model.LOGITS_AT_ONCE", most * served.vocabulary)
    shapes = passes(served)
    assert served.complete(PROMPTS, 8) == answers
    assert max(rows for rows, columns in shapes if columns == 1) == most


def test_by_length_cuts_batches_with_padding_and_room():
    prompts = [[0] * length for length in (7, 1, 3, 3, 9)]
    cut = list(batches.by_length(prompts, 20, room=2))
    assert cut == [[1, 2, 3], [0, 4]] or all(
        len(places) == 1 or len(places) * (len(prompts[places[-1]]) + 2) <= 20 for places in cut
    )
    assert sorted(itertools.chain(*cut)) == [0, 1, 2, 3, 4]
    assert [len(prompts[place]) for places in cut for place in places] == [1, 3, 3, 7, 9]
    assert list(batches.by_length(prompts, 20, room=2, rows=2)) == [[1, 2], [3, 0], [4]]


def test_common_prefix_leaves_a_token_of_each_prompt():
    assert batches.common_prefix([[1, 2, 3], [1, 2]]) == 1
    assert batches.common_prefix([[1, 2, 3], [1, 2, 4]]) == 2
    assert batches.common_prefix([[1, 2], [3, 2]]) == 0
    assert batches.common_prefix([[4]]) == 0


def test_weights_used_without_their_layer_are_not_packed(small_steps, tmp_path, monkeypatch):
    def forward(self, states):
        return self.down_proj(torch.nn.functional.linear(states, self.up_proj.weight))

    monkeypatch.setattr("transformers.models.llama.modeling_llama.LlamaMLP.forward", forward)
    tiny_models.FAMILIES["llama"]().save_pretrained(tmp_path / "base")
    tiny_models.tokenizer().save_pretrained(tmp_path / "base")
    served = Model(tmp_path / "base")
    network = adapt(tmp_path / "base", tmp_path / "adapter", served.linear)
    served.use(served.read_adapter(tmp_path / "adapter"))
    assert [c.tokens for c in served.complete(PROMPTS, 6)] == [generate(network, p, 6)[0] for p in PROMPTS]


def test_packed_weights_leave_no_trace_of_earlier_adapters(small_steps, family, tmp_path):
    base, adapters = family("llama")
    served = Model(base)
    own = [served.read_adapter(folder) for folder in adapters[:2]]
    plain = served.complete(PROMPTS, 8)
    served.use(own[0])
    first = served.complete(PROMPTS, 8)
    served.save(tmp_path)
    for adapter, expected in [(None, plain), (own[1], None), (own[0], first), (None, plain)]:
        served.use(adapter)
        found = served.complete(PROMPTS, 8)
        assert expected in (None, found)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert [c.tokens for c in first] == [generate(merged, prompt, 8)[0] for prompt in PROMPTS]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_dtype_sets_the_type_of_the_weights(family, dtype):
    served = Model(family("qwen2")[0], dtype=dtype)
    assert str(served.network.dtype) == f"torch.{dtype}"
    assert len(served.complete(PROMPTS, 4)) == len(PROMPTS)


MEASURE = """
import json, sys
from pathlib import Path
import torch
from genome.engine.model import Model
torch.set_num_threads(1)
served = Model(sys.argv[1], batch_tokens=int(sys.argv[2]))
prompts = [[3 + (row * column) % 60 for column in range(1, 65)] for row in range(64)]
served.complete(prompts[:1], 2)
def memory(key):
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(status[key].removesuffix("kB"))
Path("/proc/self/clear_refs").write_text("5")  # forget the peak of loading
before = memory("VmRSS")
answers = served.complete(prompts, 32)
assert not any(answer.stopped for answer in answers)
print(json.dumps(memory("VmHWM") - before))
"""


def test_memory_of_many_long_prompts_is_bounded_by_batch_tokens(tmp_path):
    wide = {"num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 64, "num_hidden_layers": 4}
    config = tiny_models.LlamaConfig(
        **tiny_models.SHAPE | wide | {"max_position_embeddings": 512, "eos_token_id": 1, "initializer_range": 0.02}
    )
    network = tiny_models.LlamaForCausalLM(config)
    network.lm_head.weight.data[1] = 0
    network.save_pretrained(tmp_path)
    tiny_models.tokenizer().save_pretrained(tmp_path)
    token_bytes = 2 * 4 * 16 * 64 * 4
    used = {}
    for batch_tokens in (1024, 6144):
        done = subprocess.run(
            [sys.executable, "-P", "-c", MEASURE, str(tmp_path), str(batch_tokens)], capture_output=True, check=True
        )
        used[batch_tokens] = json.loads(done.stdout)
    # The larger number is all at once: 64 rows of 96 columns.
    assert used[6144] > 0.9 * 6144 * token_bytes
    assert used[1024] < 2 * 1024 * token_bytes
