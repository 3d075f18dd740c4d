"""Responses that others published, with their verdicts or scores, and the rows of the data sets that they answer.

They come from public repositories. CLONES contains a git clone of each, of the same name
(`git clone --bare https://github.com/OWNER/NAME CLONES/NAME`); their commits are below. DATA contains the local copies
of the data sets.
"""

import csv
import io
import json
import random
import re
import subprocess
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from genome.files import read_jsonl
from genome.scoring.responses import find_task
from genome.tasks import Task

COMMITS = {
    "abel": "3a24ef24e9ea32708fe4fa4c36bf504a74b4bdf0",  # GAIR-NLP
    "rho": "32965907a2aa71192e8b760fe6391b7c5246d4dc",  # microsoft
    "ToRA": "213c1c995038c73fab10343814df7a42f990f026",  # microsoft
    "grade-school-math": "3101c7d5072418e28b9008a6636bde82a006892c",  # openai
    "zero_shot_cot": "5ef330fcdeec0cd26aee27943504f91f8ec1c33c",  # kojima-takeshi188
    "BIG-Bench-Hard": "9ee07bd481feebf959a6b59d61ea57bdcf30964d",  # suzgunmirac
    "MMLU-Pro": "f418b116db00b065c2aea046518d8fcf74d39872",  # TIGER-AI-Lab
    "cumulative-reasoning": "26c939b54b72f9a083a7594347d665c660a3023c",  # iiis-ai
    "Emotion": "71f047b540821e914b5939bae3fc99825e76bb10",  # Huyoyo1
    "Qwen3_MBPP_eval": "54357448c100738da0ebd8e3660d5db446647a07",  # gaozhan13
    "PropertyEval": "b2be813dcff867cc350c61b8d3ea57ec088ce1ac",  # mrigankpawagi: has sanitized MBPP
    "WizardLM": "cd4b4cc022b6426aee62d51f7ae99a4a6ec9aaef",  # nlpxucan
    "firefox-translations-models": "e7957fc407441a5e3e35bbcbf9d60d9b35764618",  # mozilla
}
MMLU_PRO = (
    "Meta-Llama-3_1-8B-Instruct", "gemini-1.5-pro-002", "Mixtral-8x7B-Instruct-v0.1", "c4ai-command-r-v01",
    "DeepSeek-Coder-V2", "mathstral-7B",
)  # fmt: skip

FLORES = (
    ("deu", "de", "bergamot-base-memory"), ("rus", "ru", "microsoft"), ("fin", "fi", "google"), ("tur", "tr", "nllb"),
    ("isl", "is", "opusmt"),
)  # fmt: skip
"""Language, its code, and the system that translated into it."""


class Row(NamedTuple):
    """A response, the row of the data set, and whether its publishers counted it as right, if they say so by row."""

    sample: dict[str, Any]
    response: str
    right: bool = False


Rows = list[Row]


