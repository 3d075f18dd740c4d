"""Model cards of exported adapters: their experts, scores with intervals, how to load them, and their limits.

Everything in a card follows from the run's files, so that the same run gives the same bytes. A card contains no rows of
a data set.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import yaml

from genome.experts.expert import Expert
from genome.genotype import by_expert, shared_rank
from genome.scoring.intervals import Interval, of_score
from genome.scoring.statistics import Answered
from genome.search.population import Individual
from genome.tasks import Task
from genome.tasks.likelihood import BYTE, CHARACTER, LETTER, LIKELIHOOD, TOKEN

LISTED = 3
"""The most dropped tensors of an expert that a card names."""

TEMPLATE = Path(__file__).with_name("card.md.jinja")

SNIPPET = Path(__file__).with_name("card.py.jinja")


@dataclass(frozen=True)
class Report:
    """A row of a test's scores.json (`best` or `ensemble`), with the answers behind it."""

    row: Mapping[str, Any]
    answered: Answered

    def interval(self) -> Interval:
        """Return the score's 95 % interval over test samples, as tables give it for one run."""
        return of_score([self.answered]).interval


@dataclass(frozen=True)
class Losses:
    """What an exported adapter lost, as shares of the norm of its update; None for a step that was not taken.

    shared: by the joint basis of a shared space, compared with the exact sum of the experts' updates
    compressed: by a lower rank than `whole_rank`, compared with the adapter that was evaluated
    """

    shared: float | None = None
    whole_rank: int | None = None
    compressed: float | None = None


@dataclass(frozen=True)
class Export:
    """The contents of a card.

    label: the method's name for people
    run: {method, seed, population_size, run}; seed and population_size are None for a method without them
    settings: all settings of the run's variant
    base: {reference, hub, revision}: the argument of `from_pretrained`, and the hub's id and revision if it has them
    rank, alpha, targets: of the exported adapter, whose rank is the sum of the experts' if their products are merged
    losses: what was lost in the adapter's space and by compression
    best: the exported individual; members: the reported ensemble, fittest first
    generations, evaluations: of the run; an evaluation scores a genotype on the validation samples
    tasks: the tasks that the run evolved on; splits: their splits' provenance; tests: their scores
    folder: the path of the export, relative to the project
    engine: the engine that answered, on validation and on test
    handed_out: what was chosen, and what there is without a search, by validation fitness
    """

    label: str
    run: Mapping[str, Any]
    settings: Mapping[str, Any]
    base: Mapping[str, str]
    rank: int
    alpha: float
    targets: Sequence[str]
    best: Individual
    members: Sequence[Individual]
    generations: int
    evaluations: int
    experts: Sequence[Expert]
    tasks: Sequence[Task]
    splits: Sequence[Mapping[str, Any]]
    tests: Sequence[Sequence[Report]]
    folder: str
    engine: str = "an unknown engine"
    losses: Losses = Losses()
    handed_out: str | None = None


def card(export: Export) -> str:
    """Return the model card of an export, in Markdown with the hub's front matter."""
    noise = export.best.genotype.noise
    shares = by_expert(export.best.genotype.coefficients, len(export.experts))
    return (
        _environment()
        .from_string(TEMPLATE.read_text(encoding="utf-8"))
        .render(
            export=export,
            front_matter=front_matter(export),
            names=" and ".join(task.name for task in export.tasks),
            made_of=[described(*each) for each in zip(export.experts, shares, strict=True)],
            omitted=[(expert, text) for expert in export.experts if (text := omission(expert))],
            licence=common_licence(export.experts),
            grouped=len(export.best.genotype.coefficients) > len(export.experts),
            space=export.best.genotype.space,
            shared_rank=shared_rank(export.best.genotype.space),
            highest=max(expert.rank for expert in export.experts),
            deviation=math.sqrt(math.fsum(term.density * term.coefficient**2 for term in noise)),
            asked=list(zip(export.tasks, export.splits, strict=True)),
            origins=[json.dumps(dict(task.source), ensure_ascii=False, sort_keys=True) for task in export.tasks],
            rows=scores(export),
            settings=yaml.safe_dump(dict(export.settings), sort_keys=True),
            snippet=snippet(export),
            rebuilding=f"genome materialise {export.folder}/genotype.json rebuilt --member best"
            + ("" if export.losses.compressed is None else f" --rank {export.rank}"),
        )
    )


def front_matter(export: Export) -> str:
    """Return the hub's metadata. A base that is not on the hub is left out, since the hub refuses unknown ones.

    A licence is given if all experts state the same one.
    """
    fields: dict[str, Any] = {"library_name": "peft", "pipeline_tag": "text-generation"}
    if "hub" in export.base:
        fields = {"base_model": export.base["hub"], **fields}
    licence = common_licence(export.experts)
    if licence is not None:
        fields["license"] = licence
    fields["tags"] = ["genome", "lora", "merge"]
    text = yaml.safe_dump(fields, sort_keys=False)
    return text if "hub" in export.base else f"# base_model: {export.base['reference']} is not on the hub\n{text}"


