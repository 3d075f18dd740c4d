"""From a row to its likelihoods, compared with the log-softmax of transformers on a tiny model."""

import math
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from genome.engine.model import Model
from genome.scoring.asking import compare
from genome.tasks import parse_task
from genome.tasks.chat import Chat
from genome.tasks.likelihood import read
from genome.tasks.prompts import place_row, prepare

TASK = {
    "kind": "choice",
    "source": {"path": "rows.jsonl"},
    "prompt": "{{ question }} w40",
    "options": "options",
    "reference": "'A'",
    "answer_by": "likelihood",
    "neutral_prompt": "w40",
}
ROWS = [
    {"question": "w5 w6 w7", "options": ["w8", "w9 w10", "w11 w12 w13"]},
    {"question": "w20", "options": ["w21 w22", "w23"]},
    {"question": "w30 w31", "options": ["w8", "w9 w10", "w11 w12 w13"]},
]


def summed(network, tokenizer, prompt, option):
    """The log-likelihood of an option's words, one forward pass for it alone."""
    start, whole = tokenizer(prompt).input_ids, tokenizer(f"{prompt} {option}").input_ids
    with torch.inference_mode():
        logits = network(torch.tensor([whole])).logits[0].log_softmax(-1)
    return math.fsum(logits[i - 1, whole[i]].item() for i in range(len(start), len(whole)))


@pytest.mark.parametrize("name", ["gemma2", "llama"])
def test_likelihoods_equal_the_log_softmax_of_transformers(family, name):
    base, _ = family(name)
    model, network = Model(base), AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(base)
    rows = [place_row(row, f"row-{i}") for i, row in enumerate(ROWS)]
    samples = prepare(parse_task("words", TASK), rows, base, Chat(plain=True))
    engine = SimpleNamespace(score=lambda requests: [model.continuations(r.prompts, r.continuations) for r in requests])
    [responses] = compare(engine, ["base"], [samples])
    for row, response in zip(ROWS, responses, strict=True):
        found = read(response)
        assert found is not None
        assert found.tokens == tuple(len(option.split()) for option in row["options"])
        expected = [summed(network, tokenizer, f"{row['question']} w40", option) for option in row["options"]]
        assert found.log_likelihood == pytest.approx(expected, abs=1e-4)
        neutral = [summed(network, tokenizer, "w40", option) for option in row["options"]]
        assert found.neutral == pytest.approx(neutral, abs=1e-4)
