"""What a user's folder is to make, and what came out: scores, genotype, adapter, and what to do with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from genome.api.folder import CONFIG, CONTROLS
from genome.config.values import overlay
from genome.errors import GenomeError
from genome.experts.expert import ENDING
from genome.files import read_json
from genome.genotype import by_expert
from genome.project import project
from genome.report.card import percent
from genome.scoring.differences import Difference, difference
from genome.scoring.intervals import of_score
from genome.scoring.results import read_scores
from genome.scoring.statistics import Answered, read_report
from genome.search.finalists import Kind, kind_of
from genome.search.population import Population
from genome.search.records import read_population
from genome.workflow import applies
from genome.workflow.evaluation import exported_population, test_of
from genome.workflow.names import RunName
from genome.workflow.plan import Plan
from genome.workflow.reading import read_plan
from genome.workflow.runs import experts_of, run_of, shown_populations
from genome.yaml_files import read_yaml

BASE, EXPERT, LORA = CONTROLS

BEST = "best"
"""What is reported of a run: its best individual, which is the adapter; an ensemble would be several."""


@dataclass(frozen=True)
class Score:
    """A score on test samples, in [0, 1], with its 95 % interval over them."""

    value: float
    low: float
    high: float
    samples: int


@dataclass(frozen=True)
class Evolved:
    """The result of `genome.evolve`.

    folder: the user's folder, with everything that the run made; adapter: the PEFT folder of the result
    method: the search; genotype: how much of each expert the result has, by their names
    validation: fitness on validation samples, which chose, of `method`, the best expert (`best_single`) and, if it was
        asked, the base model (`base`)
    test: scores on test samples by the same names, and of the LoRA that was trained on the validation samples
        (`validation_lora`)
    sentence: what to use, and why
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
    def lora(self) -> Path:
        """The file of the Validation LoRA."""
        return self.folder / f"{self.runs[LORA].folder if LORA in self.runs else ''}/expert{ENDING}"

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


def aim_of(folder: Path) -> Aim:
    """Return what a user's folder is about; GenomeError if its config is not valid."""
    config = overlay(read_yaml(project() / CONFIG), read_yaml(folder / CONFIG))
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
        sentence=sentence(kind, aim.adapter, scores[aim.method], scores, gains, aim.best_expert, samples, aim.lora),
    )


def _score(answered: Answered) -> Score:
    interval = of_score([answered]).interval
    return Score(answered.value, interval.low, interval.high, len(answered.scores))


def sentence(
    kind: Kind,
    adapter: Path,
    own: Score,
    scores: Mapping[str, Score],
    gains: Mapping[str, Difference],
    expert: str,
    samples: int,
    lora: Path,
) -> str:
    """Return what to use, and why.

    kind: what validation has chosen; gains: paired differences of the adapter from the controls, by their names
    expert: the name of the best expert; samples: how many validation samples chose; lora: the Validation LoRA's file
    """
    names = {BASE: "the base model", EXPERT: f"the expert {expert}", LORA: "a LoRA trained on the same samples"}
    shown = {name: f"{names[name]} ({percent(scores[name].value)} %)" for name in gains}
    result = f"{percent(own.value)} % on {own.samples} test samples"
    written = {LORA: f", which `genome materialise {lora} FOLDER` writes"}
    worse = [name for name, gain in gains.items() if gain.holds and gain.estimate.value < 0]
    level = [name for name, gain in gains.items() if not gain.holds]
    if worse:
        best = max(worse, key=lambda name: scores[name].value)
        way = f"instead{written.get(best, '')}"
        return f"Use {shown[best]} {way}: it is significantly better than {adapter}, which has {result}."
    if kind != "search":
        simple = names[BASE if kind == "base" else EXPERT]
        return (
            f"The search found nothing better than {simple} on {samples} validation samples ({result}): use that as it "
            "is, or give experts that know other parts of the task."
        )
    if level:
        way = f"{names[level[0]]}{written.get(level[0], '')}{',' if level[0] in written else ''}"
        return (
            f"Use {way} unless you can search longer or with more samples: {adapter} has {result}, not "
            f"significantly more than {_listed([shown[name] for name in level])}."
        )
    return f"Use {adapter}: it has {result}, significantly more than {_listed([*shown.values()])}."


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
