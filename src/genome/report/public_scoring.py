"""The same responses scored as the paper's public code scores them, and as we do: what each habit of it adds.

The public code (github.com/ZhangYiqun018/GENOME) lets test scores and references decide where an honest protocol must
not. Each of its habits is a row of `ARTEFACTS`, applied alone to runs of ours, and a last row applies all at once. All
else (answers, judging, ties, similarity) is the library's own. Nothing here enters another table.

What cannot be told from responses is not in it: a search that was led by stale fitness, and decoding with temperature.
Nor are the mean of sentences' BLEU in place of the corpus's, and votes of empty answers.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

from genome.report.traces import joined
from genome.scoring import statistics
from genome.scoring.ensemble import combine, combine_each
from genome.scoring.statistics import Answered
from genome.search.population import Individual, Population
from genome.tasks import KINDS, Task, metrics
from genome.tasks.scoring import judge

Answers = Sequence[str | None]
MEAN = "mean"
ALL = "all"
COLUMNS = ["artefact", "task", "variant", "theirs", "ours", "difference", "low", "high", "holds", "n", "seeds", "runs"]


@dataclass(frozen=True)
class Run:
    """What one run's models answered to a test, and what their answers are worth.

    best: the answers of the run's best individual by validation
    members: the answers of its last population, by falling validation fitness
    stale: the fitness that the public code would still know of each member (see `stale_fitness`)
    k: how many members the ensemble has
    scores: the score of each answer that any of them gave, by sample number and answer
    by_test: the members' positions by falling test score
    ensemble, ensemble_by_test: the combined answers of the first k by validation, and by test score
    """

    task: Task
    samples: Sequence[Mapping[str, Any]]
    best: Answers
    members: Sequence[Answers]
    stale: Sequence[float]
    k: int
    scores: Mapping[tuple[int, str], float]
    by_test: Sequence[int]
    ensemble: Answers
    ensemble_by_test: Answers

    @property
    def top(self) -> Sequence[Answers]:
        """The answers of the ensemble's members."""
        return self.members[: self.k]

    def score(self, sample: int, answer: str | None) -> float:
        """Return the score of an answer that one of the models gave."""
        return 0.0 if answer is None else self.scores[sample, answer]

    def scored(self, answers: Answers) -> Answered:
        """Return what answers are worth by the task's own metric."""
        scores = [self.score(sample, answer) for sample, answer in enumerate(answers)]
        return statistics.of_answers(self.task, self.samples, answers, scores)

    def counted(self, scores: Sequence[float]) -> Answered:
        """Return the mean of scores that belong to no one answer."""
        return statistics.in_columns("accuracy", [sample["id"] for sample in self.samples], scores, None)


def evaluate(
    task: Task,
    samples: Sequence[Mapping[str, Any]],
    best: Answers,
    members: Sequence[Answers],
    stale: Sequence[float],
    k: int,
    similarity: Mapping[str, Any],
) -> Run:
    """Judge the answers of a run's best individual and of its members, each answer once, and combine ensembles."""
    named = [_with_c(task, answers) for answers in members] if task.kind in NAMED else []
    models = [best, *members, *named]
    judged = judge(task, samples, models)
    scores = {
        (number, answer): score
        for answers, result in zip(models, judged, strict=True)
        for number, (answer, score) in enumerate(zip(answers, result.scores, strict=True))
    }
    by_test = _falling([result.value for result in judged[1 : 1 + len(members)]])
    groups = [members[:k], [members[position] for position in by_test[:k]]]
    ours, theirs = combine_each(task, samples, groups, similarity)
    return Run(task, samples, best, members, stale, k, scores, by_test, ours, theirs)


def stale_fitness(populations: Sequence[Population]) -> dict[str, float]:
    """Return the fitness that each individual of a run had when it was made, by name.

    `populations` are all of the run, in any order. In the public code succession changes weights in place and keeps the
    score that is there, so that a member goes on with the fitness of the individual that it once was, however often
    it has moved since. Here succession names the member that it moved as the parent.
    """
    known = {x.name: x for population in populations for x in (*population.members, *population.created)}

    def as_made(individual: Individual) -> Individual:
        return as_made(known[individual.parents[0]]) if individual.operator == "succession" else individual

    return {name: as_made(individual).score for name, individual in known.items()}


NAMED = ("choice", "label")
"""Kinds whose answer is one of the named options, C being the third."""


def _with_c(task: Task, answers: Answers) -> list[str]:
    """Return answers with C, or the label that stands third, where there is none."""
    third = [*task.labels.values(), *("C", "C", "C")][2] if task.labels else "C"
    return [third if answer is None else answer for answer in answers]


