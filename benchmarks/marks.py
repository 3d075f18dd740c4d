"""Which differences hold in one table and not in another? `python benchmarks/marks.py BEFORE AFTER` lists them.

Both are a tableN_uncertainty.csv, of the same runs before and after a change of the statistics, or of two sets of runs.
"""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from tabulate import tabulate

PLACE = ["method", "versus", "test"]


def changed(before: Path, after: Path) -> pd.DataFrame:
    """Return the differences of both files whose `holds` is not the same, each with its value and interval."""
    both = pd.merge(*map(_differences, (before, after)), on=PLACE, suffixes=("_before", "_after"))
    return both[both["holds_before"] != both["holds_after"]]


def _differences(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path)
    table = table[table["versus"].notna()]
    ends = [f"{row.value:+.2f} [{row.low:+.2f}, {row.high:+.2f}]" for row in table.itertuples()]
    return table[[*PLACE, "holds"]].assign(difference=ends)


def main(
    before: Annotated[Path, typer.Argument(help="A tableN_uncertainty.csv.")],
    after: Annotated[Path, typer.Argument(help="Another.")],
) -> None:
    """Print the differences whose `holds` is not the same in both."""
    found = changed(before, after)
    if len(found):
        print(tabulate(found, headers="keys", tablefmt="pipe", showindex=False))
    print(f"\n{len(found)} marks differ.")


if __name__ == "__main__":
    typer.run(main)
