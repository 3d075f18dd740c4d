"""What searches by likelihood reach with few samples: `python benchmarks/few_samples.py PROJECT [--samples 20]`.

PROJECT is a folder of the micro suite with trained `resources` and `results/splits`. Each method runs through the
driver as its jobs do, with the built-in model in this process instead of a server. After each generation the
individual that the search would hand out is scored by the metric on all validation samples, which the search does not
see and the count of samples does not include. No test is read. Finished runs of GENOME+ in PROJECT are shown next to
it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import torch
import typer
import yaml

from genome.engine.messages import Request, ScoreRequest
from genome.engine.model import Model
from genome.engine.stops import ending
from genome.experts.expert import Expert
from genome.files import REMAKE, read_jsonl
from genome.genotype import expert
from genome.report.markdown import pipe_table
from genome.scoring.fitness import Evaluator
from genome.scoring.manifest import read_experts
from genome.scoring.objective import Objective
from genome.search import driver
from genome.search.measure import LIKELIHOOD, Measure
from genome.search.methods import METHODS
from genome.search.population import Fitness, Individual, Population, new_population
from genome.search.records import read_population
from genome.search.settings import InitialSettings, measure_of
from genome.tasks import expected, parse_task
from genome.tasks.prompts import prepare

CHANGES: dict[str, dict[str, Any]] = {"gauss_newton": {}, "cma_es": {"objective": LIKELIHOOD, "redraw": True}}
"""The methods that are compared, with the settings that the config changes."""


class LocalEngine:
    """The calls of an engine that scoring makes, answered by a model in this process."""

    earlier_seconds = 0.0

    def __init__(self, base: Path):
        self.model = Model(base)
        self.usage: Counter[str] = Counter()
        self._folders: dict[str, Path] = {}

    @contextmanager
    def serving(self, folders: Sequence[Path]) -> Iterator[None]:
        """Serve adapter folders by their names."""
        self._folders |= {folder.name: folder for folder in folders}
        yield

    def complete(self, requests: Sequence[Request]) -> list[list[str]]:
        """Return the greedy answers to each request's prompts."""
        texts: list[list[str]] = []
        for each in requests:
            self._use(each.model)
            stops = ending(self.model.tokenizer, list(each.stop))
            found = self.model.complete(each.prompts, each.max_tokens, stops)
            texts.append([self.model.tokenizer.decode(one.tokens, skip_special_tokens=True) for one in found])
        return texts

    def score(self, requests: Sequence[ScoreRequest]) -> list[list[list[list[float]]]]:
        """Return the log-probabilities of each request's continuations."""
        scores: list[list[list[list[float]]]] = []
        for each in requests:
            self._use(each.model)
            scores.append(self.model.continuations(each.prompts, each.continuations))
        return scores

    def _use(self, name: str) -> None:
        self.model.use(self.model.read_adapter(self._folders[name]))


class World:
    """The micro suite in the working folder: its model, its experts, and evaluators of its tasks."""

    def __init__(self, store: Path):
        self.store, self.base = store, Path("resources/models/micro")
        self.engine: Any = LocalEngine(self.base)
        self.experts: list[Expert] = read_experts("results/experts/micro.json")
        self._objectives: dict[tuple[str, str], Objective] = {}

    def evaluator(self, task: str, measure: Measure, draw: tuple[int, int]) -> Evaluator:
        """Return the fitness of a measure on the validation samples of a task."""
        objective = self._objective(task, measure.objective)
        part = objective if measure.samples is None else objective.drawn(measure.samples, *draw)
        return Evaluator([part], self.experts, self.store, lambda: self.engine, measure=measure, base=self.base)

    def _objective(self, task: str, objective: str) -> Objective:
        if (task, objective) not in self._objectives:
            read = parse_task(task, yaml.safe_load(Path(f"config/tasks/{task}.yaml").read_text()))
            rows = list(read_jsonl(f"results/splits/{task}/validation.jsonl", REMAKE, any_value=True))
            make = expected.prepare if objective == LIKELIHOOD else prepare
            self._objectives[task, objective] = Objective(read, make(read, rows, self.base), 1.0)
        return self._objectives[task, objective]


def run(world: World, task: str, name: str, samples: int, seed: int, generations: int) -> Iterator[Population]:
    """Return the populations of a run, from generation 0 on."""
    method = METHODS[name]
    settings = method.settings(samples=samples, **CHANGES[name])
    measure = measure_of(settings)
    initial = InitialSettings(
        objective=measure.objective,
        samples=samples,
        calibrated=measure.calibrated,
        merge_space=settings.merge_space,
        initialisation=settings.initialisation,
    )
    unknown = new_population([Individual("none", expert(0, len(world.experts)), "", fitness=Fitness(0, {}))])
    evaluator = world.evaluator(task, measure, (seed, 0))
    population = driver.initial_population(world.experts, unknown, initial, 10, seed, evaluator)
    yield population
    for now in range(1, generations + 1):
        evaluator = world.evaluator(task, measure, (seed, now if settings.redraw else 0))
        population = driver.next_generation(population, method, settings, seed, world.experts, evaluator)
        yield population


def main(
    project: Annotated[Path, typer.Argument(help="A folder with trained resources and splits of the micro suite.")],
    tasks: Annotated[
        str, typer.Option(help="Names of tasks, separated by commas.")
    ] = "algebra,facts,emotions,programs",
    samples: Annotated[int, typer.Option(help="Validation samples of a generation.")] = 20,
    seeds: Annotated[int, typer.Option(help="Number of seeds.")] = 3,
    generations: Annotated[int, typer.Option(help="Generations of a run.")] = 4,
) -> None:
    """Print validation metric against samples, means over seeds, for each method and task."""
    torch.set_num_threads(1)
    rows: list[list[str]] = []
    with TemporaryDirectory() as store, chdir(project):
        world = World(Path(store))
        for task in tasks.split(","):
            finished = sorted(Path().glob(f"results/runs/{task}/genome_plus/n10/seed*/generation_10/population.json"))
            reached = [100 * read_population(path).best.score for path in finished]
            for name in CHANGES:
                found = [list(run(world, task, name, samples, seed, generations)) for seed in range(1, seeds + 1)]
                judge = world.evaluator(task, Measure(), (0, 0))
                steps: list[str] = []
                for populations in zip(*found, strict=True):
                    chosen = [each.members[0] if name == "gauss_newton" else each.best for each in populations]
                    metric = fmean(judge([each])[0].value for each in chosen)
                    steps.append(f"{fmean(each.evaluations * samples for each in populations):.0f}: {100 * metric:.1f}")
                rows.append([task, name, *steps, f"{fmean(reached):.1f}" if reached else ""])
                print(*rows[-1], flush=True)
    header = ["Task", "Method", *(f"Generation {now}" for now in range(generations + 1)), "GENOME+ at its end"]
    print(pipe_table(rows, header))


if __name__ == "__main__":
    typer.run(main)
