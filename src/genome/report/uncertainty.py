"""How sure the numbers of a comparison are: an interval of each, and which differences hold (docs/statistics.md)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd

from genome.report.layout import MEAN, TASKS_LIKE, Column, Method, Style
from genome.report.markdown import yes_or_no
from genome.report.tables import chosen, rows_of
from genome.report.traces import joined, unique
from genome.scoring import differences, intervals, statistics
from genome.scoring.differences import Difference
from genome.scoring.intervals import LEVEL, Estimate
from genome.scoring.statistics import Answered

COLUMNS = [
    "method", "versus", "test", "value", "low", "high", "interval", "p", "p_holm", "holds", "holds_holm", "wins",
    "losses", "p_exact", "lowest", "highest", "n", "tasks", "seeds", "expert", "runs",
]  # fmt: skip
WHOLE = ["wins", "losses", "n"]
WORDS = ["p", "p_holm", "holds", "holds_holm", "p_exact", "tasks", "expert"]


@dataclass(frozen=True)
class Cell:
    """A score, its differences from references by their labels, its scores by seed in percent, and its runs."""

    score: Estimate
    gains: Mapping[str, Difference]
    by_seed: pd.Series
    about: Mapping[str, Any]


def uncertainty(
    scores: pd.DataFrame, methods: Sequence[Method], columns: Sequence[Column], seeds: Sequence[int], style: Style
) -> pd.DataFrame:
    """Return the 95 % intervals of a table's numbers in long form, in percentage points.

    A row is a score (`versus` is empty) with its interval, its lowest and highest seed, test samples and runs, or a
    method's paired difference from one of the table's references, with p-values and whether it holds: by itself, and
    among all differences from that reference (Holm). The difference of `mean` is between mean scores; with two tests or
    more, the rows of TASKS_LIKE take these as drawn. Cells that are missing in the table have no row.
    """
    read = cache(statistics.read_report)
    labels, tests = [row["label"] for row in methods], [column["name"] for column in columns]
    cells: dict[tuple[str, str], Cell] = {}
    for column in columns:
        found = _of_test(read, scores, methods, column, seeds, style)
        cells |= {(label, column["name"]): cell for label, cell in found.items()}
    for label in labels if style.mean else []:
        parts = [cells[label, test] for test in tests if (label, test) in cells]
        if len(parts) == len(tests):
            cells[label, MEAN] = _mean(parts, intervals.of_mean, differences.mean_difference)
        if len(parts) == len(tests) > 1:
            cells[label, TASKS_LIKE] = _mean(parts, intervals.of_tasks_like, differences.difference_on_tasks_like)
    shown = [(label, test) for test in (*tests, MEAN, TASKS_LIKE) for label in labels if (label, test) in cells]
    rows = [row for place in shown for row in _rows(*place, cells[place])]
    for other in unique(row["versus"] for row in rows if row["versus"]):
        _adjust([row for row in rows if row["versus"] == other])
    table = pd.DataFrame(rows, columns=COLUMNS)
    table[WHOLE] = table[WHOLE].astype("Int64")
    table[WORDS] = table[WORDS].astype(object).fillna("")
    return table


def _of_test(
    read: Callable[..., Answered],
    scores: pd.DataFrame,
    methods: Sequence[Method],
    column: Column,
    seeds: Sequence[int],
    style: Style,
) -> dict[str, Cell]:
    """Return the cells of a column by their rows' labels; `read` is `statistics.read_report`."""
    shown = {row["label"]: chosen(scores, row, column, seeds) for row in methods}
    runs = {
        label: [
            read(f"{row.folder}/answers.jsonl", column["metric"], row.report, row.n, row.score / 100)
            for row in rows_of(cell)
        ]
        for label, cell in shown.items()
        if len(cell)
    }
    if not runs:
        return {}
    n = statistics.same_samples(
        (folder, run) for label in runs for folder, run in zip(shown[label]["folder"], runs[label], strict=True)
    )
    references = [row["label"] for row in style.references(methods)]
    return {
        label: Cell(
            intervals.of_score(by_seed),
            {
                other: differences.difference(by_seed, runs[other])
                for other in references
                if other in runs.keys() - {label}
            },
            shown[label].set_index("seed")["score"],
            {
                "n": n,
                "tasks": column["tasks"],
                "seeds": " ".join(map(str, shown[label]["seed"].dropna())),
                "expert": joined(shown[label].get("expert", ())),
                "runs": " ".join(shown[label]["folder"]),
            },
        )
        for label, by_seed in runs.items()
    }


def _mean(
    parts: Sequence[Cell],
    of_scores: Callable[[Sequence[Estimate]], Estimate],
    of_differences: Callable[[Sequence[Difference]], Difference],
) -> Cell:
    """Return the mean of a row's cells."""
    shared = [other for other in parts[0].gains if all(other in part.gains for part in parts)]
    seeds = next((part.by_seed.index for part in parts if len(part.by_seed) > 1), parts[0].by_seed.index)
    # A method without randomness has the same score for every seed.
    by_seed = [part.by_seed if len(part.by_seed) > 1 else pd.Series(part.by_seed.iloc[0], seeds) for part in parts]
    return Cell(
        of_scores([part.score for part in parts]),
        {other: of_differences([part.gains[other] for part in parts]) for other in shared},
        pd.Series(sum(by_seed) / len(parts)),
        {key: joined(part.about[key] for part in parts) for key in ("seeds", "runs")},
    )


def _rows(label: str, test: str, cell: Cell) -> Iterable[dict[str, Any]]:
    """Yield the row of a score and those of its differences."""
    place = {"method": label, "test": test, **cell.about}
    spread = {"lowest": cell.by_seed.min(), "highest": cell.by_seed.max()} if len(cell.by_seed) > 1 else {}
    yield {**place, "versus": "", **_numbers(cell.score), **spread}
    for other, gain in cell.gains.items():
        signs = gain.signs
        exact = {"wins": signs.wins, "losses": signs.losses, "p_exact": signs.p} if signs else {}
        yield {
            **place,
            "versus": other,
            **_numbers(gain.estimate),
            "p": gain.p,
            **exact,
            "holds": yes_or_no(gain.holds),
        }


def _numbers(estimate: Estimate) -> dict[str, Any]:
    """Return an estimate's cells."""
    found = estimate.interval
    return {"value": 100 * estimate.value, "low": 100 * found.low, "high": 100 * found.high, "interval": found.over}


def _adjust(family: Sequence[dict[str, Any]]) -> None:
    """Add to the differences from one reference what holds among all of them, and write p-values as text."""
    for row, adjusted in zip(family, differences.holm([row["p"] for row in family]), strict=True):
        row.update(p_holm=adjusted, holds_holm=yes_or_no(adjusted < 1 - LEVEL))
        # With two decimals, as csv files have numbers, most p-values would be 0.
        row.update({name: f"{row[name]:.3g}" for name in ("p", "p_holm", "p_exact") if name in row})
