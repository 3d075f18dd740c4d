"""Print the numbers and pictures of finished runs into README.md and the pages of docs/.

    python docs/print_results.py RESULTS [--search RESULTS] [--smollm2 RESULTS] [--smollm2-first RESULTS]
        [--smollm2-draws RESULTS]

RESULTS is the results folder of a finished run of the default config, or of config/NAME.yaml for `--NAME`. A page
marks the place of its numbers with two comments, and what is between them is replaced:

    <!-- results: NAME -->
    <!-- end -->

NAME is a key of `blocks` below. A block whose table is not in the folder stays as it is. Printing the same results
twice changes nothing.
"""

import argparse
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from print_draws import section

ROOT = Path(__file__).resolve().parent.parent

Blocks = Mapping[str, tuple[Path | None, Callable[[Path], str]]]

BLOCK = re.compile(r"^<!-- results: (?P<name>[\w ]+) -->\n(?P<text>.*?)^<!-- end -->$", re.MULTILINE | re.DOTALL)

SHOWN = (
    "Task arithmetic",
    "Validation LoRA",
    "Best Single",
    "DARE_TIES",
    "LoraHub",
    "Model Swarms",
    "GENOME",
    "GENOME+",
    "CMA-ES (not in the paper)",
)
"""The rows of Table 2 that the README shows."""

MARKS = {"Best Single": "†", "Model Swarms": "‡"}
"""Marks of a score whose difference from another method's holds, as in the workflow's own tables: twice with Holm."""

SEARCH = (
    "GENOME+",
    "GENOME+ tuned (not in the paper)",
    "CMA-ES (not in the paper)",
    "CMA-ES on products (not in the paper)",
    "CMA-ES with races (not in the paper)",
    "CMA-ES by likelihood (not in the paper)",
    "Gauss-Newton (not in the paper)",
    "Model Swarms",
)

TABLES = (*(f"table{number}" for number in (1, 2, 3, 4, 5, 7, 8, 10, 11)), "efficiency", "protocol")
"""Tables that pages may show as the workflow wrote them."""

PORTRAITS = ("evolution", "family_tree", "expert_shares", "diversity")
PICTURES = {
    **{
        f"{name}.png": f"{name}.png" for name in ("figure2", "figure3", "learning_curve", "ensemble_by_k", "efficiency")
    },
    **{f"{kind}.png": f"{kind}/facts_pro/genome_plus/n10/seed1.png" for kind in PORTRAITS},
}
"""Files of docs/images to the files of results/figures that they are copies of."""


DRAWS = "smollm2_draws"
"""The preset of a real model that has a learning curve instead of Table 2."""

NOT_GIVEN = {"smollm2": None, "smollm2_first": None, DRAWS: None}
"""Presets of a real model, without a results folder: Table 2 is shown as the workflow wrote it."""


def blocks(results: Path, search: Path | None, real: Mapping[str, Path | None] = NOT_GIVEN) -> Blocks:
    """Return for each block the table that it needs and the function that prints it from that table.

    `search` and `real` are the results folders of presets.
    """
    tables = results / "tables"
    efficiency = search and search / "tables" / "efficiency.csv"
    return {
        "summary": (tables / "table2.csv", summary),
        "setting": (tables / "table2_scores.csv", lambda path: f"{setting(path)}\n"),
        **{name: (tables / f"{name}.md", rows_of) for name in TABLES},
        "search": (efficiency, spent),
        **{name: (folder and folder / "tables" / "table2.md", rows_and_setting) for name, folder in real.items()},
        DRAWS: ((folder := real.get(DRAWS)) and folder / "figures" / "learning_curve.csv", drawn),
    }


def summary(path: Path) -> str:
    """Return the README's table: some methods of Table 2 and the mean of their test scores, with marks."""
    means = pd.read_csv(path).set_index("method")["mean"]
    differences = pd.read_csv(path.with_name("table2_uncertainty.csv")).query("test == 'mean' and holds == 'yes'")
    times = {(row.method, row.versus): 2 if row.holds_holm == "yes" else 1 for row in differences.itertuples()}
    rows = [
        (label, f"{means[label]:.1f}" + "".join(mark * times.get((label, other), 0) for other, mark in MARKS.items()))
        for label in SHOWN
    ]
    scores = path.with_name("table2_scores.csv")
    tasks = pd.read_csv(scores)["test_task"].nunique()
    text = markdown(("Method", f"Mean test score of {tasks} tasks (%)"), rows)
    marks = ", ".join(f"{mark} from {label}" for label, mark in MARKS.items())
    return (
        f"{text}\n{setting(scores)}\nDifferent ([paired 95 % interval](docs/statistics.md)): {marks}; twice: also with "
        "Holm's correction for all differences of Table 2.\n"
    )