def scores(export: Export) -> list[dict[str, str]]:
    """Return the lines of a card's table of scores, in percent, ready to be printed."""
    lines = []
    for task, split, tests in zip(export.tasks, export.splits, export.tests, strict=True):
        validation = {"interval": "", "samples": split["validation"], "unparsed": ""}
        lines.append(
            {"what": f"{task.name}: this adapter on validation, which chose it", "metric": task.metric, **validation}
            | {"score": percent(export.best.required_fitness.scores[task.name])}
        )
        for test in tests:
            found = test.interval()
            ensemble = test.row["report"] == "ensemble"
            lines.append(
                {
                    "what": f"{task.name}: "
                    + (f"the ensemble of {len(export.members)}" if ensemble else "**this adapter**")
                    + " on test",
                    "metric": task.metric,
                    "score": percent(test.row["score"]),
                    "interval": f"{percent(found.low)} to {percent(found.high)}",
                    "samples": test.row["n"],
                    "unparsed": test.row["unparsed"],
                }
            )
    return lines


def percent(value: float) -> str:
    """Return a score in [0, 1] in percent with one decimal."""
    return f"{100 * value:.1f}"


def described(expert: Expert, coefficient: float) -> dict[str, Any]:
    """Return an expert's line in the table of what an adapter was made of."""
    layers = expert.provenance.get("layers", {}).values()
    total = math.fsum(layer["norm"] ** 2 for layer in layers)
    kept = math.fsum((layer["kept"] * layer["norm"]) ** 2 for layer in layers)
    exact = all(layer["kept"] == 1 for layer in layers)
    return {
        "expert": expert,
        "coefficient": coefficient,
        "kind": expert.provenance["kind"] + ("" if exact else f", {percent(math.sqrt(kept / total))} % kept"),
        "source": source(expert.provenance),
        "licence": expert.provenance.get("licence") or "not stated",
    }


def omission(expert: Expert) -> str:
    """Return what of a fine-tune is not in its expert, with its share of the norm of the whole change if known.

    Empty if nothing was dropped.
    """
    tensors, share = (expert.provenance.get("dropped", {}).get(key, ()) for key in ("tensors", "share"))
    if not tensors:
        return ""
    named = ", ".join(f"`{tensor}`" for tensor in tensors[:LISTED])
    more = f" and {len(tensors) - LISTED} more" if len(tensors) > LISTED else ""
    part = "an unknown share" if share is None else f"{percent(share)} %"
    return f"{named}{more}: {part} of the norm of its change"


def common_licence(experts: Sequence[Expert]) -> str | None:
    """Return the licence that all experts state, None if one states none or another."""
    licences = {expert.provenance.get("licence") for expert in experts}
    return licences.pop() if len(licences) == 1 else None


def source(provenance: Mapping[str, Any]) -> str:
    """Return an expert's source for people: a hub id with its commit, a folder, or how it was trained."""
    origin = provenance["source"]
    if isinstance(origin, str):
        return origin
    if "hub" in origin:
        return "/".join(filter(None, (origin["hub"], origin.get("subfolder")))) + f" at {provenance['revision']}"
    return origin.get("path") or json.dumps(origin, sort_keys=True)


def fenced(text: str, language: str = "") -> str:
    """Return `text` as a code block, whatever backticks it contains."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text.strip()}\n{fence}"


def snippet(export: Export) -> str:
    """Return Python lines that load the adapter and query it; they run unchanged in the project's folder.

    They query it as the first task does: its prompt, and a generated text or the likelihoods of options.
    """
    task = export.tasks[0]
    chat = {"template_arguments": {}, **(task.chat if isinstance(task.chat, Mapping) else {})}
    prefix = chat.get("assistant_prefix", "")
    text = _environment().from_string(SNIPPET.read_text(encoding="utf-8"))
    return text.render(
        export=export,
        task=task,
        chat=chat,
        rendered=bool({*(task.chat or ())} - {"stop"}),
        compared=task.answer_by == LIKELIHOOD,
        options=_example_options(task),
        score=_score(task),
        # As `genome.tasks.continuations`: an option that follows a text is a separate word.
        spaced=not prefix[-1:].isspace() if prefix else chat.get("plain", False),
    ).rstrip("\n")


def _example_options(task: Task) -> list[str]:
    """Return options for a snippet: the task's labels, or examples of a row's options."""
    if task.likelihood_of == LETTER:
        return list(task.labels or "AB")
    return list(task.labels.values()) or ["one option", "another option"]


def _score(task: Task) -> str:
    """Return how a snippet scores an option by the log-probabilities `found` of its tokens."""
    length = {TOKEN: " / len(found)", CHARACTER: " / len(option)", BYTE: " / len(option.encode())"}
    divisor = length.get(task.likelihood_per, "")
    if task.neutral_prompt is None:
        return f"found.sum(){divisor}"
    return f"(found.sum() - log_probabilities({json.dumps(task.neutral_prompt)}, option).sum()){divisor}"


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    plain = partial(json.dumps, ensure_ascii=False)
    environment.filters |= {"fenced": fenced, "percent": percent, "yaml": as_yaml, "python": repr, "json": plain}
    return environment


def as_yaml(value: Mapping[str, Any]) -> str:
    """Return a mapping in YAML, in the order of its keys' names."""
    return yaml.safe_dump(dict(value), sort_keys=True, allow_unicode=True)
