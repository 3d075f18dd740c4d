"""A run's files in the working folder, and a tracker that keeps what it is sent in memory."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from builders import fake_experts, population, score_row, scored
from genome.files import write_json
from genome.search.records import write_population
from genome.tracking import Tracked

NAME = "t/genome/n2/seed1"
EXPERTS = fake_experts(2)


def path_of(step: int, name: str = NAME) -> str:
    """Return the population file of a generation, as a run has it."""
    tasks, _, rest = name.split("/", 2)
    return f"results/runs/{name}/generation_{step}/population.json" if step else initial(tasks, rest)


def initial(tasks: str, rest: str) -> str:
    return f"results/runs/{tasks}/initial-pairs/{rest}/population.json"


def run_of(last: int = 2, name: str = NAME, **changes) -> Tracked:
    """Return a run of `last` generations on the task `t`."""
    populations = [path_of(step, name) for step in range(last + 1)]
    records = [path.replace("results/", "results/benchmarks/").replace("/population", "") for path in populations]
    controls = {"best_expert": "results/runs/t/experts/population.json", "base": "results/runs/t/base/population.json"}
    parameters = {"method": "genome", "settings": {"sigma": 0.1, "ensemble": {"k": 3}}}
    return replace(Tracked(name, "t/genome", parameters, populations, records, None, controls, ["t"]), **changes)


def write_generation(path: str, *scores: float, generation: int | None = None, **changes) -> None:
    """Write a population of these scores, by default as its folder says."""
    number = generation if generation is not None else int((path.split("generation_")[1:] or ["0"])[0].split("/")[0])
    write_population(path, replace(scored(population(*scores), EXPERTS), generation=number, **changes), EXPERTS)


def write_tokens(run: Tracked, step: int, tokens: int | None) -> None:
    counts = {} if tokens is None else {"prompt_tokens": tokens - 1, "response_tokens": 1}
    write_json(run.records[step], {"machine": "m", **counts})


def write_test(name: str, score: float, task: str = "t") -> None:
    """Write the test scores of a run."""
    tasks, method, n, seed = name.split("/")
    numbers = {"population_size": int(n[1:]), "seed": int(seed[4:])}
    write_json(f"results/test/{task}/{name}/scores.json", [score_row(method, tasks, score, test_task=task, **numbers)])


@dataclass
class Memory:
    """A tracker of which nothing is known but its interface; it fails when `fails` says so."""

    streams: bool = False
    fails: str | None = None
    logged: dict[str, list[tuple[int, dict]]] = field(default_factory=dict)
    given: dict[str, dict] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    closed: list[tuple[str, bool]] = field(default_factory=list)

    def open(self, run, key):
        self._fail("open")
        if key not in self.logged:
            key = f"key{len(self.names)}"
            self.logged[key], self.given[key], self.names[key] = [], {}, run.name
        return key

    def log(self, key, step, metrics):
        self._fail(f"log {step}")
        self.logged[key].append((step, dict(metrics)))

    def results(self, key, step, metrics):
        self._fail("results")
        self.given[key].update({name: (step, value) for name, value in metrics.items()})

    def close(self, key, finished):
        self.closed.append((key, finished))

    def steps(self, key="key0"):
        return [step for step, _ in self.logged[key]]

    def _fail(self, what):
        if self.fails == what:
            raise ConnectionError(f"no answer to {what}")


def exists(path: str) -> bool:
    return Path(path).is_file()
