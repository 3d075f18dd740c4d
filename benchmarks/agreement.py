"""How far readings agree with published verdicts: `python benchmarks/agreement.py CLONES DATA [--differ SET]`.

`published.py` describes CLONES and DATA. Each set becomes one line: rows, the share of right rows as published and as
read here, and the share of rows in which both verdicts are the same. Where lm-evaluation-harness has a task of that
data set, the agreement of its filters on the same responses follows (`pip install lm_eval[math]`; without it the column
is empty). Its stop strings are not applied, as the responses are complete. A second table has the sets of which only a
score is published. `--differ SET` prints the rows that differ.
"""

import argparse
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

from published import SETS, Rows, scored

from genome.scoring.responses import find_task
from genome.tasks import Task
from genome.tasks.prompts import facts
from genome.tasks.scoring import Scores, extract, judge

HARNESS = {
    "gsm8k": ("gsm8k/gsm8k.yaml", "gsm8k/gsm8k-cot.yaml"),
    "bbh": ("bbh/cot_fewshot/navigate.yaml", "bbh/fewshot/navigate.yaml"),
    "mmlu_pro": ("mmlu_pro/mmlu_pro_biology.yaml",),
    "math": ("minerva_math/minerva_math_algebra.yaml", "hendrycks_math/hendrycks_math_algebra.yaml"),
    "mbpp": ("mbpp/mbpp_instruct.yaml",),
}
"""Tasks of lm-evaluation-harness whose filters are applied; all tasks of a group have the same ones."""


def ours(task: Task, rows: Rows) -> Scores:
    """Return this package's scores."""
    samples = [facts(task, row.sample) for row in rows]
    answers = [extract(task, sample, row.response) for sample, row in zip(samples, rows, strict=True)]
    return judge(task, samples, [answers])[0]


def harness(task: Task, rows: Rows) -> dict[str, list[bool]]:
    """Return the verdicts of lm-evaluation-harness by task and filter."""
    found: dict[str, list[bool]] = {}
    for path in HARNESS.get(task.name, ()) if find_spec("lm_eval") else ():
        import lm_eval.tasks
        from lm_eval.tasks._yaml_loader import load_yaml

        if task.name == "mbpp":
            found |= {f"{Path(path).stem} extract_code": _by_programs(task, rows)}
            continue
        config = load_yaml(Path(lm_eval.tasks.__file__).parent / path)
        name = config["task"] if task.name == "gsm8k" else "_".join(Path(path).parts[:-1])
        found |= (_by_process if "process_results" in config else _by_filters)(name, config, rows)
    return found


def _by_programs(task: Task, rows: Rows) -> list[bool]:
    """Return whether the programs that the harness's filter finds pass their tests, in this package's sandbox."""
    with mock.patch("evaluate.load"):  # it downloads a script that runs programs without a sandbox
        from lm_eval.tasks.mbpp.utils import build_predictions
    # Its prompt ends with the opening fence.
    said = [[row.response.partition("```python")[2]] for row in rows]
    samples = [facts(task, row.sample) for row in rows]
    programs = [program or None for [program] in build_predictions(said, [])]
    return [score >= 0.5 for score in judge(task, samples, [programs])[0].scores]


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
        found[f"{name} {each['name']}"] = [
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
    """Print both tables, or the rows of one set that differ."""
    parser = argparse.ArgumentParser()
    parser.add_argument("clones", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument(
        "--only", help="Data sets, separated by commas, or `scored` for the second table; default: all."
    )
    parser.add_argument("--differ", help="Print the rows of this set, such as `csqa: zero shot davinci002`.")
    given = parser.parse_args()
    only = given.only.split(",") if given.only else [*(sets.__name__ for sets in SETS), "scored"]
    print("| responses | n | published | here | agreement | lm-evaluation-harness: agreement by filter |")
    print("|---|---:|---:|---:|---:|---|")
    for sets in (each for each in SETS if each.__name__ in only):
        for name, task_name, rows in sets(given.clones, given.data):
            task = find_task(task_name)
            verdicts = [score >= 0.5 for score in ours(task, rows).scores]
            if given.differ == f"{task.name}: {name}":
                _print_differing(task, rows, verdicts)
            theirs = "; ".join(f"{which} {same(each, rows)}" for which, each in harness(task, rows).items())
            shares = share([row.right for row in rows]), share(verdicts), same(verdicts, rows)
            print(f"| {task.name}: {name} | {len(rows)} | {' | '.join(shares)} | {theirs} |", flush=True)
    if "scored" in only:
        _print_scored(given.clones, given.data)


def _print_scored(clones: Path, data: Path) -> None:
    print("\n| responses | n | official | `genome score` | lm-evaluation-harness: score by filter |")
    print("|---|---:|---:|---:|---|")
    for name, task, rows, official in scored(clones, data):
        theirs = "; ".join(f"{which} {share(each)}" for which, each in harness(task, rows).items())
        here = 100 * ours(task, rows).value
        print(f"| {task.name}: {name} | {len(rows)} | {official:.2f} | {here:.2f} | {theirs} |", flush=True)


def _print_differing(task: Task, rows: Rows, verdicts: Sequence[bool]) -> None:
    for row, verdict in zip(rows, verdicts, strict=True):
        if verdict != row.right:
            sample = facts(task, row.sample)
            read = extract(task, sample, row.response)
            print(f"published {row.right}, read {read!r}, reference {sample['reference']!r}: …{row.response[-300:]!r}")


if __name__ == "__main__":
    main()
