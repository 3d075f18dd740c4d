"""The runs behind a row: every table names them, so that its numbers can be traced to files."""

from collections.abc import Iterable

import pandas as pd

from genome.scoring.results import NO_ENGINE


def joined(cells: Iterable[str]) -> str:
    """Return lists of names, separated by spaces, as one such list without repeats."""
    return " ".join(dict.fromkeys(name for cell in cells for name in cell.split()))


def unique(values: Iterable[str]) -> list[str]:
    """Return values in their order, each once."""
    return list(dict.fromkeys(values))


def answered_by(rows: Iterable[tuple[str, str, str]]) -> str:
    """Return the sentence that names the engine of rows (method, test, engine); several engines with their rows."""
    by_engine: dict[str, tuple[dict, dict]] = {}
    for method, test, engine in (row for row in rows if row[2] != NO_ENGINE):
        methods, tests = by_engine.setdefault(engine, ({}, {}))
        methods[method] = tests[test] = None
    if len(by_engine) < 2:
        return "".join(f"Answered by {engine}." for engine in by_engine)
    each = [f"{engine} ({', '.join(methods)} on {', '.join(tests)})" for engine, (methods, tests) in by_engine.items()]
    return f"Answered by different engines, which alone may change scores: {'; '.join(each)}."


def versus(label: str, reference: str) -> str:
    """Return the name of a row of relative gains."""
    return f"{label} vs {reference}"


def minus(label: str, reference: str) -> str:
    """Return the name of a row of gains in points."""
    return f"{label} − {reference}"


def with_runs(table: pd.DataFrame, uncertainty: pd.DataFrame) -> pd.DataFrame:
    """Return a comparison with a last column `runs`: the folders of the tests behind a row, or behind a gain."""
    scores = uncertainty[uncertainty["versus"] == ""]
    own = {str(label): joined(rows["runs"]) for label, rows in scores.groupby("method")}
    both = {
        name(one, other): joined([own[one], own[other]]) for one in own for other in own for name in (minus, versus)
    }
    return table.assign(runs=[(own | both).get(name, "") for name in table["method"]])
