"""A real vLLM answers as the built-in engine does: stop texts, end tokens, counts, likelihoods; and shows progress."""

import contextlib
import json
import os
import random
import signal
import time
from collections import Counter

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from engine.real_vllm import MARKS, WIDE, greedy_tokens, server_pid, serving, worker_pid
from engine.tiny_models import SHAPE, save_adapter, tokenizer
from genome.engine.client import Engine
from genome.engine.launcher import connect
from genome.engine.messages import BASE, Request
from genome.engine.owner import current_owner
from genome.engine.probe import progress
from genome.engine.state import stop
from genome.errors import GenomeError
from genome.scoring.asking import compare
from genome.tasks.chat import Chat
from genome.tasks.file import check_task
from genome.tasks.likelihood import best, option_scores, read
from genome.tasks.prompts import place_row, prepare

pytestmark = MARKS

END = 95
"""The tokenizer's end token, the only one of the base."""

SAMPLING = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 5, "max_new_tokens": 3}
SAMPLING |= {"repetition_penalty": 1.3, "presence_penalty": 1.5, "frequency_penalty": 0.5}
TEMPLATE = "{% for turn in messages %}w3 {{ turn['content'] }} w4 {% endfor %}w5"
MAX_TOKENS = 24


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A base that asks for sampling and names other end tokens in config.json, where vLLM does not look for them."""
    folder = tmp_path_factory.mktemp("base") / "base"
    changed = {"initializer_range": 0.3, "max_position_embeddings": 512, "eos_token_id": [*range(60, 70)]}
    torch.manual_seed(5)
    LlamaForCausalLM(LlamaConfig(**SHAPE | WIDE | changed)).save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps(SAMPLING))
    words = tokenizer()
    words.eos_token, words.chat_template = f"w{END}", TEMPLATE
    words.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapters(base, tmp_path_factory):
    network, folder = AutoModelForCausalLM.from_pretrained(base), tmp_path_factory.mktemp("adapters")
    return [save_adapter(network, folder / f"adapter{seed}", seed) for seed in range(3)]


@pytest.fixture(scope="module")
def engines(base, tmp_path_factory):
    """The built-in engine and vLLM with the same base."""
    first, second = (tmp_path_factory.mktemp(name) for name in ("built-in", "vllm"))
    with contextlib.chdir(second), serving(base, 4) as vllm:
        with contextlib.chdir(first):
            built_in = connect({"backend": "transformers"}, base)
        yield built_in, vllm
        with contextlib.chdir(first):
            stop(current_owner().token)


def samples_of(base, **fields):
    """Return 60 samples of a task, rendered by the chat template with a system turn and a begun answer."""
    drawn = random.Random(3)
    words = [
        [[f"w{drawn.randrange(10, 60)}" for _ in range(n)] for n in (drawn.randrange(2, 9), 1, 3, 2)] for _ in "a" * 60
    ]
    rows = [{"q": " ".join(q), "choices": [" ".join(each) for each in choices], "right": "B"} for q, *choices in words]
    definition = {"kind": "choice", "prompt": "{{ q }}", "options": "choices", "reference": "right"}
    task = check_task("words", {**definition, "source": {"path": "rows.jsonl"}, **fields})
    placed = [place_row(row, str(number)) for number, row in enumerate(rows)]
    return prepare(task, placed, base, Chat(system="w6 w7", assistant_prefix=" w8"))


@pytest.fixture(scope="module")
def prompts(base):
    return [sample["tokens"] for sample in samples_of(base)]


@pytest.fixture(scope="module")
def said(base, adapters, prompts):
    """The tokens of transformers' own greedy answers of each adapter, and whether the end token follows them."""
    found = []
    for folder in adapters:
        network = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder).eval()
        network.generation_config.max_new_tokens = None
        tokens = greedy_tokens(network, prompts, [END], MAX_TOKENS)
        found.append([(each, len(each) < MAX_TOKENS) for each in tokens])
    assert 10 < sum(ended for answers in found for _, ended in answers) < len(adapters) * len(prompts) - 10
    return found


def stop_texts(kind, said):
    """Return stop texts that some of the answers contain."""
    longest = max((tokens for tokens, _ in said[0] if min(tokens, default=0) > 2), key=lambda tokens: len(set(tokens)))
    words = [f"w{token}" for token in longest]
    return {
        "none": (),
        "over the border of two tokens": (f"{words[2][1:]} {words[3]}",),
        "two in one token": (words[3][1:], words[3]),
        "several": ("never said", words[5], words[2]),
    }[kind]


def up_to(stops, tokens, ended):
    """Return an answer's text up to a stop text, and the number of its tokens up to the one that completes it."""
    text = ""
    for number in range(1, len(tokens) + 1):
        text = " ".join(f"w{token}" for token in tokens[:number] if token > 2)  # the others are special
        if places := [text.find(stop) for stop in stops if stop in text]:
            return text[: min(places)].strip(), number
    return text, len(tokens) + ended


