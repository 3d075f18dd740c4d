"""How often do 95 % intervals contain the true value? `python benchmarks/coverage.py` simulates it.

Scores of simulated methods are drawn with known expectations and go through the functions that the tables use. Samples
have difficulties that all runs share; a seed moves the score of its run. What is printed is in docs/statistics.md.
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from tabulate import tabulate

from genome.rng import stream
from genome.scoring import differences, intervals
from genome.scoring.statistics import Answered

SHARED = 0.7
"""The share of a sample's difficulty that all runs have in common."""

ACCURACIES = {0.5: (0.0, 0.01, 0.05, 0.15), 0.9: (0.0, 0.01, 0.05, 0.15), 0.99: (0.0, 0.01, 0.05)}
"""Expected accuracies, each with the standard deviations of runs of different seeds around it."""

SEEDS = (1, 2, 3, 5)
SAMPLES = (80, 200, 1000)
CLASSES = np.array([0.5, 0.3, 0.2])

Outcome = dict[str, bool]
"""What one simulated table says: whether each interval covers, and whether differences hold."""


def accuracies(rng: np.random.Generator, expected: float, spread: float, seeds: int) -> np.ndarray:
    """Return the accuracies of runs of different seeds: beta distributed with a mean and a standard deviation."""
    if spread == 0:
        return np.full(seeds, expected)
    size = expected * (1 - expected) / spread**2 - 1
    return rng.beta(expected * size, (1 - expected) * size, seeds)


def answers(rng: np.random.Generator, rates: np.ndarray, difficulty: np.ndarray) -> np.ndarray:
    """Return right and wrong answers of runs to samples of these difficulties, shape (runs, samples)."""
    from scipy.special import ndtri

    own = rng.standard_normal((len(rates), len(difficulty)))
    latent = np.sqrt(SHARED) * difficulty + np.sqrt(1 - SHARED) * own
    return (latent < ndtri(rates)[:, None]).astype(float)


def of_scores(scores: np.ndarray) -> list[Answered]:
    """Return runs whose metric is the mean of their scores."""
    samples = tuple(range(scores.shape[1]))
    return [Answered("accuracy", samples, tuple(run.tolist()), (run,)) for run in scores]


def covers(estimate: intervals.Estimate, truth: float) -> bool:
    """Tell whether an interval contains the truth, but for rounding."""
    found = estimate.interval
    return found.low - 1e-9 <= truth <= found.high + 1e-9


def accuracy(rng: np.random.Generator, seeds: int, samples: int, expected: float, spread: float) -> Outcome:
    """Simulate two methods that are equally good, on the same samples."""
    difficulty = rng.standard_normal(samples)
    own, other = (of_scores(answers(rng, accuracies(rng, expected, spread, seeds), difficulty)) for _ in range(2))
    found = differences.difference(own, other)
    return {
        "score": covers(intervals.of_score(own), expected),
        "difference": covers(found.estimate, 0.0),
        "holds": found.holds,
    }


def f1_of(rates: np.ndarray) -> np.ndarray:
    """Return the weighted F1 of answers that are right at these rates, else one of the other classes."""
    rates = np.asarray(rates)[..., None]
    named = CLASSES * rates + (1 - CLASSES) * (1 - rates) / (len(CLASSES) - 1)
    return (CLASSES * 2 * CLASSES * rates / (CLASSES + named)).sum(-1)


def weighted_f1(rng: np.random.Generator, seeds: int, samples: int, expected: float, spread: float) -> Outcome:
    """Simulate two methods that are equally good at naming one of three classes of different sizes."""
    truth, difficulty = rng.choice(len(CLASSES), samples, p=CLASSES), rng.standard_normal(samples)
    methods = []
    for _ in range(2):
        right = answers(rng, accuracies(rng, expected, spread, seeds), difficulty) > 0
        other = (truth + rng.integers(1, len(CLASSES), (seeds, samples))) % len(CLASSES)
        names = tuple(range(samples))
        named = np.where(right, truth, other)
        methods.append([Answered("weighted_f1", names, (), (truth, each)) for each in named])
    return _corpus(methods, _true_f1(expected, spread))


def bleu(rng: np.random.Generator, seeds: int, samples: int, expected: float, spread: float) -> Outcome:
    """Simulate two methods that are equally good at matching n-grams of sentences of 8 to 20 words."""
    lengths, difficulty = rng.integers(8, 21, samples), 0.1 * rng.standard_normal(samples)
    methods = []
    for _ in range(2):
        rates = accuracies(rng, expected, spread, seeds)
        counts = [_matches(rng, np.clip(rate + difficulty, 0.01, 1), lengths) for rate in rates]
        methods.append([Answered("bleu", tuple(range(samples)), (), (each,)) for each in counts])
    return _corpus(methods, _true_bleu(expected, spread))


