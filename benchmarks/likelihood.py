"""Answers by likelihood, compared with lm-evaluation-harness: `python benchmarks/likelihood.py BASE [ROWS]`.

BASE is the folder of a base model, and ROWS the number of rows of each task (200; a quarter of it with the chat
template). With `--vllm PYTHON`, our engine is the vLLM of that Python instead of the built-in one. Local rows are read
below the folder in the environment variable GENOME_DATA. Both sides read the same rows and score them with the same
model in float32: ours as the workflow does (prompts, engine, likelihoods), lm-evaluation-harness as its own task with
its own prompts and tokens, one row at a time. What differs is printed by row. The page benchmarks/likelihood.md has the
result.
"""

import argparse
import contextlib
import gzip
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import genome
from genome.engine.launcher import connect
from genome.engine.messages import BASE
from genome.engine.owner import current_owner
from genome.engine.state import stop
from genome.scoring.asking import compare
from genome.tasks.chat import Chat
from genome.tasks.file import check_task
from genome.tasks.likelihood import best, option_scores, read
from genome.tasks.prompts import place_row, prepare

DATA = Path(os.environ.get("GENOME_DATA", "."))

METRICS = {"acc": "option", "acc_norm": "character", "acc_bytes": "byte"}
"""Metrics of lm-evaluation-harness, with our `likelihood_per`; acc_mutual_info is `option` with a neutral prompt."""

LISTED = 20
"""The most differing rows that are printed."""

