"""Comparisons in Markdown: the best scores, gains, and marks of significant differences."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from genome.report.layout import Column, Method, Style
from genome.report.markdown import pipe_table, signed
from genome.report.tables import chosen, rows_of
from genome.report.traces import answered_by, versus

SYMBOLS = {"best_single": "†", "model_swarms": "‡"}
"""Marks of a score that differs from a reference's; the same in all tables."""


def markdown(
    table: pd.DataFrame,
    uncertainty: pd.DataFrame,
    methods: Sequence[Method],
    columns: Sequence[Column],
    style: Style,
    caption: str = "",
) -> str:
    """Return a comparison in Markdown: two decimals, the best of each column bold, the second italic, gains with signs.

    A score is marked if its difference from a reference is significant, a gain if it is not. If every row shows a gain
    next to its score, the score needs no mark.
    """
    differences = [row for row in rows_of(uncertainty) if row.versus]
    holding = {(row.method, row.versus, row.test) for row in differences if row.holds == "yes"}
    tested = {(row.method, row.versus, row.test) for row in differences}
    marked = {row["label"]: SYMBOLS[row["name"]] for row in marks(methods, style)}
    values = table.set_index("method").astype(float).round(2)
    names = list(map(str, values.columns))
    labels = [row["label"] for row in methods]
    # Equal scores share their rank, so several may be bold; ranks count distinct scores.
    ranks = values.loc[labels].rank(method="dense", ascending=False)

    def cell(numbers: pd.DataFrame, label: str, name: str) -> Any:
        return numbers.loc[label, name]

    def score(label: str, name: str) -> str:
        symbols = [symbol for reference, symbol in marked.items() if (label, reference, name) in holding]
        return _score_cell(cell(values, label, name), cell(ranks, label, name)) + "".join(symbols)

    def gain(label: str, reference: str, name: str) -> str:
        doubtful = (label, reference, name) in tested - holding
        return _gain_cell(cell(values, versus(label, reference), name), doubtful)

    gains = [(row["label"], reference["label"]) for row, reference in style.gains(methods)]
    lines = []
    for label in labels:
        own = [reference for compared, reference in gains if compared == label]
        if style.inline:
            lines.append([label, *(_with_gains(score(label, name), gain, label, own, name) for name in names)])
            continue
        lines.append([label, *(score(label, name) for name in names)])
        lines += [[f"– vs {reference}", *(gain(label, reference, name) for name in names)] for reference in own]
    heading = ["Method", *names]
    groups = {column["name"]: column.get("group") for column in columns}
    if any(groups.values()):
        # A Markdown heading cannot span columns: a group's name is put over its first column.
        lines.insert(0, ["", *names])
        named = [groups.get(name) or "" for name in names]
        heading = ["Method", *("" if name in named[:place] else name for place, name in enumerate(named))]
    text = pipe_table(lines, heading)
    return f"{text}\n\n{caption}\n" if caption else f"{text}\n"


def caption(
    scores: pd.DataFrame, methods: Sequence[Method], columns: Sequence[Column], seeds: Sequence[int], style: Style
) -> str:
    """Return the sentences that explain a table's numbers: seeds, test samples, gains, marks."""
    shown = pd.concat([chosen(scores, row, column, seeds) for row in methods for column in columns])
    sizes = shown.groupby("test_task")["n"].max()
    tests = list(dict.fromkeys(column["test_task"] for column in columns))
    if sizes.nunique() == 1:
        samples = f"{sizes.iloc[0]} test samples a task"
    else:
        samples = "test samples: " + ", ".join(f"{task} {sizes[task]}" for task in tests if task in sizes)
    listed = ", ".join(map(str, seeds))
    answered = [
        (row["label"], column["name"], engine)
        for row in methods
        for column in columns
        for engine in chosen(scores, row, column, seeds)["engine"]
    ]
    sentences = [
        style.about,
        f"Test scores in percent, {f'mean over seeds {listed}' if len(seeds) > 1 else f'seed {listed}'} "
        f"(a method without randomness repeats its value); {samples}; the standard error of one run's score is at "
        f"most {shown['standard_error'].max():.1f} points.",
        "The best score of a column is bold, the second italic.",
        *_about_gains(methods, style),
        *_about_marks(methods, style, seeds),
        answered_by(answered),
    ]
    return " ".join(filter(None, sentences))


def marks(methods: Sequence[Method], style: Style) -> list[Method]:
    """Return the references whose differences are marked at scores: those whose gains are not next to every score."""
    gains = style.gains(methods)
    shown = [reference for _, reference in gains] if style.inline and style.compared is None else []
    return [row for row in style.references(methods) if row not in shown]


def _about_gains(methods: Sequence[Method], style: Style) -> list[str]:
    gains = style.gains(methods)
    if not gains:
        return []
    if style.inline:
        text = f"In parentheses: the relative gain over {gains[0][1]['label']}"
    else:
        text = "“vs” rows are relative gains in percent of the score compared with"
    mean = "; their mean is the mean of the columns' gains" if style.mean else ""
    return [f"{text}{mean}; “—” is no change."]


def _about_marks(methods: Sequence[Method], style: Style, seeds: Sequence[int]) -> list[str]:
    references = style.references(methods)
    if not references:
        return []
    symbols = [f"{SYMBOLS[row['name']]} differs from {row['label']}" for row in marks(methods, style)]
    doubtful = ["n.s. marks a gain that does not hold"] if style.gains(methods) else []
    drawn = "test samples and seeds" if len(seeds) > 1 else "test samples (one seed: what others give is not in it)"
    rough = " (with few seeds, their part in it is rough)" if 1 < len(seeds) < 5 else ""
    return [
        f"{'; '.join([*symbols, *doubtful])}.",
        f"A difference holds where its paired 95 % interval, bootstrapped over {drawn}, excludes 0{rough}.",
        *(["A score without a mark is not shown to differ."] if symbols else []),
        "Nothing is corrected for the number of comparisons.",
    ]


def _with_gains(
    score: str, gain: Callable[[str, str, str], str], label: str, references: Sequence[str], name: str
) -> str:
    shown = [text for reference in references if (text := gain(label, reference, name))]
    return f"{score} ({', '.join(shown)})" if shown and score else score


def _score_cell(value: float, rank: float) -> str:
    if pd.isna(value):
        return ""
    emphasis = {1.0: "**", 2.0: "*"}.get(rank, "") if value else ""  # a score of 0 is not marked as the best
    return f"{emphasis}{value:.2f}{emphasis}"


def _gain_cell(value: float, doubtful: bool) -> str:
    if pd.isna(value):
        return ""
    if not value:
        return "—"
    return f"{signed(value)}%" + (" n.s." if doubtful else "")
