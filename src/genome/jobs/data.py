"""Stages on the rows of tasks: splits and prompts."""

import json

from genome.files import REMAKE, read_jsonl, write_json, write_jsonl
from genome.jobs import log
from genome.rng import stream
from genome.tasks import expected, parse_task, splits
from genome.tasks.chat import parse_chat
from genome.tasks.prompts import columns_of, facts, prepare
from genome.tasks.references import read_references
from genome.tasks.sources import is_published


def split(settings: str, data_dir: str | None, validation: str, test: str, provenance: str) -> None:
    """Draw a task's validation and test rows and write their provenance."""
    resolved = json.loads(settings)
    task = parse_task(*resolved["task"])
    folder = data_dir if is_published(task.source) else None
    rows = splits.read_rows(task, folder)
    sides = splits.split(task, rows, resolved["validation"], resolved["test"], resolved["seed"])
    read_references(task, [facts(task, columns_of(row)) | {"id": row["id"]} for row in sides[0]])
    for path, side in zip((validation, test), sides, strict=True):
        write_jsonl(path, side, any_value=True)
    written = {"validation": validation, "test": test}
    drawn = splits.provenance(task, rows, *sides, written, resolved["seed"], folder)
    write_json(provenance, drawn | ({"harness": rows[0]["harness"]} if "lm_eval" in task.source else {}))
    log.info("%s: %d validation and %d test rows of %d", task.name, *map(len, sides), len(rows))


def part_of_split(settings: str, validation: str, part: str) -> None:
    """Write the first validation rows of a task, which are in random order, or those of another random order."""
    resolved, rows = json.loads(settings), list(read_jsonl(validation, REMAKE, any_value=True))
    if "draw" in resolved:
        rows = [rows[place] for place in stream(resolved["draw"], "part_of_split").permutation(len(rows))]
    write_jsonl(part, rows[: resolved["number"]], any_value=True)


def prepare_prompts(settings: str, rows: str, base: str, prompts: str) -> None:
    """Render a split's prompts through the base model's chat template and tokenise them."""
    resolved = json.loads(settings)
    task = parse_task(*resolved["task"])
    samples = prepare(task, read_jsonl(rows, REMAKE, any_value=True), base, parse_chat(resolved.get("chat")))
    write_jsonl(prompts, samples)
    log.info(
        "%s: %d prompts, the longest of %d tokens", task.name, len(samples), max(len(s["tokens"]) for s in samples)
    )
    if "date" in samples[0]:
        log.info("%s: the chat template prints the date; the date given is %s", task.name, samples[0]["date"])


def prepare_expected(settings: str, rows: str, base: str, prompts: str) -> None:
    """Render and tokenise a task's validation prompts, and the continuations by which their likelihood is scored."""
    resolved = json.loads(settings)
    name, definition = resolved["task"]
    task = parse_task(name, {**definition, "working": resolved["working"]})
    chat = parse_chat(resolved.get("chat"))
    samples = expected.prepare(task, read_jsonl(rows, REMAKE, any_value=True), base, chat)
    write_jsonl(prompts, samples)
    continuations = sum(len(each.get("continuations", ())) for each in samples)
    log.info("%s: %d prompts, %d continuations", task.name, len(samples), continuations)