def _falling(values: Sequence[float]) -> list[int]:
    """Return positions by falling value; ties go to the earlier."""
    return sorted(range(len(values)), key=lambda position: -values[position])


def _votes(run: Run, members: Sequence[Answers]) -> list[float]:
    """Score votes: a right answer has a point if it wins alone, half a point if it is among the tied."""
    points = []
    for number, answers in enumerate(zip(*members, strict=True)):
        votes = Counter(answer for answer in answers if answer is not None)
        tied = [answer for answer, count in votes.items() if count == max(votes.values())]
        right = max((run.score(number, answer) for answer in tied), default=0.0)
        points.append(right if len(tied) == 1 else right / 2)
    return points


def _outcomes(run: Run, members: Sequence[Answers]) -> list[float]:
    """Score votes on what the tests said of each member's program: half a point where as many passed as failed."""
    passed = [
        sum(run.score(number, answer) for answer in answers)
        for number, answers in enumerate(zip(*members, strict=True))
    ]
    return [float(np.sign(2 * count - len(members)) + 1) / 2 for count in passed]


def _highest(run: Run, members: Sequence[Answers]) -> list[float]:
    """Score each sample by the member that did best on it."""
    return [
        max(run.score(number, answer) for answer in answers)
        for number, answers in enumerate(zip(*members, strict=True))
    ]


def _everything(run: Run) -> Answered:
    """Return an ensemble's score with all habits at once: what the public code prints of such a population."""
    members = [_with_c(run.task, answers) for answers in run.members] if run.task.kind in NAMED else run.members
    order = _falling([run.scored(answers).value for answers in members])
    chosen = [members[position] for position in order[: run.k]]
    if run.task.kind in ORACLES:
        return run.counted(ORACLES[run.task.kind](run, chosen))
    return run.counted(_votes(run, chosen)) if _is_voted(run.task) else run.scored(run.ensemble_by_test)


ORACLES = {"span": _highest, "program": _outcomes}
"""Kinds of which the public code combines scores in place of answers."""


@dataclass(frozen=True)
class Artefact:
    """A habit of the public code.

    label: in few words; about: what is done there, and what here
    theirs, ours: a run's score with the habit, and without it
    applies: which tasks it touches
    """

    label: str
    about: str
    theirs: Callable[[Run], Answered]
    ours: Callable[[Run], Answered] = lambda run: run.scored(run.ensemble)
    applies: Callable[[Task], bool] = lambda task: True


def _is_voted(task: Task) -> bool:
    return KINDS[task.kind].combine == "vote"


ARTEFACTS = {
    "best_by_test": Artefact(
        "individual by test score",
        "The best individual of the last population by test score; here the best ever by validation.",
        lambda run: run.scored(run.members[run.by_test[0]]),
        lambda run: run.scored(run.best),
    ),
    "stale_fitness": Artefact(
        "individual by stale fitness",
        "The member of highest fitness, each with the one that it was made with, whatever succession did to it since; "
        "here with its own.",
        lambda run: run.scored(run.members[_falling(run.stale)[0]]),
        lambda run: run.scored(run.members[0]),
    ),
    "members_by_test": Artefact(
        "ensemble by test score",
        "The ensemble's members, and who wins ties, by test score; here by validation.",
        lambda run: run.scored(run.ensemble_by_test),
    ),
    "half_points": Artefact(
        "half points for ties",
        "A tied vote counts half when a right answer is among the tied; here the fittest of the tied answers.",
        lambda run: run.counted(_votes(run, run.top)),
        applies=lambda task: _is_voted(task) and metrics.METRICS[task.metric] is None,
    ),
    "unparsed_as_c": Artefact(
        "C where no answer is found",
        "A response without an answer votes for the third option; here it is wrong and does not vote.",
        lambda run: run.scored(combine(run.task, run.samples, [_with_c(run.task, top) for top in run.top], {})),
        applies=lambda task: task.kind in NAMED,
    ),
    "accuracy_for_f1": Artefact(
        "accuracy for weighted F1",
        "The share of right votes where a single model has weighted F1; here weighted F1 for both.",
        lambda run: run.counted(run.scored(run.ensemble).scores),
        applies=lambda task: task.metric == "weighted_f1",
    ),
    "highest_span": Artefact(
        "best span of the members",
        "Each sample has the score of the member that did best on it, an oracle; here the span most like the others.",
        lambda run: run.counted(_highest(run, run.top)),
        applies=lambda task: task.kind == "span",
    ),
    "voted_outcomes": Artefact(
        "votes on test outcomes",
        "Members vote with whether their programs passed, an oracle; here the program most like the others is run.",
        lambda run: run.counted(_outcomes(run, run.top)),
        applies=lambda task: task.kind == "program",
    ),
    ALL: Artefact("all of an ensemble's together", "All of the above that touch an ensemble, at once.", _everything),
}
"""By name, in the table's order; the last is all of them together."""


