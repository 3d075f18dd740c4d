"""The documents of a task of EleutherAI's lm-evaluation-harness as rows, with its own prompts and targets.

The harness is an optional dependency (`genome[lm-eval]`). It is asked once, when rows are read: every row then has all
that prompts, answers and scores need, and only generated responses are scored by the harness again
(`genome.tasks.harness_answers`). The documents are those that the harness evaluates: its test split, or else its
validation split. Few-shot examples are drawn as it draws them, in the order of the documents, with its default seed.

A row has these columns:

- `question`: the prompt without examples, by which repeated documents are found
- `reference`: the right answer: the letter of an option, or a text
- `options`: {letter: text}, if options are compared
- `plain`, `chat`: the prompts without and with a chat template, as `contexts`: one text or list of messages, or one per
  option if the options are in the prompt; and the `continuations`, one per option
- `doc`, `max_tokens`, `until`: the document, the most tokens of a response and where it ends, if it is generated
- `harness`: the version, number of examples and file of the task, and whether documents have several targets
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from genome.errors import GenomeError, one_line
from genome.tasks.chat import STOPS
from genome.tasks.options import LETTERS
from genome.tasks.task import HARNESS, Task

Row = dict[str, Any]

SEED = 1234
"""The harness's default seed of few-shot examples."""

LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""What the harness calls the length of a response, the first of which counts."""

LENGTH = 256
"""The length of a response if a task gives none, in tokens."""

UNUSED = ("do_sample", "temperature", "top_p", "top_k")
"""Settings of sampling, which greedy decoding does not use."""

OTHER = "choose another task, or write a separate one with its prompt (docs/tasks.md)"


def read_rows(task: Task) -> list[Row]:
    """Return the documents of a harness's task as rows.

    GenomeError: no harness, no such task, a task of an unsupported form, or documents that cannot be loaded.
    """
    name = task.source["lm_eval"]
    with asking(f"task {task.name}: lm_eval {name}"):
        found, file = _load(task, name)
        shots = task.source.get("shots", found.config.num_fewshot or 0)
        if reason := _refusal(task, found, shots):
            raise GenomeError(f"task {task.name}: lm_eval {name}: {reason}")
        found.set_fewshot_seed(SEED)
        origin = {
            "version": version("lm_eval"),
            "file": file,
            "shots": shots,
            "several_targets": bool(found.multiple_target),
        }
        return [
            {**_row(task, found, doc, shots, f"document {number}"), "harness": origin}
            for number, doc in enumerate(found.eval_docs, start=1)
        ]


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn whatever the harness, or a task's own code, raises in the block into a GenomeError about `what`."""
    if find_spec("lm_eval") is None:
        raise GenomeError(f"{what}: lm-evaluation-harness is not installed; run pip install 'genome[lm-eval]'")
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    try:
        yield
    except GenomeError:
        raise
    except Exception as error:
        raise GenomeError(
            f"{what}: the harness fails ({type(error).__name__}: {one_line(error)}); try the task with lm-eval itself, "
            "or choose another"
        ) from error


def own_folder(source: Mapping[str, Any]) -> Path | None:
    """Return the folder of the user's own tasks of the harness."""
    given = source.get("include_path")
    return None if given is None else Path(given).expanduser().resolve()


def own_files(task: Task) -> list[Path]:
    """Return the files in the folder of the user's own tasks, also their rows; GenomeError if there is no folder."""
    own = own_folder(task.source)
    if own is None:
        return []
    if not own.is_dir():
        raise GenomeError(f"task {task.name}: include_path: no folder {own}; correct it")
    return sorted(file for file in own.rglob("*") if file.is_file() and "__pycache__" not in file.parts)


def harness_module(name: str) -> Any:
    """Return a module of the harness, which is imported where it is needed only."""
    return import_module(f"lm_eval.{name}")


def harness_folder() -> Path:
    """Return the folder of the harness's tasks."""
    return Path(harness_module("tasks").__file__).parent


