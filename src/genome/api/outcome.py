"""What a user's folder is to make, and what came out: scores, genotype, adapter, and what to do with them."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from genome.api.advice import BASE, EXPERT, LORA, Score, Ways, sentence
from genome.api.folder import CONFIG, CONTROLS
from genome.config.values import overlay
from genome.errors import GenomeError
from genome.experts.expert import ENDING
from genome.files import read_json
from genome.genotype import by_expert
from genome.project import project
from genome.scoring.differences import difference
from genome.scoring.intervals import of_score
from genome.scoring.results import read_scores
from genome.scoring.statistics import Answered, read_report
from genome.search.finalists import kind_of
from genome.search.population import Population
from genome.search.records import read_population
from genome.workflow import applies
from genome.workflow.budget import budget_of, is_known_before
from genome.workflow.evaluation import exported_population, test_of
from genome.workflow.names import RunName
from genome.workflow.plan import Plan
from genome.workflow.reading import read_plan
from genome.workflow.runs import experts_of, populations_of, run_of, shown_populations
from genome.yaml_files import read_yaml

MOST_GENERATIONS = 300
"""The most generations of a run (config.generations)."""

BEST = "best"
"""What is reported of a run: its best individual, which is the adapter; an ensemble would be several."""


@dataclass(frozen=True)
class Evolved:
    """The result of `genome.evolve`.

    folder: the user's folder, with everything that the run made; adapter: the PEFT folder of the result
    method: the search; genotype: how much of each expert the result has, by their names
    validation: fitness on validation samples, which chose, of `method`, the best expert (`best_single`) and, if it was
        asked, the base model (`base`)
    test: scores on test samples by the same names, and of the LoRA that was trained on the validation samples
        (`validation_lora`)
    sentence: what to use, why, and how
    """

    folder: Path
    adapter: Path
    method: str
    genotype: Mapping[str, float]
    validation: Mapping[str, float]
    test: Mapping[str, Score]
    sentence: str

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, eq=False)
class Aim:
    """What a user's folder is about: the plan of its config, of which one task, one search and one seed are run."""

    folder: Path
    plan: Plan

    @property
    def task(self) -> str:
        """The task: the first of Table 2."""
        return self.plan.first_task()

    @property
    def method(self) -> str:
        """The search whose adapter is exported: the last variant of Table 2."""
        shown = self.plan.config.table2
        if shown is None:
            raise GenomeError(f"{self.folder / CONFIG}: table2 is null; name what is compared, the search last")
        return shown.variants[-1]

    @property
    def runs(self) -> dict[str, RunName]:
        """The runs of the search and of the controls that Table 2 compares it with and that the task admits."""
        shown = self.plan.config.table2
        compared = [name for name in CONTROLS if shown and name in shown.variants]
        names = [name for name in compared if applies.reason_against(self.plan, name, self.task) is None]
        seed = self.plan.config.seeds[0]
        return {name: run_of(self.plan, name, self.task, seed) for name in (*names, self.method)}

    @property
    def run(self) -> RunName:
        """The run of the search."""
        return self.runs[self.method]

    @property
    def adapter(self) -> Path:
        """The PEFT folder of the result."""
        return self.folder / f"results/export/{self.run}"

    @property
    def targets(self) -> list[str]:
        """What has to be made, relative to the folder."""
        tests = [f"{test_of(self.task, run).folder}/scores.json" for run in self.runs.values()]
        exported_population(self.plan, self.run)  # refuses a search without an adapter
        return [*tests, f"results/export/{self.run}/README.md"]

    def standing(self) -> dict[str, float]:
        """Return what is known of the validation fitness of the search so far, the best expert and the base."""
        places = {
            self.method: [*shown_populations(self.plan, self.run)][::-1],
            EXPERT: [experts_of(self.task)],
            BASE: [f"{self.runs[BASE].folder}/population.json"] if BASE in self.runs else [],
        }
        newest = {name: next(filter(Path.is_file, map(self._file, files)), None) for name, files in places.items()}
        return {name: read_population(file).best.score for name, file in newest.items() if file}

    @cached_property
    def found(self) -> Population:
        """The population of the result."""
        return read_population(self._file(exported_population(self.plan, self.run)))

    @cached_property
    def experts(self) -> list[str]:
        """The names of the experts, in the order of genotypes."""
        return [each["name"] for each in read_json(self._file(exported_population(self.plan, self.run)))["experts"]]

    @property
    def best_expert(self) -> str:
        """The name of the expert with the highest validation fitness; "" if experts were not scored alone."""
        scored = self._file(experts_of(self.task))
        return read_population(scored).best.name if scored.is_file() else ""

    def answered(self) -> dict[str, Answered]:
        """Return the test answers of the search's best individual and of each control."""
        metric, found = self.plan.metric(self.task), dict[str, Answered]()
        for name, run in self.runs.items():
            test = self._file(test_of(self.task, run).folder)
            [row] = [row for row in read_scores(test / "scores.json") if row["report"] == BEST]
            found[name] = read_report(test / "answers.jsonl", metric, BEST, row["n"], row["score"])
        return found

    def _file(self, path: str) -> Path:
        return self.folder / path


