"""What responses are worth by a measure: the answers in them, and their scores; every response is kept."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from genome.scoring.calibration import Calibration
from genome.scoring.likelihood import calibrated_response, judge_likelihoods
from genome.scoring.objective import Objective
from genome.search.measure import LIKELIHOOD, Measure
from genome.tasks import Task
from genome.tasks.scoring import Scores, extract, judge


@dataclass
class Judge:
    """Judges responses by a measure.

    records: a row per individual and sample, with the response, its answer and its score
    calibrations: what was fitted to the answers by likelihood of each individual, by task, if the metric is calibrated
    """

    measure: Measure
    records: list[dict[str, Any]] = field(default_factory=list)
    calibrations: dict[str, dict[str, Calibration]] = field(default_factory=dict)

    @property
    def by_likelihood(self) -> bool:
        """Whether the likelihood of the right answers counts, not the metric."""
        return self.measure.objective == LIKELIHOOD

    def __call__(self, names: Sequence[str], objective: Objective, by_model: Sequence[Sequence[str]]) -> list[Scores]:
        """Return the scores of each individual's responses to an objective's samples, and keep the responses."""
        task, samples = objective.task, objective.samples
        if self.measure.calibrated and not self.by_likelihood and task.answer_by == LIKELIHOOD:
            by_model = [self._calibrated(*each, task, samples) for each in zip(names, by_model, strict=True)]
        scores: list[Scores] = []
        for name, responses, (answers, judged, shown) in zip(
            names, by_model, self._judged(task, samples, by_model), strict=True
        ):
            scores.append(judged)
            self.records += [
                {"individual": name, "task": task.name, "sample": s["id"], "response": r, "answer": a, "score": v}
                for s, r, a, v in zip(samples, responses, answers, shown, strict=True)
            ]
        return scores

    def _judged(
        self, task: Task, samples: Sequence[dict[str, Any]], by_model: Sequence[Sequence[str]]
    ) -> list[tuple[Sequence[str | None], Scores, Sequence[float]]]:
        """Return each model's answers, their scores, and the score of each sample in [0, 1], which are the same.

        Scores by likelihood are log-probabilities, whose exponentials are in [0, 1].
        """
        if not self.by_likelihood:
            answers = [[extract(task, s, r) for s, r in zip(samples, texts, strict=True)] for texts in by_model]
            judged = judge(task, samples, answers)
            return [(each, scores, scores.scores) for each, scores in zip(answers, judged, strict=True)]
        found = [judge_likelihoods(task, samples, texts, calibrated=self.measure.calibrated) for texts in by_model]
        return [
            (
                each.answers,
                Scores(math.exp(fmean(each.log_p)), each.log_p, 0, each.losses),
                [math.exp(v) for v in each.log_p],
            )
            for each in found
        ]

    def _calibrated(
        self, name: str, responses: Sequence[str], task: Task, samples: Sequence[dict[str, Any]]
    ) -> list[str]:
        """Return an individual's answers by likelihood after the calibration that fits them best, and keep that."""
        fitted = judge_likelihoods(task, samples, responses, calibrated=True).calibration or Calibration()
        self.calibrations.setdefault(name, {})[task.name] = fitted
        return [calibrated_response(each, task.likelihood_per, fitted) for each in responses]
