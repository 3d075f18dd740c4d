"""The coefficient of each expert in the best individual, by generation."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm

from genome.genotype import by_expert
from genome.report.figures.style import BEST, COLUMN, INK, MEAN, PAGE, Row, by_generation, styled

SIGNS = LinearSegmentedColormap.from_list("signs", [MEAN, "white", BEST])
CELL = 0.245
"""Width and height of a number's cell in inches."""


def expert_shares(populations: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return the coefficient of each expert in the best individual so far, by generation, in the experts' order.

    `populations` are the contents of a run's `population.json` files, in any order. If groups of layers
    have separate coefficients, it is their mean.
    """
    return [
        {
            "generation": population["generation"],
            "individual": population["best"]["name"],
            "expert": expert["name"],
            "coefficient": coefficient,
            "fitness": population["best"]["fitness"],
        }
        for population in sorted(populations, key=lambda population: population["generation"])
        for expert, coefficient in zip(
            population["experts"],
            by_expert(population["best"]["genotype"]["coefficients"], len(population["experts"])),
            strict=True,
        )
    ]


def draw_expert_shares(rows: Sequence[Row], out: Iterable[Path | str], title: str = "") -> None:
    """Draw the coefficients as a table of shaded numbers, experts by generations, with the fitness below.

    The paper's operators are affine: coefficients sum to 1, and some are negative if an individual is outside the
    experts' hull. A search for the coefficients themselves (CMA-ES) is not bound by this.
    """
    generations = by_generation(rows)
    names = [row["expert"] for row in next(iter(generations.values()))]
    table = [[row["coefficient"] for row in best] for best in generations.values()]
    fitness = [best[0]["fitness"] for best in generations.values()]
    largest = max(abs(value) for column in table for value in column)
    width = min(PAGE, max(COLUMN, 0.75 + CELL * len(table)))
    with styled(out, 0.85 + CELL * 0.8 * (len(names) + 1), width) as figure:
        axes = figure.add_subplot()
        axes.grid(visible=False)
        axes.imshow(
            list(map(list, zip(*table, strict=True))),
            cmap=SIGNS, norm=TwoSlopeNorm(0, -1.25 * largest, 1.25 * largest), aspect="auto",
        )  # fmt: skip
        # With more columns numbers would overlap: only shades are drawn, and the csv has the numbers.
        if CELL * len(table) <= PAGE - 0.75:
            for x, column in enumerate(table):
                for y, value in enumerate(column):
                    _number(axes, x, y, short(value), "white" if value > 0.7 * largest else INK)
                _number(axes, x, len(names) + 0.15, f"{fitness[x]:.3f}".removeprefix("0"), INK)
        axes.axhline(len(names) - 0.45, color=INK, lw=0.6)
        axes.set(xlabel="Generation", title=title, ylim=(len(names) + 0.6, -0.5))
        step = 1 + len(table) // 30
        axes.set_xticks(range(0, len(table), step), list(map(str, generations))[::step])
        axes.set_yticks([*range(len(names)), len(names) + 0.15], [*names, "fitness"])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)


def _number(axes: Axes, x: float, y: float, text: str, colour: str) -> None:
    axes.text(x, y, text, ha="center", va="center", fontsize=5.6, color=colour)


def short(value: float) -> str:
    """Return a number in at most four characters: two decimals without leading zero, one from 1 on; '' for 0."""
    if abs(value) < 0.005:
        return "·" if value else ""
    text = f"{value:.2f}".replace("0.", ".", 1) if abs(value) < 0.995 else f"{value:.1f}"
    return text.replace("-", "−")