def aim_of(folder: Path, changes: Mapping[str, Any] | None = None) -> Aim:
    """Return what a user's folder is about, with `changes` of its config; GenomeError if that is not valid."""
    config = overlay(read_yaml(project() / CONFIG), overlay(read_yaml(folder / CONFIG), changes or {}))
    return Aim(folder, read_plan(config, project(), [folder / CONFIG], check_sources=False, folder=folder))


def outcome(aim: Aim) -> Evolved:
    """Return the result of a finished run."""
    best, answered = aim.found.best, aim.answered()
    own = answered.pop(aim.method)
    scores = {name: _score(each) for name, each in {aim.method: own, **answered}.items()}
    gains = {name: difference([own], [each]) for name, each in answered.items()}
    kind = kind_of(best.genotype, aim.experts)
    samples = aim.plan.config.splits.validation
    shares = by_expert(best.genotype.coefficients, len(aim.experts))
    return Evolved(
        folder=aim.folder,
        adapter=aim.adapter,
        method=aim.method,
        genotype=dict(zip(aim.experts, shares, strict=True)),
        validation=aim.standing(),
        test=scores,
        sentence=sentence(kind, scores, scores[aim.method], gains, samples, ways(aim)),
    )


def _score(answered: Answered) -> Score:
    interval = of_score([answered]).interval
    return Score(answered.value, interval.low, interval.high, len(answered.scores))


def ways(aim: Aim) -> Ways:
    """Return how a user gets what a finished run may advise to use."""
    folder, adapter, expert = aim.folder, aim.adapter, aim.best_expert
    controls = {BASE: _way(folder, aim.plan.suite.model.given(), "")}
    if expert:
        file = folder / f"resources/experts/{expert}{ENDING}"
        controls[EXPERT] = _way(folder, aim.plan.adapters[expert], _materialise(file, folder / expert))
    if LORA in aim.runs:
        controls[LORA] = _materialise(folder / aim.runs[LORA].folder / f"expert{ENDING}", folder / LORA)
    base = folder / f"resources/models/{aim.plan.base}"
    convert = _command("gguf", adapter, folder / "adapter.gguf", "--base", base)
    return Ways(adapter, convert, expert, controls, longer(aim))


def _way(folder: Path, source: Mapping[str, Any], made: str) -> str:
    """Return where a user's source is; what is `made` here if it is none."""
    if "hub" in source:
        return f"{source['hub']} as it is"
    if "path" not in source:
        return made or f"which is in {folder}/resources/models"
    place = os.path.normpath(folder / Path(source["path"]).expanduser())
    near = Path(place).absolute().is_relative_to(Path.cwd())
    return f"{os.path.relpath(place) if near else place} as it is"


def _materialise(file: Path, out: Path) -> str:
    return f"which `{_command('materialise', file, out)}` writes"


def _command(*words: str | Path) -> str:
    return shlex.join(["genome", *map(str, words)])


def longer(aim: Aim) -> str:
    """Return the command that searches on in a user's folder; "" if it would find nothing more, or cannot continue."""
    plan, method, command = aim.plan, aim.method, _command("evolve", "--out", aim.folder)
    if not plan.evolves(method):
        return ""
    last = read_population(aim.folder / populations_of(plan, aim.run)[-1])
    variant, generations = plan.variant(method), min(2 * plan.config.generations, MOST_GENERATIONS)
    if variant.has_budget and last.ended.startswith("budget") and is_known_before(plan, method):
        budget = budget_of(plan, method)
        return f"{command} --budget '{replace(budget, amount=2 * budget.amount)}'"
    patience = variant.settings.patience
    ended = last.ended or (patience is not None and last.stalled >= patience)
    return "" if ended or generations == plan.config.generations else f"{command} --generations {generations}"
