"""What the runs of `large.py` must give: each stage called in this process, without Snakemake, requests or kills.

    python benchmarks/large_expected.py PROJECT OUT

Stages and their settings are the workflow's; the engine is a function, `stand_in_vllm.answer`. Its fingerprint, which
populations contain, is read from PROJECT, where the workflow has finished.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from stand_in_vllm import answer

from genome.engine.messages import Request
from genome.engine.usage import USAGE
from genome.jobs.evolution import generation, initial_population, score_experts
from genome.jobs.site import Outputs, Site
from genome.progress import Progress
from genome.workflow import runs
from genome.workflow.names import RunName
from genome.workflow.plan import Plan
from genome.workflow.reading import read_plan
from genome.workflow.rules import Inputs, Settings
from genome.yaml_files import read_yaml


class Answers:
    """The calls of an engine that these stages make."""

    machine = ""
    earlier_seconds = 0.0

    def __init__(self, fingerprint: dict[str, Any]):
        self.fingerprint = fingerprint
        self.usage: Counter[str] = Counter(dict.fromkeys(USAGE, 0))
        self.progress = Progress("samples")

    def serving(self, folders: Sequence[Path]) -> AbstractContextManager[None]:
        """Serve adapters by the names of their folders."""
        return nullcontext()

    def complete(self, requests: Sequence[Request]) -> list[list[str]]:
        """Return the answers to each request's prompts."""
        return [[answer(request.model, list(prompt)) for prompt in request.prompts] for request in requests]


@dataclass(frozen=True)
class Here(Site):
    """A site whose engine is in this process."""

    fingerprint: dict[str, Any] | None = None

    def connect(self, *arguments: Any, **options: Any) -> Any:
        """Return the engine."""
        return Answers(self.fingerprint or {})


def outputs(folder: str) -> Outputs:
    """Return the files of a stage, in folders that are made."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    record = f"{folder.replace('results', 'results/benchmarks', 1)}.json"
    Path(record).parent.mkdir(parents=True, exist_ok=True)
    return Outputs(f"{folder}/population.json", f"{folder}/evaluations.jsonl", record)


def make(plan: Plan, tasks: Sequence[str], variants: Sequence[str], sizes: Sequence[int], fingerprint: dict) -> None:
    """Make all runs of a plan's seeds in the working folder."""
    inputs, settings = Inputs(plan), Settings(plan)

    def site(wildcards: SimpleNamespace) -> Site:
        return Here(
            f"resources/models/{plan.base}", inputs.manifest(wildcards), plan.of_scripts["engine"], (), fingerprint
        )

    for task in tasks:
        named = SimpleNamespace(tasks=task)
        experts = outputs(f"results/runs/{task}/experts")
        score_experts(site(named), settings.fitness(named), inputs.prompts(named), "warn", experts)
    for task, variant, n, seed in product(tasks, variants, sizes, plan.config.seeds):
        run = RunName((task,), variant, n, seed)
        begun = SimpleNamespace(tasks=task, scheme=runs.scheme_of(plan, variant), n=str(n), seed=str(seed))
        zero = f"results/runs/{runs.initial_of(plan, run)}"
        if not Path(zero).exists():  # variants share it
            initial_population(
                site(begun),
                settings.initial(begun),
                inputs.initial_prompts(begun),
                inputs.initial_experts(begun),
                n,
                seed,
                outputs(zero),
            )
        for number in plan.generations:
            named = SimpleNamespace(tasks=task, variant=variant, n=str(n), seed=str(seed), generation=str(number))
            folder = f"{run.folder}/generation_{number}"
            generation(
                site(named),
                settings.generation(named),
                inputs.searched_prompts(named),
                inputs.previous(named),
                [],
                seed,
                keep_adapters=False,
                adapters=f"{folder}/adapters",
                out=outputs(folder),
            )


def main(project: Path, out: Path) -> None:
    """Make the runs of a finished project again in another folder, which has its inputs."""
    (out / "results").mkdir(parents=True)
    for part in ("resources", "results/experts", "results/prompts"):
        (out / part).symlink_to(project / part)
    os.chdir(out)
    changes = read_yaml(project / "small.yaml")
    plan = read_plan(
        {**read_yaml(project / "config.yaml"), **changes}, project, [], check_sources=False, folder=project
    )
    shown = changes["figure2"]
    scored = json.loads((project / f"results/runs/{shown['tasks'][0]}/experts/population.json").read_text())
    make(plan, shown["tasks"], shown["variants"], shown["sizes"], scored["engine"])


if __name__ == "__main__":
    main(*(Path(argument).resolve() for argument in sys.argv[1:3]))