def _load(task: Task, name: str) -> tuple[Any, str]:
    """Return a task of the harness, and its file relative to the folder that holds it."""
    import datasets

    datasets.disable_progress_bars()
    manager, folder = _manager(task, name)
    entry = manager.task_index.get(name)
    if entry is None:
        near = get_close_matches(name, manager.all_tasks, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "`lm-eval ls tasks` lists them"
        raise GenomeError(f"task {task.name}: lm-evaluation-harness has no task {name!r}; {hint}")
    if entry.kind.name in ("GROUP", "TAG"):
        members = sorted(entry.tags) if entry.kind.name == "TAG" else entry.cfg["task"]
        shown = ", ".join(str(each if isinstance(each, str) else each.get("task")) for each in members[:3])
        raise GenomeError(f"task {task.name}: lm_eval {name} is a group of tasks ({shown}, …); name one of them")
    if entry.kind.name != "TASK":
        raise GenomeError(f"task {task.name}: lm_eval {name} is written in Python, which is not supported; {OTHER}")
    return manager.load(name)["tasks"][name], entry.yaml_path.relative_to(folder).as_posix()


def _manager(task: Task, name: str) -> tuple[Any, Path]:
    """Return the harness's index with a task, and the folder of its file: the user's, or the harness's own.

    To index all of the harness's 14,000 tasks takes many seconds, so only the folders of files that name the task are.
    """
    new_manager = harness_module("tasks").TaskManager
    own, ours = own_folder(task.source), harness_folder()
    if own is not None:
        own_files(task)
        manager = new_manager(include_path=own, include_defaults=False)
        if name in manager.task_index:
            return manager, own
    named = re.compile(rf"^task:\s*([\"']?){re.escape(name)}\1\s*(#.*)?$", re.MULTILINE)
    texts = ((file, file.read_text(encoding="utf-8", errors="replace")) for file in sorted(ours.rglob("*.yaml")))
    folders = list(dict.fromkeys(file.parent for file, text in texts if named.search(text)))
    if not folders:
        return new_manager(), ours
    return new_manager(include_path=folders, include_defaults=False), ours


def _refusal(task: Task, found: Any, shots: int) -> str | None:
    """Return why a task of the harness is not supported, and what to do; None if it is."""
    config, output = found.config, found.OUTPUT_TYPE
    if output not in ("multiple_choice", "generate_until"):
        return f"its output_type {output} is not supported, only multiple_choice and generate_until are; {OTHER}"
    if getattr(found, "MULTIMODAL", False):
        return f"its documents have pictures or sound, which are not supported; {OTHER}"
    if config.unsafe_code:
        return "it runs generated code without a sandbox, which is not supported; use a task of the kind program"
    if config.repeats > 1:
        return f"it asks {config.repeats} times for each document (repeats), which is not supported; {OTHER}"
    scored = config.test_split or config.validation_split
    if shots and _examples_split(found) == scored:
        return (
            f"its few-shot examples are documents of {scored!r}, which are scored; set shots: 0, or give the task a "
            "fewshot_split"
        )
    if output == "multiple_choice":
        return _refusal_of_choice(task, found)
    return _refusal_of_generation(task, found)


def _examples_split(found: Any) -> str | None:
    """Return the split of the few-shot examples, as the harness chooses it; None if they are listed in the task."""
    if found.fewshot_cfg.split is not None:
        return found.fewshot_cfg.split
    if found.fewshot_cfg.samples is not None:
        return None
    return found.config.training_split or found.config.validation_split or found.config.test_split


def _refusal_of_choice(task: Task, found: Any) -> str | None:
    if task.kind == HARNESS:
        return (
            "its options are compared by likelihood; set metric to acc, acc_norm, acc_bytes or acc_mutual_info, and "
            "remove filter"
        )
    if found.config.process_results is not None:
        return f"it scores the likelihoods of options by its own process_results, which is not supported; {OTHER}"
    if found.multiple_target:
        return f"several of its options are right, which is not supported; {OTHER}"
    if found.multiple_input and task.neutral_prompt is not None:
        return "its options are in the prompt, so acc_mutual_info is not supported; use acc"
    return None


def _refusal_of_generation(task: Task, found: Any) -> str | None:
    known, mean = found.aggregation(), harness_module("api.registry").get_aggregation("mean")
    metrics, filters = ", ".join(known), [each.name for each in found._filters]
    if task.kind != HARNESS:
        named = f" and filter to one of {', '.join(filters)}" if len(filters) > 1 or "acc" in known else ""
        return f"its responses are generated; set metric to one of {metrics}{named}"
    metric, chosen = task.source["metric"], task.source.get("filter")
    if metric not in known:
        return f"it has no metric {metric!r}; set metric to one of {metrics}"
    if known[metric] is not mean:
        return f"its metric {metric} is not a mean over documents, which is not supported; choose another of {metrics}"
    if not found.higher_is_better().get(metric, True):
        return f"its metric {metric} is better if it is lower, which is not supported; choose another of {metrics}"
    if chosen not in filters and (chosen is not None or len(filters) > 1):
        has = f"no filter {chosen!r}" if chosen else "several filters"
        return f"it has {has}; set filter to one of {', '.join(filters)}"
    given = found.config.generation_kwargs or {}
    if given.get("do_sample") or float(given.get("temperature") or 0) > 0:
        return f"it samples responses (generation_kwargs), which is not supported, since decoding is greedy; {OTHER}"
    if len(given.get("until") or []) > STOPS and not isinstance(given["until"], str):
        return f"it has {len(given['until'])} texts at which a response ends (until), more than {STOPS}; {OTHER}"
    unknown = sorted({*given} - {"until", *LENGTHS, *UNUSED})
    if unknown:
        return f"its generation_kwargs has {unknown[0]!r}, which is not supported; {OTHER}"
    return None


def _row(task: Task, found: Any, doc: Mapping[str, Any], shots: int, where: str) -> Row:
    """Return a document as a row."""
    drawn = found.sampler.rnd.getstate() if shots else None
    forms = {}
    for form, settings in {"plain": {}, "chat": {"apply_chat_template": True, "chat_template": _messages}}.items():
        if drawn is not None:
            found.sampler.rnd.setstate(drawn)  # the same examples for both
        multiturn = {"fewshot_as_multiturn": True} if settings else {}
        context = found.fewshot_context(
            doc, num_fewshot=shots, gen_prefix=found.doc_to_prefix(doc), **settings, **multiturn
        )
        forms[form] = _form(found, doc, context, settings)
    zero = found.fewshot_context(doc, num_fewshot=0, gen_prefix=found.doc_to_prefix(doc))
    question = "\n".join([zero] if isinstance(zero, str) else zero)
    if task.kind == HARNESS:
        return {"question": question, **_generated(found, doc, where, task.name), **forms}
    choices = list(map(str, found.doc_to_choice(doc)))
    letters = LETTERS if len(choices) <= len(LETTERS) else [str(number) for number in range(1, len(choices) + 1)]
    gold = found.doc_to_text(doc) if found.multiple_input else found.doc_to_target(doc)
    gold = choices.index(gold) if isinstance(gold, str) and gold in choices else gold
    if not isinstance(gold, int) or not 0 <= gold < len(choices):
        raise GenomeError(
            f"task {task.name}, {where}: the right answer {one_line(repr(gold))} is none of its {len(choices)} "
            "options; leave such documents out by the harness's process_docs"
        )
    return {
        "question": question if question.strip() else "\n".join(choices),
        "options": dict(zip(letters, choices, strict=False)),
        "reference": letters[gold],
        **forms,
    }


def _messages(messages: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
    """Return the messages that the harness gives to a chat template, in the place of what that would make of them."""
    return json.dumps(messages)


def _form(found: Any, doc: Mapping[str, Any], context: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contexts of a document, one for all options or one for each, and the continuations."""
    requests = found.construct_requests(doc=doc, ctx=context, metadata=(found.config.task, 0, 1), **settings)
    pairs = [each.args for each in (requests if isinstance(requests, list) else [requests])]
    contexts = [context] if isinstance(context, str) else context
    read = json.loads if settings else str
    number = len(found.doc_to_choice(doc)) if isinstance(requests, list) else 0  # without those of acc_mutual_info
    return {"contexts": list(map(read, contexts)), "continuations": [pair[1] for pair in pairs[:number]]}


def _generated(found: Any, doc: Mapping[str, Any], where: str, task: str) -> Row:
    """Return what a generated response to a document needs."""
    given, target = found.config.generation_kwargs or {}, found.doc_to_target(doc)
    if found.config.doc_to_choice is not None and isinstance(target, int):
        target = found.doc_to_choice(doc)[target]
    target = target[0] if isinstance(target, list) and target else target
    until = given.get("until") or []
    try:
        document = json.loads(json.dumps(doc))
    except TypeError as error:
        raise GenomeError(
            f"task {task}, {where}: a value has no JSON form ({one_line(error)}), which is not supported; {OTHER}"
        ) from error
    return {
        "reference": str(target),
        "doc": document,
        "max_tokens": int(next((given[key] for key in LENGTHS if given.get(key) is not None), LENGTH)),
        "until": [each for each in ([until] if isinstance(until, str) else until) if each],
    }
