"""How far readings agree with published verdicts: `python benchmarks/agreement.py CLONES DATA [--differ SET]`.

Responses and their verdicts come from public repositories. CLONES contains a git clone of each, of the same name
(`git clone --bare https://github.com/OWNER/NAME CLONES/NAME`); their commits are below. DATA contains the local copies
of the data sets. Each set becomes one line: rows, the share of right rows as published and as read here, and the
share of rows in which both verdicts are the same. Where lm-evaluation-harness has a task of that data set, the
agreement of its filters on the same responses follows (`pip install lm_eval[math]`; without it the column is empty).
Its stop strings are not applied, as the responses are complete. `--differ SET` prints the rows that differ.
"""

import argparse
import csv
import io
import json
import random
import subprocess
import zipfile
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from genome.files import read_jsonl
from genome.scoring.responses import find_task
from genome.tasks.prompts import facts
from genome.tasks.scoring import extract, judge

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
}
MMLU_PRO = (
    "Meta-Llama-3_1-8B-Instruct", "gemini-1.5-pro-002", "Mixtral-8x7B-Instruct-v0.1", "c4ai-command-r-v01",
    "DeepSeek-Coder-V2", "mathstral-7B",
)  # fmt: skip
HARNESS = {
    "gsm8k": ("gsm8k/gsm8k.yaml", "gsm8k/gsm8k-cot.yaml"),
    "bbh": ("bbh/cot_fewshot/navigate.yaml",),
    "mmlu_pro": ("mmlu_pro/mmlu_pro_biology.yaml",),
    "math": ("minerva_math/minerva_math_algebra.yaml",),
}
"""Tasks of lm-evaluation-harness whose filters are applied; all tasks of a group have the same ones."""


class Row(NamedTuple):
    """A response, the row of the data set, and whether its publishers counted it as right."""

    sample: dict[str, Any]
    response: str
    right: bool


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


def _equal(predicted: str, truth: str) -> bool:
    try:
        return float(predicted.replace(",", "")) == float(truth.replace(",", ""))
    except ValueError:
        return predicted == truth


def ours(task_name: str, rows: Rows) -> list[bool]:
    """Return this package's verdicts."""
    task = find_task(task_name)
    samples = [facts(task, row.sample) for row in rows]
    answers = [extract(task, sample, row.response) for sample, row in zip(samples, rows, strict=True)]
    return [score >= 0.5 for score in judge(task, samples, [answers])[0].scores]


def harness(task_name: str, rows: Rows) -> dict[str, list[bool]]:
    """Return the verdicts of lm-evaluation-harness by task and filter."""
    found: dict[str, list[bool]] = {}
    for path in HARNESS.get(task_name, ()) if find_spec("lm_eval") else ():
        import lm_eval.tasks
        from lm_eval.tasks._yaml_loader import load_yaml

        config = load_yaml(Path(lm_eval.tasks.__file__).parent / path)
        found |= (_by_process if "process_results" in config else _by_filters)(Path(path).parts[0], config, rows)
    return found


def _by_filters(name: str, config: dict[str, Any], rows: Rows) -> dict[str, list[bool]]:
    from lm_eval.api.metrics import exact_match_hf_evaluate
    from lm_eval.filters import get_filter

    metric = {key: value for key, value in config["metric_list"][0].items() if key.startswith(("ignore", "regexes"))}
    targets = [str(row.sample.get("target") or row.sample["answer"]) for row in rows]
    found = {}
    for each in config.get("filter_list") or [{"name": "none", "filter": [{"function": "take_first"}]}]:
        texts: Any = [[row.response] for row in rows]
        for step in each["filter"]:
            settings = {key: value for key, value in step.items() if key != "function"}
            texts = list(get_filter(step["function"])(**settings).apply(texts, [row.sample for row in rows]))
        found[f"{config['task'] if name == 'gsm8k' else name} {each['name']}"] = [
            bool(exact_match_hf_evaluate([text], [target], **metric)["exact_match"])
            for text, target in zip(texts, targets, strict=True)
        ]
    return found


def _by_process(name: str, config: dict[str, Any], rows: Rows) -> dict[str, list[bool]]:
    from lm_eval.tasks.minerva_math import utils

    results = []
    for row in rows:
        answer = utils.normalize_final_answer(utils.remove_boxed(utils.last_boxed_only_string(row.sample["solution"])))
        results.append(config["process_results"]({**row.sample, "answer": answer}, [row.response]))
    return {f"{name} {key}": [bool(result[key]) for result in results] for key in results[0]}


def share(verdicts: Sequence[bool]) -> str:
    """Return the share of true verdicts in percent."""
    return f"{100 * sum(verdicts) / len(verdicts):.2f}"


def same(verdicts: Sequence[bool], rows: Rows) -> str:
    """Return the share of rows with the published verdict in percent."""
    return share([verdict == row.right for verdict, row in zip(verdicts, rows, strict=True)])


def main() -> None:
    """Print the table, or the rows of one set that differ."""
    parser = argparse.ArgumentParser()
    parser.add_argument("clones", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", help="Data sets, separated by commas; default: all.")
    parser.add_argument("--differ", help="Print the rows of this set, such as `csqa: zero shot davinci002`.")
    given = parser.parse_args()
    print("| responses | n | published | here | agreement | lm-evaluation-harness: agreement by filter |")
    print("|---|---:|---:|---:|---:|---|")
    for sets in SETS:
        if given.only and sets.__name__ not in given.only.split(","):
            continue
        for name, task, rows in sets(given.clones, given.data):
            verdicts = ours(task, rows)
            if given.differ == f"{task}: {name}":
                _print_differing(task, rows, verdicts)
            theirs = "; ".join(f"{which} {same(each, rows)}" for which, each in harness(task, rows).items())
            right = share([row.right for row in rows])
            print(
                f"| {task}: {name} | {len(rows)} | {right} | {share(verdicts)} | {same(verdicts, rows)} | {theirs} |",
                flush=True,
            )


def _print_differing(task_name: str, rows: Rows, verdicts: Sequence[bool]) -> None:
    task = find_task(task_name)
    for row, verdict in zip(rows, verdicts, strict=True):
        if verdict != row.right:
            sample = facts(task, row.sample)
            read = extract(task, sample, row.response)
            print(f"published {row.right}, read {read!r}, reference {sample['reference']!r}: …{row.response[-300:]!r}")


if __name__ == "__main__":
    main()
