"""Scores responses from elsewhere, of one model or of an ensemble's members, as those of a run are scored."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genome.errors import GenomeError, nearest
from genome.files import encodable, read_jsonl, read_numbered, write_jsonl
from genome.project import TASKS, project
from genome.scoring.ensemble import combine
from genome.tasks import Task
from genome.tasks.file import check_task
from genome.tasks.prompts import facts
from genome.tasks.scoring import extra_results, extract, judge, standard_error
from genome.yaml_files import read_yaml

LINE = "each line has `sample` (a row of the data set) and `response` (a text) or `responses` (texts, fittest first)"


def find_task(name: str) -> Task:
    """Return the task of a file config/tasks/NAME.yaml, here or of the project, or of a YAML file given by its path."""
    known_tasks = project() / TASKS
    files = (
        [Path(name)]
        if Path(name).suffix in (".yaml", ".yml")
        else [folder / f"{name}.yaml" for folder in (Path(TASKS), known_tasks)]
    )
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        known = sorted(path.stem for path in known_tasks.glob("*.yaml"))
        raise GenomeError(f"no task {name!r} ({nearest(name, known)})")
    task = check_task(file.stem, read_yaml(file))
    if "lm_eval" in task.source:
        raise GenomeError(f"{file}: a task of lm-evaluation-harness; score responses to it with lm-eval itself")
    return task


def score_responses(
    task: Task, path: Path | str, similarity: Mapping[str, Any], details: Path | str | None = None
) -> dict[str, Any]:
    """Return the metric of the responses in a JSON Lines file, in [0, 1], with n, unparsed and standard error.

    A line holds `sample`, a row in the columns of the task's data set, and `response`, or `responses` of an
    ensemble's members, fittest first, which are combined by `genome.scoring.ensemble`. The file may also be one JSON
    array of such mappings. `details` names a file for one line per sample: the answer found, the reference, the score.
    GenomeError names the wrong line.
    """
    counted, numbered = read_numbered(path, LINE, any_value=True)
    if details is not None and Path(details).resolve() == Path(path).resolve():
        raise GenomeError(f"{details}: contains the responses; name another file for the details")
    if details is not None and Path(details).is_file() and not _are_details(details):
        raise GenomeError(f"{details}: exists and does not contain details of scores; name another file for them")
    if not numbered:
        raise GenomeError(f"{path}: no lines; {LINE}")
    places = [f"{path}, {counted} {number}" for number, _ in numbered]
    rows = [row for _, row in numbered]
    texts = [_texts(where, row) for where, row in zip(places, rows, strict=True)]
    lengths = {len(each) for each in texts}
    if len(lengths) > 1:
        raise GenomeError(
            f"{path}: lines have {' or '.join(map(str, sorted(lengths)))} responses; give each the same number"
        )
    samples = [_facts(where, task, row["sample"]) for where, row in zip(places, rows, strict=True)]
    by_model = [
        [extract(task, sample, text) for sample, text in zip(samples, model, strict=True)]
        for model in zip(*texts, strict=True)
    ]
    answers = by_model[0] if len(by_model) == 1 else combine(task, samples, by_model, similarity)
    [judged] = judge(task, samples, [answers])
    if details is not None:
        write_jsonl(
            details,
            (
                {
                    counted: number,
                    **({"id": row["sample"]["id"]} if "id" in row["sample"] else {}),
                    "answer": answer,
                    **({"answers": list(given)} if len(given) > 1 else {}),
                    "reference": sample["reference"],
                    "score": score,
                }
                for (number, row), sample, answer, given, score in zip(
                    numbered, samples, answers, zip(*by_model, strict=True), judged.scores, strict=True
                )
            ),
            any_value=True,
        )
    return {
        "task": task.name,
        "metric": task.metric,
        "score": judged.value,
        "n": judged.n,
        "unparsed": judged.unparsed,
        "standard_error": standard_error(task, samples, answers, judged),
        **extra_results(task, samples, answers),
    }


def _shown(given: Any) -> str:
    wrong = next((text for text in given if not isinstance(text, str)), given) if isinstance(given, list) else given
    return json.dumps(wrong)[:60]


def _are_details(path: Path | str) -> bool:
    """Whether a file is empty or was written by `score_responses`: no other file is overwritten."""
    try:
        rows = read_jsonl(path, any_value=True)
    except GenomeError:  # not rows: the user's own file
        return False
    return all(isinstance(row, dict) and {"line", "answer", "reference", "score"} <= row.keys() for row in rows)


def _texts(where: str, row: Any) -> Sequence[str]:
    """Return the responses of one line."""
    if not isinstance(row, Mapping) or not isinstance(row.get("sample"), Mapping):
        raise GenomeError(f"{where}: expected `sample`, a row of the data set, and `response` or `responses`")
    if ("response" in row) == ("responses" in row):
        raise GenomeError(f"{where}: expected one of `response` (a text) and `responses` (texts, fittest first)")
    given = [row["response"]] if "response" in row else row["responses"]
    if "responses" in row and isinstance(given, list):
        given = ["" if text is None else text for text in given]  # a member without an answer
    if not isinstance(given, list) or not given or not all(isinstance(text, str) for text in given):
        raise GenomeError(f"{where}: a response must be text, found {_shown(given)}")
    if not all(map(encodable, given)):
        raise GenomeError(f"{where}: a response contains half of a surrogate pair; correct the text")
    return given


def _facts(where: str, task: Task, row: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return facts(task, row)
    except GenomeError as error:
        raise GenomeError(f"{where}: {error}") from error
