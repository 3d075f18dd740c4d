"""Model cards of exported adapters: their experts, scores with intervals, how to load them, and their limits.

Everything in a card follows from the run's files, so that the same run gives the same bytes. A card contains no rows of
a data set.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml

from genome.experts.peft import Expert
from genome.genotype import PRODUCT, by_expert
from genome.scoring import statistics
from genome.scoring.statistics import Answered, Interval
from genome.search.population import Individual
from genome.tasks import Task

TEMPLATE = Path(__file__).with_name("card.md.jinja")


@dataclass(frozen=True)
class Report:
    """A row of a test's scores.json (`best` or `ensemble`), with the answers behind it."""

    row: Mapping[str, Any]
    answered: Answered

    def interval(self) -> Interval:
        """Return the score's 95 % interval over test samples, as tables give it for one run."""
        draws = statistics.draw_samples(self.row["test_task"], len(self.answered.samples))
        return statistics.interval([self.answered], statistics.replicates(self.answered, draws))


@dataclass(frozen=True)
class Export:
    """The contents of a card.

    label: the method's name for people
    run: {method, seed, population_size, run}; seed and population_size are None for a method without them
    settings: all settings of the run's variant
    base: {reference, hub, revision}: the argument of `from_pretrained`, and the hub's id and revision if it has them
    rank, alpha: of the exported adapter, whose rank is the sum of the experts' if their products are merged
    best: the exported individual; members: the reported ensemble, fittest first
    generations, evaluations: of the run; an evaluation scores a genotype on the validation samples
    sources: the source of each expert, from its provenance
    tasks: the tasks that the run evolved on; splits: their splits' provenance; tests: their scores
    folder: the path of the export, relative to the project
    engine: the engine that answered, on validation and on test
    """

    label: str
    run: Mapping[str, Any]
    settings: Mapping[str, Any]
    base: Mapping[str, str]
    rank: int
    alpha: float
    best: Individual
    members: Sequence[Individual]
    generations: int
    evaluations: int
    experts: Sequence[Expert]
    sources: Sequence[Mapping[str, Any]]
    tasks: Sequence[Task]
    splits: Sequence[Mapping[str, Any]]
    tests: Sequence[Sequence[Report]]
    folder: str
    engine: str = "an unknown engine"


def card(export: Export) -> str:
    """Return the model card of an export, in Markdown with the hub's front matter."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["fenced"] = fenced
    noise = export.best.genotype.noise
    shares = by_expert(export.best.genotype.coefficients, len(export.experts))
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        export=export,
        front_matter=front_matter(export),
        names=" and ".join(task.name for task in export.tasks),
        expert=export.experts[0],
        shares=list(zip(export.experts, shares, map(source, export.sources), strict=True)),
        grouped=len(export.best.genotype.coefficients) > len(export.experts),
        product=export.best.genotype.space == PRODUCT,
        deviation=math.sqrt(math.fsum(term.density * term.coefficient**2 for term in noise)),
        asked=list(zip(export.tasks, export.splits, strict=True)),
        origins=[json.dumps(dict(task.source), ensure_ascii=False, sort_keys=True) for task in export.tasks],
        rows=scores(export),
        settings=yaml.safe_dump(dict(export.settings), sort_keys=True),
        snippet=snippet(export),
        rebuilding=f"genome materialise {export.folder}/genotype.json rebuilt --member best",
    )


def front_matter(export: Export) -> str:
    """Return the hub's metadata. A base that is not on the hub is left out, since the hub refuses unknown ones."""
    fields: dict[str, Any] = {"library_name": "peft", "pipeline_tag": "text-generation"}
    if "hub" in export.base:
        fields = {"base_model": export.base["hub"], **fields}
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
    """Return Python lines that load the adapter and query it; they run unchanged in the project's folder."""
    pinned = f", revision={json.dumps(export.base['revision'])}" if "revision" in export.base else ""
    return f"""\
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = {json.dumps(export.base["reference"])}
adapter = {json.dumps(export.folder)}  # this folder
prompt = "Your question, in the form below"

tokenizer = AutoTokenizer.from_pretrained(base{pinned})
model = AutoModelForCausalLM.from_pretrained(base{pinned}, dtype="auto")
model = PeftModel.from_pretrained(model, adapter)
tokens = tokenizer.apply_chat_template(
    [{{"role": "user", "content": prompt}}], add_generation_prompt=True, return_tensors="pt", return_dict=True
)
output = model.generate(**tokens, max_new_tokens={export.tasks[0].max_tokens}, do_sample=False)
print(tokenizer.decode(output[0, tokens["input_ids"].shape[1] :], skip_special_tokens=True))"""
