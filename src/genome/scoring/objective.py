"""What a run is scored on: a task's validation samples, with a weight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from genome.rng import stream
from genome.search.population import Fitness
from genome.tasks import Task


@dataclass(frozen=True)
class Objective:
    """One task of a run: its prepared validation samples and its weight in the fitness."""

    task: Task
    samples: Sequence[dict[str, Any]]
    weight: float

    def drawn(self, number: int, seed: int, draw: int) -> "Objective":
        """Return the objective with `number` of its samples, in their order, of the `draw` that a seed has drawn."""
        size = len(self.samples)
        chosen = stream(seed, "samples", self.task.name, draw).permutation(size)[:number]
        return replace(self, samples=[self.samples[i] for i in sorted(chosen.tolist())])


def weighted(objectives: Sequence[Objective], scores: Mapping[str, float]) -> Fitness:
    """Return the fitness of these scores, one per task."""
    total = sum(x.weight for x in objectives)
    return Fitness(sum(x.weight * scores[x.task.name] for x in objectives) / total, dict(scores))
