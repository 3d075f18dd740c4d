"""What trackers show of a run, and the numbers in the files of its stages."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genome.search.population import Population


@dataclass(frozen=True)
class Tracked:
    """A run as trackers know it; all files are relative to the working folder.

    name: its folder below results/runs; group: tasks and variant, which the runs of several seeds share
    parameters: what decides its result, nested as in the config
    populations: the files of its populations, from generation 0 to the last; a baseline has one, a static merge none
    records: what the jobs have recorded that answered until the last population; a first one more than there are
        populations is that of the experts, of which generation 0 is made
    finalists: the population among which validation has chosen the result, if the method has finalists
    controls: populations whose best is compared with the run's: `best_expert` and `base`
    tests: the tasks that it evolved on, whose test scores are its last results
    """

    name: str
    group: str
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    populations: Sequence[str] = ()
    records: Sequence[str] = ()
    finalists: str | None = None
    controls: Mapping[str, str] = field(default_factory=dict[str, str])
    tests: Sequence[str] = ()

    @property
    def last(self) -> int:
        """The number of the last generation."""
        return max(len(self.populations) - 1, 0)

    def result_files(self) -> list[str]:
        """Return the files with what a run has once, as far as they are there."""
        tests = sorted(map(str, Path("results/test").glob(f"*/{self.name}/scores.json")))
        return [*([self.finalists] if self.finalists and Path(self.finalists).is_file() else []), *tests]


def generation_metrics(run: Tracked, step: int) -> dict[str, float]:
    """Return the metrics of a generation: fitness in [0, 1], and what the run has cost until then.

    Fitness is compared with that of the controls as far as they have been scored by the same measure. Tokens are those
    that the engine read and wrote; they are left out if a job has not recorded its own.
    """
    from genome.search.records import read_population  # numpy

    population = read_population(run.populations[step])
    metrics = {
        "fitness/best": population.best.score,
        "fitness/mean": fmean(member.score for member in population.members),
        **_compared(run, population, "fitness"),
        "evaluations": population.evaluations,
        "samples": population.samples,
    }
    spent = [_tokens(path) for path in run.records[: step + 1 + len(run.records) - len(run.populations)]]
    if None not in spent:
        metrics["tokens"] = sum(number for number in spent if number is not None)
    return metrics


def result_metrics(run: Tracked, files: Sequence[str]) -> dict[str, float]:
    """Return the numbers that a run has once: validation fitness of its result among finalists, and test scores.

    `files` are those of `Tracked.result_files` that are to be read.
    """
    from genome.scoring.results import read_scores
    from genome.search.records import read_population

    metrics: dict[str, float] = {}
    for file in files:
        if file == run.finalists:
            finalists = read_population(file)
            metrics |= {"validation/result": finalists.best.score, **_compared(run, finalists, "validation")}
        else:
            metrics |= {f"test/{row['test_task']}/{row['report']}": row["score"] for row in read_scores(file)}
    return metrics


def _compared(run: Tracked, population: "Population", what: str) -> dict[str, float]:
    """Return the fitness of the controls, and how much higher that of a population's best is."""
    from genome.search.records import read_population

    metrics: dict[str, float] = {}
    for name, path in run.controls.items():
        if Path(path).is_file() and (control := read_population(path)).measure == population.measure:
            score = control.best.score
            metrics |= {f"{what}/{name}": score, f"{what}/over_{name}": population.best.score - score}
    return metrics


def is_finished(run: Tracked, sent: Collection[int], results: Mapping[str, float]) -> bool:
    """Tell whether nothing more is expected of a run of which these generations and results are known."""
    tested = all(any(name.startswith(f"test/{task}/") for name in results) for task in run.tests)
    return len(sent) == len(run.populations) and tested


def _tokens(path: str) -> int | None:
    """Return the tokens in a job's record; None if it is not there, or has none."""
    from genome.scoring.results import read_record

    if not Path(path).is_file():
        return None
    record = read_record(path)
    counts = [record.get("prompt_tokens"), record.get("response_tokens")]
    whole = [each for each in counts if isinstance(each, int)]
    return sum(whole) if len(whole) == len(counts) else None