def compare(tests: Mapping[str, Mapping[str, Run]], variant: str, seeds: Sequence[int]) -> pd.DataFrame:
    """Return the runs of one variant scored in both ways, in percent, and the paired difference of the two.

    `tests` holds for each task its runs, one a seed, by folder. A row is an artefact and a task, or the mean over the
    tasks that the artefact touches. Who was picked is part of what was found and is not drawn again: the interval is
    that of the difference between the individuals that were picked.
    """
    found: dict[str, list[tuple[dict, np.ndarray]]] = {name: [] for name in ARTEFACTS}
    for task, runs in tests.items():
        first = next(iter(runs.values()))
        draws = statistics.draw_samples(task, len(first.samples))
        for name, artefact in ARTEFACTS.items():
            if artefact.applies(first.task):
                theirs, ours = map(artefact.theirs, runs.values()), map(artefact.ours, runs.values())
                about = {
                    "task": task,
                    "n": len(first.samples),
                    "seeds": " ".join(map(str, seeds)),
                    "runs": " ".join(runs),
                }
                found[name].append(_difference([*theirs], [*ours], draws, about))
    rows = []
    for name, each in found.items():
        if len(each) > 1:
            values = {way: np.mean([row[way] for row, _ in each]) for way in ("theirs", "ours")}
            drawn = np.mean([replicates for _, replicates in each], axis=0)
            names = {key: joined(row[key] for row, _ in each) for key in ("seeds", "runs")}
            each = [*each, ({"task": MEAN, **values, **names}, drawn)]
        rows += [{"artefact": name, "variant": variant, **row, **_interval(drawn)} for row, drawn in each]
    table = pd.DataFrame(rows, columns=COLUMNS).assign(difference=lambda table: table["theirs"] - table["ours"])
    table["n"] = table["n"].astype("Int64")
    return table


def _difference(
    theirs: Sequence[Answered], ours: Sequence[Answered], draws: np.ndarray, about: Mapping[str, Any]
) -> tuple[dict, np.ndarray]:
    """Return the means over seeds of both ways, in percent, and their difference on each draw of samples and seeds."""
    values = {way: 100 * np.mean([run.value for run in runs]) for way, runs in (("theirs", theirs), ("ours", ours))}
    by_seed = [[statistics.replicates(run, draws) for run in runs] for runs in (theirs, ours)]
    return {**about, **values}, 100 * np.subtract(*map(statistics.over_seeds, by_seed))


def _interval(drawn: np.ndarray) -> dict[str, Any]:
    interval = statistics.percentiles(drawn)
    return {"low": interval.low, "high": interval.high, "holds": "yes" if interval.excludes_zero else "no"}


def markdown(table: pd.DataFrame, k: int, answered: str = "") -> str:
    """Return the table for reading: our scores, below them what each habit adds to one of them, in points."""
    tasks = list(table.loc[table["artefact"] == ALL, "task"])
    cells = {(row.artefact, row.task): row for row in table.itertuples()}
    individual, ensemble = (
        [f"{cells[name, task].ours:.2f}" for task in tasks] for name in ("best_by_test", "members_by_test")
    )
    lines = [["Best individual, our way", *individual], [f"Ensemble of {k}, our way", *ensemble]]
    lines += [
        [f"– {artefact.label}", *(_points(cells.get((name, task))) for task in tasks)]
        for name, artefact in ARTEFACTS.items()
        if name in {*table["artefact"]}
    ]
    lines.append([f"Ensemble of {k}, their way", *(f"{cells[ALL, task].theirs:.2f}" for task in tasks)])
    text = tabulate(
        lines, ["Scoring", *tasks], tablefmt="pipe", disable_numparse=True, colalign=["left"] + ["right"] * len(tasks)
    )
    shown = [f"- *{ARTEFACTS[name].label}*: {ARTEFACTS[name].about}" for name in dict.fromkeys(table["artefact"])]
    return "\n".join(
        [
            text,
            "",
            "The same responses, scored as we do and with each habit of the paper's public code alone: what that adds, "
            "in points of 100. “—” is no change, no entry a task that is not touched; n.s. where the paired 95 % "
            f"interval includes 0. A mean is over the tasks that a habit touches. {answered}".strip(),
            "",
            *shown,
            "",
        ]
    )


def _points(cell: Any) -> str:
    if cell is None:
        return ""
    shown = f"{cell.difference:+.2f}"
    if float(shown) == 0:
        return "—"
    return shown.replace("-", "−") + (" n.s." if cell.holds == "no" else "")