BUILT_IN = {"backend": "transformers", "batch_size": 16}
VLLM = {
    "backend": "vllm",
    "batch_size": 16,
    "max_model_len": 2048,
    "args": ["--dtype", "float32", "--enforce-eager"],
    "env": {"VLLM_CPU_KVCACHE_SPACE": 1},
}
"""Settings of the engines; vLLM's is its build for CPUs."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """A task of both sides: the rows, our fields, and the fields of lm-evaluation-harness's task.

    chat: whether prompts are rendered by the chat template; neutral: whether acc_mutual_info is compared too
    """

    rows: Callable[[], Sequence[Row]]
    ours: Mapping[str, Any]
    theirs: Mapping[str, Any]
    chat: bool = False
    neutral: bool = True


def lines(path: str) -> list[Row]:
    """Return the rows of a local copy."""
    file = DATA / path
    with gzip.open(file, "rt") if file.suffix == ".gz" else file.open(encoding="utf-8") as text:
        return [json.loads(line) for line in text]


def sentences() -> list[Row]:
    """Return halves of English sentences, each with the second halves of itself and of three others."""
    found = [row["sentence"].split() for row in lines("flores_101/eng/devtest.jsonl.gz")]
    halves = [(" ".join(s[: len(s) // 2]), " ".join(s[len(s) // 2 :])) for s in found if len(s) >= 8]
    rows = []
    for number, (begin, _) in enumerate(halves):
        place = number % 4
        others = [halves[(number + step) % len(halves)][1] for step in (1, 2, 3)]
        rows.append({"ctx": begin, "endings": [*others[:place], halves[number][1], *others[place:]], "label": place})
    return rows


def judged() -> list[Row]:
    """Return sentences about sports, with whether they are plausible."""
    return [{**row, "gold": ["no", "yes"].index(row["target"])} for row in lines("bbh/sports_understanding/test.jsonl")]


ARC = Comparison(
    lambda: lines("ai2_arc/ARC-Challenge/test.jsonl"),
    {
        "kind": "choice",
        "prompt": "Question: {{ question }}\nAnswer:",
        "options": "dict(zip(choices.label, choices.text))",
        "reference": "answerKey",
    },
    {
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_target": "{{choices.label.index(answerKey)}}",
        "doc_to_choice": "{{choices.text}}",
    },
)

COMPARISONS = {
    "CommonsenseQA, letters": Comparison(
        lambda: lines("commonsense_qa/validation.jsonl"),
        {
            "kind": "choice",
            "prompt": "Question: {{ question | trim }}\n{{ options | listed }}\nAnswer:",
            "options": "dict(zip(choices.label, choices.text))",
            "reference": "answerKey",
            "likelihood_of": "letter",
        },
        {
            "doc_to_text": "Question: {{ question.strip() }}\nA. {{choices['text'][0]}}\nB. {{choices['text'][1]}}\n"
            "C. {{choices['text'][2]}}\nD. {{choices['text'][3]}}\nE. {{choices['text'][4]}}\nAnswer:",
            "doc_to_target": "answerKey",
            "doc_to_choice": ["A", "B", "C", "D", "E"],
        },
    ),
    "Sports understanding of BBH, yes or no": Comparison(
        judged,
        {"kind": "label", "prompt": "{{ input }}\nAnswer:", "labels": ["no", "yes"], "reference": "target"},
        {"doc_to_text": "{{input}}\nAnswer:", "doc_to_target": "{{gold}}", "doc_to_choice": ["no", "yes"]},
    ),
    "ARC-Challenge": ARC,
    "Sentences of FLORES, as HellaSwag": Comparison(
        sentences,
        {"kind": "choice", "prompt": "{{ ctx }}", "options": "endings", "reference": "'ABCD'[label]"},
        {"doc_to_text": "{{ctx}}", "doc_to_target": "{{label}}", "doc_to_choice": "endings"},
        neutral=False,
    ),
    "ARC-Challenge, chat template": replace(ARC, chat=True, neutral=False),
}


def our_results(base: Path, engine: Any, comparison: Comparison, rows: Sequence[Row]) -> list[Row]:
    """Return for each row the right answers by metric, and tokens and log-likelihoods of the options.

    `gaps` has by metric how far the scores of the two best options are apart, in nats (per character or byte).
    """
    definition = {**comparison.ours, "source": {"path": "rows.jsonl"}, "answer_by": "likelihood"}
    task = check_task("compared", definition | ({"neutral_prompt": ""} if comparison.neutral else {}))
    placed = [place_row(row, str(number)) for number, row in enumerate(rows)]
    samples = prepare(task, placed, base, Chat(plain=not comparison.chat))
    [responses] = compare(engine, [BASE], [samples])
    results = []
    for sample, response in zip(samples, responses, strict=True):
        likelihoods = read(response)
        assert likelihoods is not None
        raw = replace(likelihoods, neutral=None)
        scores = {metric: option_scores(raw, per) for metric, per in METRICS.items()}
        if likelihoods.neutral is not None:
            scores["acc_mutual_info"] = option_scores(likelihoods)
        results.append(
            {
                "metrics": {metric: float(best(each) == sample["reference"]) for metric, each in scores.items()},
                "gaps": {metric: gap(list(each.values())) for metric, each in scores.items()},
                "tokens": list(likelihoods.tokens),
                "log_likelihood": list(likelihoods.log_likelihood),
            }
        )
    return results


def their_results(model: Any, comparison: Comparison, rows: Path) -> list[Row]:
    """Return the same by lm-evaluation-harness."""
    from lm_eval import simple_evaluate

    metrics = [*METRICS, *(["acc_mutual_info"] if comparison.neutral else [])]
    task = {
        "task": "compared",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(rows)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "metric_list": [{"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in metrics],
        **comparison.theirs,
    }
    found = simple_evaluate(
        model=model, tasks=[task], num_fewshot=0, bootstrap_iters=0, apply_chat_template=comparison.chat
    )
    results = []
    for sample in sorted(found["samples"]["compared"], key=lambda sample: sample["doc_id"]):
        pairs = [tuple(arguments) for arguments in sample["arguments"]]
        pairs = pairs[: len(pairs) // 2] if comparison.neutral else pairs
        results.append(
            {
                "metrics": {metric: sample[metric] for metric in metrics},
                "tokens": [len(model._encode_pair(*pair)[1]) for pair in pairs],
                "log_likelihood": [float(response[0]) for response in sample["filtered_resps"]][: len(pairs)],
            }
        )
    return results


def gap(values: Sequence[float]) -> float:
    """Return the difference between the two highest values."""
    first, second, *_ = sorted(values, reverse=True)
    return first - second


def main() -> None:
    """Print the comparison as a table in Markdown, and each row that differs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("base", type=Path)
    parser.add_argument("rows", type=int, nargs="?", default=200)
    parser.add_argument("--vllm", metavar="PYTHON", help="a Python that has vLLM, whose server is our engine")
    arguments = parser.parse_args()
    base, number = arguments.base.resolve(), arguments.rows
    settings = {**VLLM, "python": str(Path(arguments.vllm).absolute())} if arguments.vllm else BUILT_IN
    os.environ["PYTHONPATH"] = str(Path(genome.__file__).parents[1])  # for the engine, which runs in another folder
    import torch
    from lm_eval.models.huggingface import HFLM

    torch.set_num_threads(1)
    model = HFLM(pretrained=str(base), dtype="float32", batch_size=1, device="cpu")
    differing: list[str] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        engine = connect(settings, base)
        shown = ", ".join(f"{key} {engine.fingerprint[key]}" for key in ("backend", "version", "device", "dtype"))
        print(f"lm-evaluation-harness {version('lm_eval')}, {base.name}, {number} rows of each task; {shown}\n")
        print("| task | rows | options | tokens equal | " + " | ".join([*METRICS, "acc_mutual_info"]), end="")
        print(" | acc, acc_norm, % | largest difference, nats |\n|---|" + "---:|" * (len(METRICS) + 6), flush=True)
        try:
            for name, comparison in COMPARISONS.items():
                rows = comparison.rows()[: number // 4 if comparison.chat else number]
                file = Path(folder, "rows.jsonl")
                file.write_text("".join(json.dumps(row) + "\n" for row in rows))
                ours, theirs = our_results(base, engine, comparison, rows), their_results(model, comparison, file)
                print(line(name, ours, theirs), flush=True)
                differing += differences(name, ours, theirs)
        finally:
            stop(current_owner().token)
    print(f"\n{len(differing)} rows differ.", *(f"\n- {each}" for each in differing[:LISTED]), sep="")


def line(name: str, ours: Sequence[Row], theirs: Sequence[Row]) -> str:
    """Return a task's line of the table."""
    pairs = list(zip(ours, theirs, strict=True))
    options = sum(len(one["tokens"]) for one in ours)
    tokens = sum(a == b for one, other in pairs for a, b in zip(one["tokens"], other["tokens"], strict=True))
    equal = [
        f"{sum(one['metrics'][metric] == other['metrics'][metric] for one, other in pairs)}/{len(pairs)}"
        if metric in theirs[0]["metrics"]
        else ""
        for metric in (*METRICS, "acc_mutual_info")
    ]
    scores = [100 * sum(each["metrics"][metric] for each in ours) / len(ours) for metric in ("acc", "acc_norm")]
    worst = max(
        abs(a - b) for one, other in pairs for a, b in zip(one["log_likelihood"], other["log_likelihood"], strict=True)
    )
    cells = [name, len(pairs), options, f"{tokens}/{options}", *equal, "{:.1f}, {:.1f}".format(*scores), f"{worst:.1e}"]
    return "| " + " | ".join(map(str, cells)) + " |"


def differences(name: str, ours: Sequence[Row], theirs: Sequence[Row]) -> list[str]:
    """Return a line for each row whose metrics or tokens differ; a metric with the gap between our two best options."""
    found = []
    for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        wrong = [
            f"{metric} (two options {one['gaps'][metric]:.1e} apart)"
            for metric, value in other["metrics"].items()
            if one["metrics"][metric] != value
        ]
        wrong += ["tokens"] * (one["tokens"] != other["tokens"])
        if wrong:
            found.append(f"{name}, row {number}: {', '.join(wrong)}")
    return found


if __name__ == "__main__":
    main()
