"""The same responses scored by the rules of the paper's public code and by ours: what each of its rules adds.

The public code (github.com/ZhangYiqun018/GENOME) uses test scores and references for decisions that should not depend
on them. Each such rule is a row of `ARTEFACTS` and is applied alone to our runs; a last row applies all of them at
once. Everything else (answers, judging, ties, similarity) is the library's. No other table uses this module.

Not included is what responses do not show: a search guided by stale fitness, and decoding with temperature. Neither
are the mean of sentence BLEU instead of corpus BLEU, and votes of empty answers.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from genome.files import write_text
from genome.report import tables
from genome.report.layout import MEAN
from genome.report.markdown import pipe_table, points, yes_or_no
from genome.report.run_files import answered_tests
from genome.report.traces import answered_by, joined
from genome.scoring import differences, statistics
from genome.scoring.answers import check_members
from genome.scoring.differences import Difference
from genome.scoring.ensemble import combine, combine_each
from genome.scoring.results import origin_of, read_origin
from genome.scoring.statistics import Answered
from genome.search.population import Individual, Population, described
from genome.search.records import check_engine, read_population
from genome.tasks import KINDS, Task, metrics
from genome.tasks.scoring import judge

log = logging.getLogger("genome")

Answers = Sequence[str | None]
ALL = "all"
PROTOCOL_COLUMNS = [
    "artefact",
    "task",
    "variant",
    "theirs",
    "ours",
    "difference",
    "low",
    "high",
    "holds",
    "n",
    "seeds",
    "runs",
]


def write(settings: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    """Write what the public code's rules of scoring add, for runs whose whole last population answered a test.

    Inputs: `prompts` are the test samples of each task, `responses` those of each run, and `populations` all of each
    run, since a member's fitness before succession is in earlier ones.
    """
    tests: dict[str, dict[str, AnsweredTest]] = {}
    engines = []
    for run, task, samples, models in answered_tests(settings, inputs):
        populations = list(map(read_population, run.populations))
        last = max(populations, key=lambda population: population.generation)
        engine = read_origin(origin_of(run.responses))["engine"]
        check_engine(run.responses, engine, last.engine)
        check_members(models, last, len(last.members), run.responses)
        engines.append((settings["variant"], task.name, described(engine)))
        stale = stale_fitness(populations)
        best, *members = models
        tests.setdefault(task.name, {})[run.folder] = evaluate(
            task,
            samples,
            best.answers,
            [member.answers for member in members],
            [stale[member.individual] for member in members],
            settings["k"],
            settings["similarity"],
        )
    table = compare(tests, settings["variant"], settings["seeds"])
    tables.write_csv(table, outputs["table"])
    write_text(outputs["markdown"], markdown(table, settings["k"], answered_by(engines)))
    log.info("%d rows from %d runs on %d tests", len(table), len(engines), len(tests))


@dataclass(frozen=True)
class AnsweredTest:
    """The answers of one run's models to a test, and their scores.

    best: the answers of the run's best individual by validation
    members: the answers of its last population, by falling validation fitness
    stale: the outdated fitness that the public code would still use for each member (see `stale_fitness`)
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
        """Return the scores of answers by the task's own metric."""
        scores = [self.score(sample, answer) for sample, answer in enumerate(answers)]
        return statistics.of_answers(self.task, self.samples, answers, scores)

    def counted(self, scores: Sequence[float]) -> Answered:
        """Return scores that are not those of single answers; their metric is the mean."""
        return statistics.in_columns("accuracy", [sample["id"] for sample in self.samples], scores, None)


def evaluate(
    task: Task,
    samples: Sequence[Mapping[str, Any]],
    best: Answers,
    members: Sequence[Answers],
    stale: Sequence[float],
    k: int,
    similarity: Mapping[str, Any],
) -> AnsweredTest:
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
    return AnsweredTest(task, samples, best, members, stale, k, scores, by_test, ours, theirs)


def stale_fitness(populations: Sequence[Population]) -> dict[str, float]:
    """Return the fitness that each individual of a run had when it was made, by name.

    `populations` are all of the run, in any order. In the public code, succession changes weights in place and keeps
    the old score, so a member keeps the fitness of the individual that it originally was, however often it has moved.
    Here succession names the member that it moved as the parent.
    """
    known = {x.name: x for population in populations for x in (*population.members, *population.created)}

    def as_made(individual: Individual) -> Individual:
        return as_made(known[individual.parents[0]]) if individual.operator == "succession" else individual

    return {name: as_made(individual).score for name, individual in known.items()}


NAMED = ("choice", "label")
"""Kinds whose answer is one of the named options, of which C is the third."""


def _with_c(task: Task, answers: Answers) -> list[str]:
    """Return answers with C, or the third label, in place of missing ones."""
    third = [*task.labels.values(), *("C", "C", "C")][2] if task.labels else "C"
    return [third if answer is None else answer for answer in answers]


def _falling(values: Sequence[float]) -> list[int]:
    """Return positions by falling value; ties go to the earlier."""
    return sorted(range(len(values)), key=lambda position: -values[position])


def _votes(run: AnsweredTest, members: Sequence[Answers]) -> list[float]:
    """Score votes: a right answer gets a point if it wins alone, half a point if it is among the tied."""
    points = []
    for number, answers in enumerate(zip(*members, strict=True)):
        votes = Counter(answer for answer in answers if answer is not None)
        tied = [answer for answer, count in votes.items() if count == max(votes.values())]
        right = max((run.score(number, answer) for answer in tied), default=0.0)
        points.append(right if len(tied) == 1 else right / 2)
    return points


