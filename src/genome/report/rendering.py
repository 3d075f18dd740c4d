"""Comparisons in Markdown: the best scores, gains, marks of differences that hold, headings of groups of rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from genome.report.layout import GROUPS, Column, Method, Style
from genome.report.markdown import pipe_table, signed
from genome.report.tables import rows_of
from genome.report.traces import minus, versus

SYMBOLS = {"best_single": "†", "model_swarms": "‡"}
"""Marks of a score that differs from a reference's; the same in all tables. Twice: also among all differences."""

Sure = Mapping[tuple[str, str, str], Any]
"""The rows of the uncertainty by their method, reference (empty for a score) and test."""


def markdown(
    table: pd.DataFrame,
    uncertainty: pd.DataFrame,
    methods: Sequence[Method],
    columns: Sequence[Column],
    style: Style,
) -> str:
    """Return a comparison in Markdown: two decimals, the best of each column bold, the second italic, gains with signs.

    A score is marked if its difference from a reference holds, a gain if it does not, or if it does among all
    differences. If every row shows a gain next to its score, the score needs no mark. Several seeds are shown by their
    lowest and highest score.
    """
    sure: Sure = {(row.method, row.versus, row.test): row for row in rows_of(uncertainty)}
    marked = {row["label"]: SYMBOLS[row["name"]] for row in marks(methods, style)}
    values = table.set_index("method").astype(float).round(2)
    names = list(map(str, values.columns))
    labels = [row["label"] for row in methods]
    # Equal scores share their rank, so several may be bold; ranks count distinct scores.
    ranks = values.loc[labels].rank(method="dense", ascending=False)
    gains = [(row["label"], reference["label"]) for row, reference in style.gains(methods)]

    def number(row: str, name: str) -> float:
        return float(values.loc[[row], name].iloc[0])

    def score(label: str, name: str) -> str:
        symbols = [_mark(symbol, sure.get((label, other, name))) for other, symbol in marked.items()]
        return _score_cell(number(label, name), float(ranks.loc[[label], name].iloc[0])) + "".join(symbols)

    def gain(label: str, other: str, name: str) -> str:
        points, relative = number(minus(label, other), name), number(versus(label, other), name)
        return _gain_cell(points, relative, sure.get((label, other, name)))

    lines = []
    for row, heading in zip(methods, headings(methods), strict=True):
        label = row["label"]
        own = [reference for compared, reference in gains if compared == label]
        lines += [[f"**{heading}**", *("" for _ in names)]] if heading else []
        beside = own if style.inline else []
        lines.append(
            [
                row["shown"],
                *(
                    _with(
                        score(label, name), _spread(sure.get((label, "", name))), [gain(label, o, name) for o in beside]
                    )
                    for name in names
                ),
            ]
        )
        if not style.inline:
            lines += [[f"– vs {reference}", *(gain(label, reference, name) for name in names)] for reference in own]
    heading = ["Method", *names]
    over = {column["name"]: column.get("group") for column in columns}
    if any(over.values()):
        # A Markdown heading cannot span columns: a group's name is put over its first column.
        lines.insert(0, ["", *names])
        named = [over.get(name) or "" for name in names]
        heading = ["Method", *("" if name in named[:place] else name for place, name in enumerate(named))]
    return f"{pipe_table(lines, heading)}\n"


def headings(methods: Sequence[Method]) -> list[str]:
    """Return the heading over each row: of its group, over the group's first row; none if all are the paper's."""
    groups = [row["group"] for row in methods]
    if {*groups} <= {"paper"}:
        return ["" for _ in groups]
    return ["" if group in groups[:place] else GROUPS[group] for place, group in enumerate(groups)]


def marks(methods: Sequence[Method], style: Style) -> list[Method]:
    """Return the references whose differences are marked at scores: those whose gains are not next to every score."""
    gains = style.gains(methods)
    shown = [reference for _, reference in gains] if style.inline and style.compared is None else []
    return [row for row in style.references(methods) if row not in shown]


def _mark(symbol: str, difference: Any) -> str:
    if difference is None or difference.holds != "yes":
        return ""
    return symbol * 2 if difference.holds_holm == "yes" else symbol


def _spread(score: Any) -> str:
    """Return the lowest and highest score over seeds, nothing for a single one."""
    if score is None or pd.isna(score.lowest):
        return ""
    return f"{score.lowest:.1f}–{score.highest:.1f}"


def _with(score: str, spread: str, gains: Sequence[str]) -> str:
    """Return a score with what follows it in parentheses."""
    shown = "; ".join(filter(None, (spread, *gains)))
    return f"{score} ({shown})" if shown and score else score


def _score_cell(value: float, rank: float) -> str:
    if pd.isna(value):
        return ""
    emphasis = {1.0: "**", 2.0: "*"}.get(rank, "") if value else ""  # a score of 0 is not marked as the best
    return f"{emphasis}{value:.2f}{emphasis}"


def _gain_cell(points: float, relative: float, difference: Any) -> str:
    """Return a gain in points and in percent; the second is missing over a score of 0."""
    if pd.isna(points):
        return ""
    if not points:
        return "—"
    bold = "**" if difference is not None and difference.holds_holm == "yes" else ""
    text = f"{bold}{signed(points)}{bold}" + ("" if pd.isna(relative) else f", {signed(relative)}%")
    return f"{text} n.s." if difference is not None and difference.holds != "yes" else text