def setting(path: Path) -> str:
    """Return what the scores of Table 2 are means over."""
    scores = pd.read_csv(path)
    seeds = sorted({int(seed) for seed in scores["seed"].dropna()})
    listed = " and ".join(filter(None, (", ".join(map(str, seeds[:-1])), str(seeds[-1]))))
    samples = " to ".join(f"{size:,}" for size in sorted({scores["n"].min(), scores["n"].max()}))
    return (
        f"Means over {'seeds' if len(seeds) > 1 else 'seed'} {listed}; {samples} test samples per task; the standard "
        f"error of one run's score is at most {scores['standard_error'].max():.1f} points."
    )


def spent(path: Path) -> str:
    """Return what methods of a run of config/search.yaml reach and how many samples they use."""
    table = pd.read_csv(path).set_index("method")
    rows = []
    for label in SEARCH:
        row = table.loc[label]
        difference = f"{row.difference:+.1f} [{row.difference_low:.1f}, {row.difference_high:.1f}]".replace("-", "−")
        cells = f"{row.validation:.1f}", f"{row.test:.1f}", difference if label != "GENOME+" else ""
        share = "" if pd.isna(row.relative) else f"{row.relative:.2f}"
        rows.append((label.replace(" (not in the paper)", ""), *cells, f"{row.samples:,.0f}", share))
    heading = ("Method", "Validation", "Test", "Test − GENOME+", "Samples used", "Share needed to match GENOME+")
    return markdown(heading, rows)


def rows_of(path: Path) -> str:
    """Return the rows of a table in Markdown, without its caption."""
    return "".join(f"{line}\n" for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|"))


def rows_and_setting(path: Path) -> str:
    """Return the rows of a Table 2, and what its scores are means over."""
    return f"{rows_of(path)}\n{setting(path.with_name('table2_scores.csv'))}\n"


def drawn(path: Path) -> str:
    """Return what a study with draws of few samples shows, from its results folder."""
    return section(path.parent.parent)


def markdown(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown: the first column is text, the others are numbers."""
    lines = [heading, ["---", *["---:"] * (len(heading) - 1)], *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def replaced(text: str, printed: Blocks) -> tuple[str, list[str]]:
    """Return a page with its blocks printed, and the names of the blocks that stay because their table is missing."""
    kept = []

    def block(match: re.Match) -> str:
        name = match["name"]
        if name not in printed:
            raise SystemExit(f"unknown block '{name}', known are {', '.join(printed)}")
        path, print_block = printed[name]
        if path is None or not path.exists():
            kept.append(name)
            return match[0]
        return f"<!-- results: {name} -->\n{print_block(path)}<!-- end -->"

    return BLOCK.sub(block, text), kept


def main() -> None:
    """Rewrite the blocks of all pages and copy the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    for name in ("search", *NOT_GIVEN):
        preset = name.replace("_", "-")
        parser.add_argument(f"--{preset}", type=Path, help=f"the results folder of a run of config/{preset}.yaml")
    parser.add_argument("--project", type=Path, default=ROOT, help="the folder with README.md and docs/")
    arguments = parser.parse_args()
    real = {name: getattr(arguments, name) for name in NOT_GIVEN}
    for page in (arguments.project / "README.md", *sorted((arguments.project / "docs").glob("*.md"))):
        text = page.read_text(encoding="utf-8")
        new, kept = replaced(text, blocks(arguments.results, arguments.search, real))
        if new != text:
            page.write_text(new, encoding="utf-8")
            print(f"{page.name}: numbers have changed")
        for name in kept:
            print(f"{page.name}: no results for '{name}', left as it is")
    for name, source in PICTURES.items():
        if (arguments.results / "figures" / source).exists():
            shutil.copyfile(arguments.results / "figures" / source, arguments.project / "docs" / "images" / name)


if __name__ == "__main__":
    main()