def _outcomes(run: AnsweredTest, members: Sequence[Answers]) -> list[float]:
    """Score votes on the test outcomes of the members' programs: half a point if as many passed as failed."""
    passed = [
        sum(run.score(number, answer) for answer in answers)
        for number, answers in enumerate(zip(*members, strict=True))
    ]
    return [float(np.sign(2 * count - len(members)) + 1) / 2 for count in passed]


def _highest(run: AnsweredTest, members: Sequence[Answers]) -> list[float]:
    """Score each sample by the member that did best on it."""
    return [
        max(run.score(number, answer) for answer in answers)
        for number, answers in enumerate(zip(*members, strict=True))
    ]


def _everything(run: AnsweredTest) -> Answered:
    """Return an ensemble's score by all rules at once: what the public code prints for such a population."""
    members = [_with_c(run.task, answers) for answers in run.members] if run.task.kind in NAMED else run.members
    order = _falling([run.scored(answers).value for answers in members])
    chosen = [members[position] for position in order[: run.k]]
    if run.task.kind in ORACLES:
        return run.counted(ORACLES[run.task.kind](run, chosen))
    return run.counted(_votes(run, chosen)) if _is_voted(run.task) else run.scored(run.ensemble_by_test)


ORACLES = {"span": _highest, "program": _outcomes}
"""Kinds for which the public code combines scores instead of answers."""


@dataclass(frozen=True)
class Artefact:
    """A rule of the public code.

    label: in few words; about: what is done there, and what here
    theirs, ours: a run's score with the rule, and without it
    applies: which tasks it affects
    """

    label: str
    about: str
    theirs: Callable[[AnsweredTest], Answered]
    ours: Callable[[AnsweredTest], Answered] = lambda run: run.scored(run.ensemble)
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
"""Rules by name, in the table's order; the last applies all of them."""


def compare(tests: Mapping[str, Mapping[str, AnsweredTest]], variant: str, seeds: Sequence[int]) -> pd.DataFrame:
    """Return the runs of one variant scored in both ways, in percent, and the paired difference of the two.

    `tests` contains the runs of each task, one per seed, by folder. A row is an artefact and a task, or the mean over
    the tasks that the artefact affects. The choice of an individual is taken as it is: the interval is of the
    difference between the individuals that were chosen.
    """
    found: dict[str, list[tuple[dict, Difference]]] = {name: [] for name in ARTEFACTS}
    for task, runs in tests.items():
        first = next(iter(runs.values()))
        for name, artefact in ARTEFACTS.items():
            if artefact.applies(first.task):
                theirs, ours = map(artefact.theirs, runs.values()), map(artefact.ours, runs.values())
                about = {
                    "task": task,
                    "n": len(first.samples),
                    "seeds": " ".join(map(str, seeds)),
                    "runs": " ".join(runs),
                }
                found[name].append(_difference([*theirs], [*ours], about))
    rows = []
    for name, each in found.items():
        if len(each) > 1:
            values = {way: np.mean([row[way] for row, _ in each]) for way in ("theirs", "ours")}
            mean = differences.mean_difference([difference for _, difference in each])
            names = {key: joined(row[key] for row, _ in each) for key in ("seeds", "runs")}
            each = [*each, ({"task": MEAN, **values, **names}, mean)]
        for row, difference in each:
            interval = difference.estimate.interval
            cells = {"low": 100 * interval.low, "high": 100 * interval.high, "holds": yes_or_no(difference.holds)}
            rows.append({"artefact": name, "variant": variant, **row, **cells})
    table = pd.DataFrame(rows, columns=PROTOCOL_COLUMNS).assign(
        difference=lambda table: table["theirs"] - table["ours"]
    )
    table["n"] = table["n"].astype("Int64")
    return table


def _difference(
    theirs: Sequence[Answered], ours: Sequence[Answered], about: Mapping[str, Any]
) -> tuple[dict, Difference]:
    """Return the means over seeds of both ways, in percent, and their paired difference."""
    values = {way: 100 * np.mean([run.value for run in runs]) for way, runs in (("theirs", theirs), ("ours", ours))}
    return {**about, **values}, differences.difference(theirs, ours)


def markdown(table: pd.DataFrame, k: int, answered: str = "") -> str:
    """Return the table in Markdown: our scores, and below them what each rule adds to one of them, in points."""
    tasks = list(table.loc[table["artefact"] == ALL, "task"])
    cells: dict[tuple[str, str], Any] = {(row.artefact, row.task): row for row in tables.rows_of(table)}
    individual, ensemble = (
        [f"{cells[name, task].ours:.2f}" for task in tasks] for name in ("best_by_test", "members_by_test")
    )
    lines = [["Best individual, our way", *individual], [f"Ensemble of {k}, our way", *ensemble]]
    lines += [
        [f"– {artefact.label}", *(_added(cells.get((name, task))) for task in tasks)]
        for name, artefact in ARTEFACTS.items()
        if name in {*table["artefact"]}
    ]
    lines.append([f"Ensemble of {k}, their way", *(f"{cells[ALL, task].theirs:.2f}" for task in tasks)])
    text = pipe_table(lines, ["Scoring", *tasks])
    shown = [f"- *{ARTEFACTS[name].label}*: {ARTEFACTS[name].about}" for name in dict.fromkeys(table["artefact"])]
    return "\n".join(
        [
            text,
            "",
            "The same responses, scored as we do and with each habit of the paper's public code alone: what that adds, "
            "in points of 100. “—” is no change, no entry a task that is not touched; n.s. where the difference "
            f"does not hold (docs/statistics.md). A mean is over the tasks that a habit touches. {answered}".strip(),
            "",
            *shown,
            "",
        ]
    )


def _added(cell: Any) -> str:
    """Return what a rule adds to a score; nothing for a task that it does not affect."""
    return "" if cell is None else points(cell.difference, cell.holds == "yes", zero="—")