def published(clones: Path, repository: str, path: str) -> bytes:
    """Return a file of a clone at its commit."""
    command = ["git", "-C", str(clones / repository), "show", f"{COMMITS[repository]}:{path}"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def lines(text: bytes | str) -> list[Any]:
    """Return JSON Lines."""
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def local(data: Path, path: str) -> list[Any]:
    """Return rows of the local copy of a data set."""
    found = data / path
    return read_jsonl(found if found.is_file() else data / f"{path}.gz", any_value=True)


def gsm8k(clones: Path, data: Path) -> Iterator[tuple[str, str, Rows]]:
    """Yield sets of GSM8K; the publishers' own verdicts, or equal numbers where there are only predictions."""
    tests = local(data, "gsm8k/main/test.jsonl")
    for size in ("7b", "70b"):
        given = lines(published(clones, "abel", f"outputs/gsm8k/{size}.jsonl"))
        yield f"abel{size}", "gsm8k", [Row(tests[row["id"]], row["response"], row["result"]) for row in given]
    archive = zipfile.ZipFile(io.BytesIO(published(clones, "rho", "rho-1/outputs.zip")))
    for name, kind in (("rho-math-7b-v0.1", "cot"), ("rho-math-7b-interpreter-v0.1", "tora")):
        given = lines(archive.read(f"outputs/{name}/gsm8k/test_{kind}_-1_seed0_t0.0_s0_e-1.jsonl"))
        yield f"rho7b {kind}", "gsm8k", [Row(tests[row["idx"]], row["code"][0], row["score"][0]) for row in given]
    path = "src/outputs/llm-agents/tora-70b-v1.0/gsm8k/test_tora_-1_seed0_t0.0_s0_e1319.jsonl"
    given = lines(published(clones, "ToRA", path))
    yield (
        "tora70b",
        "gsm8k",
        [Row(tests[row["idx"]], row["code"][0], _equal(row["pred"][0], row["gt"])) for row in given],
    )
    given = lines(published(clones, "grade-school-math", "grade_school_math/data/example_model_solutions.jsonl"))
    for model in ("175b_verification", "6b_finetuning"):
        # These models write "A: 5" where others write "#### 5".
        texts = [row[model]["solution"].replace("\nA: ", "\n#### ") for row in given]
        found = [row[model]["is_correct"] for row in given]
        yield f"openai {model.replace('_', ' ')}", "gsm8k", list(map(Row, tests, texts, found))
    yield from _kojima(clones, "gsm8k", "gsm8k", tests)


def csqa(clones: Path, data: Path) -> Iterator[tuple[str, str, Rows]]:
    """Yield sets of CommonsenseQA; the published verdict takes the first letter after the answer's announcement."""
    yield from _kojima(clones, "commonsensqa", "csqa", local(data, "commonsense_qa/validation.jsonl"))


def _kojima(clones: Path, name: str, task: str, rows: Sequence[dict]) -> Iterator[tuple[str, str, Rows]]:
    for kind in ("zero_shot_cot", "zero_shot"):
        blocks = published(clones, "zero_shot_cot", f"log/{name}_{kind}.log").decode().split("st data\n")[1:]
        by_question = {" ".join(row["question"].split()): row for row in rows}
        found = []
        for block in blocks:
            question = block.split("\nQ: ", 1)[1].split("\nA: ", 1)[0].split(" Answer Choices: ")[0]
            row = by_question[" ".join(question.split())]
            response, after = block.split("\nA: ", 1)[1].split("\npred_before : ", 1)
            mode, truth = (after.rsplit(f"\n{key} : ", 1)[1].split("\n")[0] for key in ("pred_mode", "GT"))
            found.append(Row(row, response, mode == truth))
        yield f"{kind.replace('_', ' ')} davinci002", task, found


def bbh(clones: Path, data: Path) -> Iterator[tuple[str, str, Rows]]:
    """Yield both sets of BIG-Bench Hard; the published verdict is an exact match after "So the answer is"."""
    for kind in ("cot", "direct"):
        found = []
        for folder in sorted((data / "bbh").iterdir()):
            path = f"code-davinci-002-outputs/code-davinci-002-{kind}/{folder.name}_few_shot_template_0-255000.json"
            for row in json.loads(published(clones, "BIG-Bench-Hard", path))["outputs"]:
                question = row["input"].rsplit("\nQ: ", 1)[1].rsplit("\nA:", 1)[0]
                answer = row["prediction"].rpartition("the answer is ")[2].strip().removesuffix(".").strip()
                sample = {"input": question, "target": row["target"], "subtask": folder.name}
                found.append(Row(sample, row["prediction"], answer == row["target"]))
        yield f"codex {kind}", "bbh", found


def mmlu_pro(clones: Path, data: Path) -> Iterator[tuple[str, str, Rows]]:
    """Yield 1500 rows of each model on MMLU-Pro that have a prediction: the others were given a random letter."""
    tests = {row["question_id"]: row for row in local(data, "mmlu_pro/test.jsonl")}
    for model in MMLU_PRO:
        path = f"eval_results/model_outputs_{model}_5shots.zip"
        archive = zipfile.ZipFile(io.BytesIO(published(clones, "MMLU-Pro", path)))
        given = [row for row in json.loads(archive.read(archive.namelist()[0])) if isinstance(row, dict)]
        given = [row for row in given if row["question_id"] in tests and row["pred"]]
        found = []
        for row in random.Random(0).sample(given, 1500):
            test = tests[row["question_id"]]
            response = row.get("generated_text") or row.get("model_outputs") or ""
            found.append(Row(test, response, row["pred"] == test["answer"]))
        yield model, "mmlu_pro", found


def math(clones: Path, data: Path) -> Iterator[tuple[str, str, Rows]]:
    """Yield sets of 500 rows of MATH with the publishers' verdicts."""
    archive = zipfile.ZipFile(io.BytesIO(published(clones, "rho", "rho-1/outputs.zip")))
    for name, kind in (("rho-math-7b-v0.1", "cot"), ("rho-math-7b-interpreter-v0.1", "tora")):
        given = lines(archive.read(f"outputs/{name}/minerva_math/test_{kind}_-1_seed0_t0.0_s0_e-1.jsonl"))
        found = [Row(_problem(row["question"], row["solution"]), row["code"][0], row["score"][0]) for row in given]
        yield f"rho7b {kind}", "math", found
    for name in ("complex-cot", "cr-4shot"):
        found = []
        for row in lines(published(clones, "cumulative-reasoning", f"MATH/results/results-math-{name}-gpt-4.jsonl")):
            # The answer was asked for in another turn.
            response = f"{row['final_solution']}\nAnswer: {row['final_answer'].strip()}"
            sample = _problem(row["problem_content"], row["ground_truth_solution"])
            found.append(Row(sample, response, row["correctness"] == "Correct"))
        yield f"gpt4 {name}", "math", found


def _problem(problem: str, solution: str) -> dict[str, Any]:
    return {"problem": problem, "solution": solution, "level": "", "type": ""}


def meld(clones: Path, data: Path) -> Iterator[tuple[str, str, Rows]]:
    """Yield sets of MELD, whose responses are labels."""
    for name, path in {
        "gpt35": "gpt3.5/MELD_gpt3_5_results_0.csv",
        "gemma2": "Gemma2/MELD_Gemma_prediction_results_0.csv",
        "llama31": "Llama3.1/MELD_Llama_prediction_results_0.csv",
    }.items():
        text = published(clones, "Emotion", f"evaluation_results/{path}").decode("utf-8-sig")
        found = []
        for row in csv.DictReader(io.StringIO(text)):
            truth, said = row.get("true_emotion") or row["Emotion"], row["Predicted_Emotion"]
            found.append(Row({"Utterance": row["Utterance"], "Emotion": truth}, said, said == truth))
        yield name, "meld", found


def mbpp(clones: Path, data: Path) -> Iterator[tuple[str, str, Rows]]:
    """Yield three programs for each of MBPP's 500 problems, by two models."""
    tests = {row["task_id"]: row for row in local(data, "mbpp/full/test.jsonl")}
    for kind, folder in (("instruct", "instruct_non_thinking"), ("base", "base")):
        text = published(clones, "Qwen3_MBPP_eval", f"mbpp_results_{folder}/mbpp_{kind}_detailed_results.json")
        found = [
            Row(tests[row["task_id"]], f"```python\n{code}\n```", right)
            for row in json.loads(text)
            for code, right in list(zip(row["generated_codes"], row["test_results"], strict=True))[:3]
        ]
        yield f"qwen3 06b {kind}", "mbpp", found


SETS: tuple[Callable[[Path, Path], Iterator[tuple[str, str, Rows]]], ...] = (
    gsm8k,
    csqa,
    bbh,
    mmlu_pro,
    math,
    meld,
    mbpp,
)


class Scored(NamedTuple):
    """A set without a verdict for each row: its task, its rows, and its official score in percent."""

    name: str
    task: Task
    rows: Rows
    official: float


def scored(clones: Path, data: Path) -> Iterator[Scored]:
    """Yield the sets of which only a score is published."""
    path = "CR-Agent/outputs/MATH/test_tora_-1_seed0_t0.0_s0_e500_11-11_16-50_bf1c260"
    given = lines(published(clones, "cumulative-reasoning", f"{path}.jsonl"))
    mean = re.search(rb"Mean score: \[([\d.]+)\]", published(clones, "cumulative-reasoning", f"{path}_tora.metrics"))
    rows = [Row(_problem(row["question"], row["solution"]), row["code"][0]) for row in given]
    yield Scored("gpt4 tora", find_task("math"), rows, float(mean[1]) if mean else 0.0)
    yield from _wizardcoder(clones, data)
    path = "evaluation_results/gpt4o/MELD_gpt4o_results_window_3"
    table = csv.DictReader(io.StringIO(published(clones, "Emotion", f"{path}.csv").decode("utf-8-sig")))
    rows = [Row({key: row[key] for key in ("Utterance", "Emotion")}, row["Predicted_Emotion"]) for row in table]
    overall = json.loads(published(clones, "Emotion", f"{path}_metrics.json"))["overall"]
    yield Scored("gpt4o", find_task("meld"), rows, 100 * overall["f1_weighted"])
    yield from _flores(clones, data)


def _wizardcoder(clones: Path, data: Path) -> Iterator[Scored]:
    """Yield programs for the 399 problems of MBPP+, with the tests of sanitized MBPP; the readme has the score."""
    tests = {row["task_id"]: row for row in json.loads(published(clones, "PropertyEval", "sanitized-mbpp.json"))}
    archive = "WizardCoder/data/humaneval_mbpp_wizardcoder33b_v1.1_results.zip"
    results = zipfile.ZipFile(io.BytesIO(published(clones, "WizardLM", archive)))
    for end in ("", "_vllm"):
        rows = []
        for row in lines(results.read(f"T0.0_N1_MBPP_wizardcoder33b_v1.1{end}.jsonl")):
            test = tests[int(row["task_id"].removeprefix("Mbpp/"))]
            asked = {"text": test["prompt"], "code": test["code"], "test_setup_code": ""}
            sample = {**asked, "test_list": [*test["test_imports"], *test["test_list"]]}
            rows.append(Row(sample, row["all_code"].rpartition("### Response:")[2]))
        yield Scored(f"wizardcoder33b{end.replace('_', ' ')}", find_task("mbpp"), rows, 78.9)


def _flores(clones: Path, data: Path) -> Iterator[Scored]:
    """Yield translations of FLORES's devtest, whose scores are sacrebleu's with its usual tokenizer."""
    task = replace(find_task("flores37"), tokenizer="13a")
    english = local(data, "flores_101/eng/devtest.jsonl")
    for language, code, system in FLORES:
        path = f"evaluation/en-{code}/flores-test.{system}.{code}"
        texts = published(clones, "firefox-translations-models", path).decode().split("\n")
        targets = local(data, f"flores_101/{language}/devtest.jsonl")
        rows = [
            Row({**target, "english": source["sentence"], "language": language, "language_name": language}, text)
            for target, source, text in zip(targets, english, texts, strict=False)
        ]
        official = float(published(clones, "firefox-translations-models", f"{path}.bleu"))
        yield Scored(f"flores en {code} {system.replace('-', ' ')}", task, rows, official)


def _equal(predicted: str, truth: str) -> bool:
    try:
        return float(predicted.replace(",", "")) == float(truth.replace(",", ""))
    except ValueError:
        return predicted == truth