@pytest.mark.parametrize("kind", ["none", "over the border of two tokens", "two in one token", "several"])
def test_texts_and_counts_are_those_of_transformers_in_both_engines(engines, adapters, prompts, said, kind):
    stops = stop_texts(kind, said)
    expected = [[up_to(stops, *answer) for answer in answers] for answers in said]
    cut = sum(up_to(stops, *answer) != up_to((), *answer) for answers in said for answer in answers)
    assert (cut > 5) == bool(stops)
    for engine in engines:
        before = Counter(engine.usage)
        with engine.serving(adapters):
            found = engine.complete([Request(folder.name, prompts, MAX_TOKENS, stops) for folder in adapters])
        assert [[text.strip() for text in texts] for texts in found] == [
            [text for text, _ in each] for each in expected
        ]
        used, lengths = engine.usage - before, [number for each in expected for _, number in each]
        assert used["samples"] == len(adapters) * len(prompts)
        assert used["prompt_tokens"] == len(adapters) * sum(map(len, prompts))
        assert used["response_tokens"] == sum(lengths)
        assert used["steps"] > max(lengths) / 2, "vLLM reports none: they are estimated from the lengths of texts"


def test_likelihoods_are_those_of_the_built_in_engine(engines, base, adapters):
    samples = samples_of(base, answer_by="likelihood", neutral_prompt="")
    names, chosen = [folder.name for folder in adapters], set()
    # The base alone: in vLLM's build for CPUs an adapter may answer for it (docs/findings.md).
    for models in ([BASE], names, names):
        found = []
        for engine in engines:
            before = Counter(engine.usage)
            with engine.serving(adapters):
                found.append([[read(each) for each in responses] for responses in compare(engine, models, [samples])])
            assert (engine.usage - before)["response_tokens"] == 0
        for ours, theirs in zip(*found, strict=True):
            for one, other in zip(ours, theirs, strict=True):
                assert one.tokens == other.tokens == (1, 3, 2)
                assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-3)
                assert one.neutral == pytest.approx(other.neutral, abs=1e-3)
                assert best(option_scores(one, "token")) == best(option_scores(other, "token"))
            chosen.add(tuple(best(option_scores(one, "token")) for one in ours))
    assert len(chosen) == 1 + len(adapters), "every model has its answers"


def counters(engine):
    """Return what is watched at /metrics, by name."""
    lines = progress(engine._address.url, engine._address.key, b"{}").decode().splitlines()
    return {line.partition("{")[0]: float(line.split()[-1]) for line in lines}


def test_the_watched_counters_are_those_of_vllm(engines, prompts):
    _, vllm = engines
    before, used = counters(vllm), Counter(vllm.usage)
    vllm.complete([Request(BASE, prompts, MAX_TOKENS)])
    after, used = counters(vllm), vllm.usage - used
    assert after["vllm:generation_tokens_total"] - before["vllm:generation_tokens_total"] == used["response_tokens"]
    assert after["vllm:prompt_tokens_total"] - before["vllm:prompt_tokens_total"] == used["prompt_tokens"]
    assert after["vllm:iteration_tokens_total_count"] >= before["vllm:iteration_tokens_total_count"] + MAX_TOKENS
    assert "vllm:kv_cache_usage_perc" in after


def test_a_request_may_take_longer_than_the_timeout(engines, prompts, monkeypatch):
    """One request of many steps; without vLLM's counters its engine would be given up."""
    _, vllm = engines
    long = [Request(BASE, prompts, 480)]
    started = time.monotonic()
    answers = Engine(vllm._find, batch_size=len(prompts)).complete(long)
    timeout = (time.monotonic() - started) / 4
    assert Engine(vllm._find, batch_size=len(prompts), timeout=timeout).complete(long) == answers
    monkeypatch.setattr("genome.engine.waiting.progress", lambda *_: b"")
    with pytest.raises(GenomeError, match="no progress"):
        Engine(vllm._find, batch_size=len(prompts), timeout=timeout).complete(long)


def test_a_vllm_that_stands_still_is_given_up(engines, prompts):
    _, vllm = engines
    server, worker = server_pid(), worker_pid()
    ask = [Request(BASE, prompts, MAX_TOKENS)]
    answers = vllm.complete(ask)
    os.kill(worker, signal.SIGSTOP)
    try:
        with pytest.raises(GenomeError, match="no progress for 3 s while requests waited"):
            Engine(vllm._find, timeout=3).complete(ask)
    finally:
        os.kill(worker, signal.SIGCONT)
    assert vllm.complete(ask) == answers
    assert server_pid() == server
