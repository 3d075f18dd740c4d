"""The summary as a page, which is also the first screen of `snakemake --report`: an answer, two pictures, a table.

The report puts this page into its own: all of its style is of elements within the class `summary`.
"""

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd

from genome.report.layout import BASELINES
from genome.report.markdown import signed
from genome.report.tables import rows_of

CSS = """
.summary { font: 13px/1.4 system-ui, sans-serif; color: #1a1a1a; max-width: 76rem; }
.summary p { max-width: none; }
.summary .answer { font-size: 15px; margin: 0; }
.summary .pictures { display: flex; flex-wrap: wrap; gap: 0.5rem; margin: 0.5rem 0 0; }
.summary .pictures img { flex: 1 1 22rem; min-width: 0; max-width: min(100%, 37rem); margin: 0; }
.summary .table { overflow-x: auto; }
.summary table { border-collapse: collapse; font-size: 11.5px; line-height: 1.3; font-variant-numeric: tabular-nums;
  margin: 0.4rem 0; width: auto; }
.summary th, .summary td { padding: 0.1rem 0 0.1rem 0.8rem; border-bottom: 1px solid #e4e4e4; white-space: nowrap;
  text-align: right; }
.summary th { border-bottom: 1.5px solid #1a1a1a; font-weight: 600; }
.summary th:first-child, .summary td:first-child { text-align: left; padding-left: 0; }
.summary tr.best td { font-weight: 600; }
.summary .range { color: #6b6b6b; font-weight: 400; }
.summary .note { color: #6b6b6b; font-size: 12px; margin: 0.3rem 0 0; }
"""

NONE = "–"

MOST_NAMED = 6
"""Methods that a sentence names."""

ALTERNATIVES = (
    "Mean test score of each method with its interval; the numbers are in the table.",
    "Mean test score of each method against the tokens that it spends; the numbers are in the table.",
)
"""What the pictures show, for readers who do not see them."""


def page(table: pd.DataFrame, pictures: Sequence[bytes], tests: int, seeds: Sequence[int], sizes: Sequence[int]) -> str:
    """Return the page of a summary (`genome.report.summary.summary`), its pictures (SVG) within it.

    tests: the number of tests that scores are means over; `sizes`: how many samples each of them has.
    """
    shown = [name for name in BASELINES if name in table]
    images = "".join(
        f'<img alt="{escape(text)}" src="data:image/svg+xml;base64,{b64encode(svg).decode()}">'
        for text, svg in zip(ALTERNATIVES, pictures, strict=True)
    )
    return (
        f'<!doctype html>\n<meta charset="utf-8">\n<title>Summary</title>\n<style>{CSS}</style>\n'
        f'<section class="summary">\n{answer(table, tests)}'
        f'<p class="pictures">{images}</p>\n'
        f'<div class="table">{_table(table, shown)}</div>\n'
        f'<p class="note">{_note(tests, seeds, sizes)}</p>\n</section>\n'
    )


def answer(table: pd.DataFrame, tests: int) -> str:
    """Return which method is best, by how much, and how sure that is, as paragraphs of HTML."""
    scored = table[table["score"].notna()]
    if not len(scored):
        return '<p class="answer">No method has a score on every task, so that there is no mean to compare.</p>\n'
    best, *_ = rows_of(scored)
    gains = [
        f"{_points(getattr(best, name))} {called} {_range(best, name)}"
        + ("" if getattr(best, f"{name}_holds") == "yes" else ", a difference that does not hold")
        for name, called in BASELINES.items()
        if name in table and best.name != name and pd.notna(getattr(best, name))
    ]
    mean, on = ("mean test score", f" on {tests} tasks") if tests > 1 else ("test score", "")
    first = [
        f"<strong>{escape(best.shown)}</strong> has the highest {mean} of {len(scored)} methods{on}: "
        f"<strong>{best.score:.2f} %</strong> {_range(best)}.",
        f"It is {_listed(gains)}." if gains else "",
    ]
    second = [_rivals(scored), _on_tasks_like(best, table)]
    return "".join(
        f'<p class="{name}">{" ".join(filter(None, sentences))}</p>\n'
        for name, sentences in (("answer", first), ("note", second))
    )


def _rivals(scored: pd.DataFrame) -> str:
    """Return which methods are not shown to be worse than the best."""
    rivals = [escape(row.short) for row in rows_of(scored) if row.best_holds == "no"]
    if len(rivals) > MOST_NAMED:
        rivals = [*rivals[:MOST_NAMED], f"{len(rivals) - MOST_NAMED} more"]
    if not rivals:
        return "All other methods are shown to be lower." if len(scored) > 1 else ""
    return f"Not shown to be lower on these tasks: {_listed(rivals)}."


def _on_tasks_like(best: Any, table: pd.DataFrame) -> str:
    """Return what the best method's gains would be on other tasks; nothing if one task cannot say."""
    ranges = [
        f"{_range(best, f'{name}_like')} over {called}"
        for name, called in BASELINES.items()
        if name in table and best.name != name and pd.notna(getattr(best, f"{name}_like_low"))
    ]
    return f"Intervals on other tasks like these: {_listed(ranges)}." if ranges else ""


def _points(gain: float) -> str:
    return f"{abs(gain):.2f} points {'above' if gain >= 0 else 'below'}"


def _listed(parts: Sequence[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def _range(row: Any, name: str = "") -> str:
    """Return an interval: of a gain, or of the score."""
    low, high = (getattr(row, f"{name}_{end}" if name else end) for end in ("low", "high"))
    text = f"[{signed(low)}, {signed(high)}]" if name else f"[{low:.2f}, {high:.2f}]"
    return f'<span class="range">{text}</span>'


def _table(table: pd.DataFrame, shown: Sequence[str]) -> str:
    heading = [
        "Method",
        "Mean test score, %",
        *(f"Gain over {BASELINES[name].removeprefix('the ')}" for name in shown),
        "Samples",
        "Tokens",
    ]
    lines = [f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in heading)}</tr>"]
    for place, row in enumerate(rows_of(table)):
        cells = [
            escape(row.shown),
            NONE if pd.isna(row.score) else f"{row.score:.2f} {_range(row)}",
            *(_gain(row, name) for name in shown),
            *(NONE if pd.isna(number) else f"{number:,.0f}" for number in (row.samples, row.tokens)),
        ]
        best = ' class="best"' if place == 0 and pd.notna(row.score) else ""
        lines.append(f"<tr{best}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return f"<table>{''.join(lines)}</table>"


def _gain(row: Any, name: str) -> str:
    gain = getattr(row, name)
    if row.name == name or pd.isna(gain):
        return ""
    doubt = "" if getattr(row, f"{name}_holds") == "yes" else ' <span class="range">n.s.</span>'
    return f"{signed(gain)} {_range(row, name)}{doubt}"


def _note(tests: int, seeds: Sequence[int], sizes: Sequence[int]) -> str:
    """Return what the numbers are."""
    fewest, most = min(sizes), max(sizes)
    samples = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
    listed = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    drawn = "test samples and seeds" if len(seeds) > 1 else "test samples (what other seeds give is not in them)"
    return escape(
        f"Table 2 in short: {f'means over {tests} tasks' if tests > 1 else 'one task'} with {samples} test samples "
        f"each, {listed}. In brackets: 95 % intervals on these tasks, over {drawn}. n.s.: a difference that does not "
        "hold. Samples: validation prompts that candidates answer, those of the experts included; tokens: read, "
        "generated or trained on; both per run, medians over tasks and seeds; –: looks at no validation sample. "
        "Within a run, validation data chose; which method is best is known from the test, so that its lead is a "
        "little flattered."
    )
