"""The Pareto front of runs over several tasks, with the base model, the experts and what is handed out.

Two tasks are the axes of a panel. More are the positions along one axis, with a line for each model on the front.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genome.report.figures.style import BEST, COLUMN, INK, LEGEND, MEAN, MEMBER, MUTED, PAGE, Row, pictures, styled
from genome.report.figures.style import write_rows as write_table
from genome.scoring.results import read_scores
from genome.search.finalists import BASE
from genome.search.front import FRONT
from genome.search.population import Individual, seen_in
from genome.search.records import read_population

log = logging.getLogger("genome")

WIDE = 2
"""Panels in a row."""

FROM = {"base": "base model", "mean": "best weighted mean", "knee": "knee"}
"""The models that are tested, and what the legend calls them."""

CHOSEN = {
    "base": {"color": INK, "marker": "s", "ms": 4.5},
    "mean": {"color": MEAN, "marker": "D", "ms": 6},
    "knee": {"color": BEST, "marker": "*", "ms": 6.5},
}
"""Looks of the models that are tested."""

POINTS = {
    "tried": {"marker": "o", "ms": 2.4, "mfc": "white", "mec": MUTED, "mew": 0.4, "zorder": 2, "label": "tried"},
    "expert": {"marker": "^", "ms": 4, "mfc": "white", "mec": INK, "mew": 0.6, "zorder": 3, "label": "expert"},
    "front": {"marker": "o", "ms": 3.4, "mfc": MEMBER, "mec": "white", "mew": 0.35, "zorder": 4, "label": "front"},
}
"""Looks of points on a plane of two tasks."""


def write(settings: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    """Draw the fronts of all panels in the settings (`genome.workflow.front`)."""
    panels = [rows_of(panel) for panel in settings["panels"]]
    write_table(outputs["table"], [row for rows in panels for row in rows])
    draw_fronts(panels, pictures(outputs))
    for panel, rows in zip(settings["panels"], panels, strict=True):
        log.info("%s: %d models on the front", "+".join(panel["tasks"]), len(_scores(rows, "front")))


def rows_of(panel: Mapping[str, Any]) -> list[Row]:
    """Return a row per model and task of a panel, in percent: all on validation, those that are tested also on test.

    `kind` is `tried` (and not on the front), `front`, `expert`, `base`, `mean` or `knee`; a model that is several of
    these has rows for each, except that those of `tried` are nothing else. `folder` has its genotype, or its test.
    """
    decided, mean, experts = (read_population(panel[name]) for name in ("knee", "mean", "experts"))
    front: Sequence[Individual] = decided.state[FRONT]
    [base] = [each for each in decided.created if each.name == BASE]
    elsewhere = {each.genotype for each in (*front, *experts.members, base)}
    kinds: dict[str, list[tuple[Individual, str]]] = {
        "tried": [],
        "front": [(each, panel["knee"]) for each in front],
        "expert": [(each, panel["experts"]) for each in experts.members],
        "base": [(base, panel["knee"])],
        "mean": [(mean.best, panel["mean"])],
        "knee": [(decided.best, panel["knee"])],
    }
    for path in panel["tried"]:
        for each in seen_in(read_population(path)):
            if each.genotype not in elsewhere:
                elsewhere.add(each.genotype)
                kinds["tried"].append((each, path))
    shared = {"tasks": "+".join(panel["tasks"]), "method": panel["label"], "seed": panel["seed"]}
    rows: list[Row] = [
        {**shared, "kind": kind, "individual": each.name, "split": "validation", "task": task}
        | {"score": 100 * each.required_fitness.scores[task], "folder": Path(path).parent.as_posix()}
        for kind, models in kinds.items()
        for each, path in models
        for task in panel["tasks"]
    ]
    for kind, by_task in panel["scores"].items():
        for task in panel["tasks"]:  # the order of a row's keys is that of the settings' text
            path = by_task[task]
            [score] = [row["score"] for row in read_scores(path) if row["report"] == "best"]
            named = {"kind": kind, "individual": kinds[kind][0][0].name, "split": "test", "task": task}
            rows.append({**shared, **named, "score": 100 * score, "folder": Path(path).parent.as_posix()})
    return rows


def draw_fronts(panels: Sequence[Sequence[Row]], out: Iterable[Path | str]) -> None:
    """Draw a panel for each list of rows: a plane for two tasks, profiles for more."""
    wide = min(len(panels), WIDE)
    high = ceil(len(panels) / wide)
    with styled(out, 0.5 + 2.8 * high, COLUMN if wide == 1 else PAGE) as figure:
        grid = figure.subplots(high, wide, squeeze=False)
        for axes, rows in zip(grid.flat, panels, strict=False):
            tasks = list(dict.fromkeys(row["task"] for row in rows))
            (_draw_plane if len(tasks) == 2 else _draw_profiles)(axes, rows, tasks)
            axes.set_title("{method}, seed {seed}".format(**rows[0]))
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        _legend(figure, grid.flat)


def _draw_plane(axes: Axes, rows: Sequence[Row], tasks: Sequence[str]) -> None:
    """Draw points over two tasks: the boundary of what the front dominates, and the line through its ends."""
    for kind, look in POINTS.items():
        points = _scores(rows, kind)
        if points:
            axes.plot(*zip(*points, strict=True), ls="", **look)
    front = sorted(_scores(rows, "front"))
    axes.plot(*zip(*front, strict=True), drawstyle="steps-pre", color=MEMBER, lw=1, zorder=2.5)
    if len(front) > 1:
        axes.plot(*zip(front[0], front[-1], strict=True), color=MUTED, lw=0.6, ls=(0, (1, 1.5)), zorder=2.5)
    for kind, look in CHOSEN.items():
        [validated], [tested] = _scores(rows, kind), _scores(rows, kind, "test")
        axes.plot(*zip(validated, tested, strict=True), color=look["color"], lw=0.6, zorder=5)
        axes.plot(*validated, ls="", mec="white", mew=0.4, zorder=7, label=FROM[kind], **look)
        axes.plot(*tested, ls="", mfc="white", mew=0.8, zorder=6, **look)
    axes.plot([], [], ls="", marker="D", ms=4, mfc="white", mec=MUTED, mew=0.8, label="the same on test")
    axes.set(xlabel=f"Score on {tasks[0]}, %", ylabel=f"Score on {tasks[1]}, %")
    axes.grid(visible=True, axis="both")
    axes.margins(0.06)


def _draw_profiles(axes: Axes, rows: Sequence[Row], tasks: Sequence[str]) -> None:
    """Draw a line over all tasks for each model on the front, for each expert, and for what is tested."""
    places = range(len(tasks))
    for kind, colour, width, dashes in (("expert", MUTED, 0.5, (0, (2, 1.5))), ("front", MEMBER, 0.8, "-")):
        for i, scores in enumerate(_scores(rows, kind)):
            label = "" if i else POINTS[kind]["label"]
            axes.plot(places, scores, color=colour, lw=width, ls=dashes, zorder=2, label=label)
    for kind, look in CHOSEN.items():
        [validated], [tested] = _scores(rows, kind), _scores(rows, kind, "test")
        axes.plot(places, validated, lw=1.3, mec="white", mew=0.4, zorder=5, label=FROM[kind], **look)
        axes.plot(places, tested, ls="", mfc="white", mew=0.8, zorder=4, **look)
    axes.plot([], [], ls="", marker="D", ms=4, mfc="white", mec=MUTED, mew=0.8, label="the same on test")
    axes.set_xticks(places, tasks)
    axes.set(ylabel="Score, %")
    axes.margins(x=0.08)


def _scores(rows: Sequence[Row], kind: str, split: str = "validation") -> list[tuple[float, ...]]:
    """Return the scores of each model of a kind, in the order of the tasks."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if (row["kind"], row["split"]) == (kind, split):
            found.setdefault(row["individual"], []).append(row["score"])
    return [tuple(scores) for scores in found.values()]


def _legend(figure: Figure, panels: Iterable[Axes]) -> None:
    """Name what the panels show, each once, below them."""
    named = [zip(*axes.get_legend_handles_labels(), strict=True) for axes in panels]
    handles = {name: handle for entries in named for handle, name in entries}
    columns = 4 if figure.get_figwidth() < PAGE else len(handles)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns, **LEGEND)
