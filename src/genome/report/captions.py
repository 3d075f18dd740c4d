"""What is said below a comparison: what its numbers are and estimate, its marks, and why cells are empty."""

from collections.abc import Sequence

import pandas as pd

from genome.report.layout import TASKS_LIKE, Column, Method, Style
from genome.report.rendering import SYMBOLS, marks
from genome.report.tables import HANDED_OUT, chosen
from genome.report.traces import answered_by, unique

FOUND = "search"

RESULTS = {
    FOUND: "the search's result",
    "expert": "the best expert",
    "base": "the base",
    "validation_lora": "the Validation LoRA",
}
"""What a run may hand out, by the words of its scores."""


def caption(
    scores: pd.DataFrame,
    uncertainty: pd.DataFrame,
    methods: Sequence[Method],
    columns: Sequence[Column],
    seeds: Sequence[int],
    style: Style,
) -> str:
    """Return the sentences that explain a table's numbers: seeds, test samples, gains, marks, what means estimate."""
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
    several = len(seeds) > 1
    sentences = [
        style.about,
        f"Test scores in percent, {f'mean over seeds {listed}' if several else f'seed {listed}'} "
        f"(a method without randomness repeats its value); {samples}; the standard error of one run's score is at "
        f"most {shown['standard_error'].max():.1f} points.",
        "In parentheses behind a score: the lowest and the highest seed." if several else "",
        "The best score of a column is bold, the second italic.",
        *_about_gains(methods, style),
        *_about_marks(methods, style, seeds),
        *_about_means(uncertainty),
        "Searches hand out what they found unless a line above says otherwise.",
        answered_by(answered),
    ]
    return " ".join(filter(None, sentences))


def notes(
    scores: pd.DataFrame, methods: Sequence[Method], columns: Sequence[Column], seeds: Sequence[int]
) -> list[str]:
    """Return the lines below a table: which expert Best Single is, what runs hand out, why cells are empty."""
    runs = [pd.concat([chosen(scores, row, column, seeds) for column in columns]) for row in methods]
    lines = [
        line
        for row, own in zip(methods, runs, strict=True)
        for line in (*_best_single(row, own), *_handed_out(row, own))
    ]
    return [*lines, *_blanks(methods)]


def _best_single(row: Method, runs: pd.DataFrame) -> list[str]:
    """Return the line that says which expert Best Single is on each test."""
    named = {expert: unique(tests["test_task"]) for expert, tests in runs.groupby("expert", sort=False) if expert}
    listed = [f"{expert} ({', '.join(tests)})" for expert, tests in named.items()]
    return [f"{row['label']} is {'; '.join(listed)}."] if listed else []


def _handed_out(row: Method, runs: pd.DataFrame) -> list[str]:
    """Return the line that says what a row's searches hand out, unless it is always what they found."""
    counts = runs.loc[(runs[HANDED_OUT] != "") & runs["seed"].notna(), HANDED_OUT].value_counts()
    parts = [f"{text} in {counts[word]}" for word, text in RESULTS.items() if word in counts]
    if {*counts.index} <= {FOUND}:
        return []
    first, *others = parts
    return [f"{row['label']} handed out: {', '.join([f'{first} of {counts.sum()} runs', *others])}."]


def _blanks(methods: Sequence[Method]) -> list[str]:
    """Return a line for each reason why cells are empty, with their rows and columns."""
    by_reason: dict[str, list[str]] = {}
    for row in methods:
        blanks = row.get("blanks", {})
        for reason in unique(blanks.values()):
            tests = ", ".join(column for column, why in blanks.items() if why == reason)
            by_reason.setdefault(reason, []).append(f"{row['label']} on {tests}")
    return [f"Empty: {'; '.join(rows)}: {reason.rstrip('.')}." for reason, rows in by_reason.items()]


def _about_gains(methods: Sequence[Method], style: Style) -> list[str]:
    gains = style.gains(methods)
    if not gains:
        return []
    form = "in points, then in percent of the score compared with"
    text = f"the gain over {gains[0][1]['label']}, {form}" if style.inline else f"“vs” rows are gains {form}"
    mean = "; the mean of the latter is the mean of the columns' gains" if style.mean else ""
    return [f"{f'In parentheses: {text}' if style.inline else text}{mean}; “—” is no change."]


def _about_marks(methods: Sequence[Method], style: Style, seeds: Sequence[int]) -> list[str]:
    references = style.references(methods)
    if not references:
        return []
    symbols = [f"{SYMBOLS[row['name']]} differs from {row['label']}" for row in marks(methods, style)]
    gained = bool(style.gains(methods))
    doubtful = ["n.s. marks a gain that does not hold"] if gained else []
    among = " or ".join([*(["a mark twice"] if symbols else []), *(["a bold gain"] if gained else [])])
    drawn = "test samples and seeds" if len(seeds) > 1 else "test samples (one seed: what others give is not in it)"
    return [
        f"{'; '.join([*symbols, *doubtful])}; {among}: also with Holm's correction for all differences of this "
        "table from the same row.",
        f"A difference holds where its paired 95 % interval, over {drawn}, excludes 0 and, for shares of correct "
        "answers of one task, an exact test on the samples that differ agrees.",
        *(["A score without a mark is not shown to differ."] if symbols else []),
    ]


def _about_means(uncertainty: pd.DataFrame) -> list[str]:
    """Return what the marks of means are about, and which rows are better on tasks like these."""
    like = uncertainty[(uncertainty["test"] == TASKS_LIKE) & (uncertainty["versus"] != "")]
    if not len(like):
        return []
    better = like[(like["holds"] == "yes") & (like["value"] > 0)]
    listed = [f"than {other}: {', '.join(rows['method'])}" for other, rows in better.groupby("versus", sort=False)]
    return [
        "Marks of means are about these tasks; with tasks drawn too, as a sample of tasks like these, the mean is "
        f"higher {'; '.join(listed) or 'for no row than for those compared with'}."
    ]