def _matches(rng: np.random.Generator, rates: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return what BLEU counts in sentences whose words match at these rates, shape (samples, 11)."""
    orders = np.arange(1, 5)
    totals = lengths[:, None] - orders + 1
    matched = rng.binomial(totals, rates[:, None] ** orders)
    return np.column_stack([matched, totals, lengths, lengths, np.zeros(len(lengths))])


@cache
def _true_f1(expected: float, spread: float) -> float:
    """Return the expected weighted F1 of a run on all samples that there are."""
    return float(f1_of(accuracies(stream(0, "truth"), expected, spread, 200_000)).mean())


@cache
def _true_bleu(expected: float, spread: float) -> float:
    """Return the expected BLEU of a run on very many sentences."""
    rng = stream(0, "truth")
    lengths, difficulty = rng.integers(8, 21, 20_000), 0.1 * rng.standard_normal(20_000)
    found = [
        Answered("bleu", (), (), (_matches(rng, np.clip(rate + difficulty, 0.01, 1), lengths),)).value
        for rate in accuracies(rng, expected, spread, 1 if spread == 0 else 300)
    ]
    return float(np.mean(found))


def _corpus(methods: list[list[Answered]], truth: float) -> Outcome:
    own, other = methods
    found = differences.difference(own, other)
    score = intervals.of_score(own)
    return {"score": covers(score, truth), "difference": covers(found.estimate, 0.0), "holds": found.holds}


def table(
    rng: np.random.Generator, seeds: int, samples: int, tasks: int, spread: float, shared: bool, between: float
) -> Outcome:
    """Simulate the mean difference of two methods over tasks whose differences vary by `between`.

    With `shared`, a seed moves the scores of a method on all tasks by the same amount.
    """
    gains = between * rng.standard_normal(tasks)
    alike = spread * rng.standard_normal((2, seeds))
    found = []
    for gain in gains:
        moved = alike if shared else spread * rng.standard_normal((2, seeds))
        difficulty = rng.standard_normal(samples)
        rates = np.clip(0.7 + moved + np.array([[gain / 2], [-gain / 2]]), 0.01, 0.99)
        found.append(differences.difference(*(of_scores(answers(rng, each, difficulty)) for each in rates)))
    return {
        "these tasks": covers(differences.mean_difference(found).estimate, float(gains.mean())),
        "tasks like these": covers(differences.difference_on_tasks_like(found).estimate, 0.0),
    }


def family(rng: np.random.Generator, seeds: int, samples: int, rows: int) -> Outcome:
    """Simulate the differences of several rows from one, all equally good: whether any holds, and any with Holm."""
    difficulty = rng.standard_normal(samples)
    reference, *others = (of_scores(answers(rng, np.full(seeds, 0.8), difficulty)) for _ in range(rows + 1))
    found = [differences.difference(each, reference) for each in others]
    return {
        "any holds": any(each.holds for each in found),
        "any holds (Holm)": min(differences.holm([each.p for each in found])) < 1 - intervals.LEVEL,
    }


def repeated(simulate: Callable[..., Outcome], times: int, **regime: Any) -> dict[str, Any]:
    """Return a regime with the share of simulations, in percent, in which each outcome occurs."""
    rng = stream(0, "coverage", simulate.__name__, *map(str, regime.values()))
    outcomes = pd.DataFrame([simulate(rng, **regime) for _ in range(times)])
    return {"what": simulate.__name__, **regime, **(100 * outcomes.mean()).round(1), "simulations": times}


def studies(times: int) -> Iterator[dict[str, Any]]:
    """Yield what each regime gives; `times` is the number of simulations of an accuracy."""
    for seeds in SEEDS:
        for samples in SAMPLES:
            for expected, spreads in ACCURACIES.items():
                for spread in spreads if seeds > 1 else spreads[:1]:
                    regime = {"seeds": seeds, "samples": samples, "expected": expected, "spread": spread}
                    yield repeated(accuracy, times, **regime)
    for simulate in (weighted_f1, bleu):
        for seeds in SEEDS:
            for samples in (80, 200):
                for spread in (0.0, 0.05) if seeds > 1 else (0.0,):
                    regime = {"seeds": seeds, "samples": samples, "expected": 0.7, "spread": spread}
                    yield repeated(simulate, times // 2, **regime)
    for seeds in SEEDS:
        for tasks in (3, 12):
            for spread, shared in ((0.0, False), (0.05, False), (0.05, True)) if seeds > 1 else ((0.0, False),):
                regime = {"samples": 200, "tasks": tasks, "spread": spread, "shared": shared, "between": 0.05}
                yield repeated(table, times // 2, seeds=seeds, **regime)
    for seeds in (1, 3):
        yield repeated(family, times // 2, seeds=seeds, samples=200, rows=20)


def of_accuracies(found: pd.DataFrame, outcome: str) -> str:
    """Return an outcome in Markdown: a row per number of seeds and samples, a column per accuracy and spread."""
    rows = found[found["what"] == "accuracy"]
    named = {
        (expected, spread): f"{expected:.0%}, ±{100 * spread:g}"
        for expected in ACCURACIES
        for spread in ACCURACIES[expected]
    }
    places = zip(rows["expected"], rows["spread"], strict=True)
    shown = rows.assign(name=[named[place] for place in places]).pivot(
        index=["seeds", "samples"], columns="name", values=outcome
    )
    shown = shown[[*named.values()]].reset_index()
    cells = [["" if pd.isna(cell) else f"{cell:g}" for cell in row] for row in shown.to_numpy()]
    return tabulate(cells, list(shown.columns), tablefmt="pipe", disable_numparse=True, stralign="right")


def main(
    out: Annotated[Path, typer.Argument(help="The csv file of all regimes.")] = Path("coverage.csv"),
    times: Annotated[int, typer.Option(help="Simulations of each accuracy; of slower things half as many.")] = 600,
) -> None:
    """Write what all regimes give, and print it as docs/statistics.md shows it."""
    found = pd.DataFrame(studies(times))
    found.to_csv(out, index=False, lineterminator="\n")
    show(found)


def show(found: pd.DataFrame) -> None:
    """Print what all regimes give."""
    for outcome in ("difference", "score"):
        print(f"\n{outcome}\n\n{of_accuracies(found, outcome)}")
    for what, rows in found[found["what"] != "accuracy"].groupby("what", sort=False):
        shown = rows.dropna(axis=1, how="all").drop(columns=["what", "simulations"])
        print(f"\n{what}\n\n{tabulate(shown, headers='keys', tablefmt='pipe', showindex=False)}")


if __name__ == "__main__":
    typer.run(main)
