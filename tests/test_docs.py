"""README.md and docs/: links, commands, examples of configs, and the numbers that a script prints into them."""

import importlib.util
import re
import shutil
import subprocess
import tomllib

import pandas as pd
import pytest
import typer
import yaml

from builders import score_row
from genome.cli import app
from genome.files import write_json, write_jsonl
from pages import PAGES, PROJECT, anchors, blocks, commands, links, name_of, tokens

README = PROJECT / "README.md"
DOCS = [README, *sorted((PROJECT / "docs").glob("*.md"))]
WRITTEN_BY_USERS = {"mine.yaml", "gemma.yaml"}

each_page = pytest.mark.parametrize("page", PAGES, ids=name_of)
each_doc = pytest.mark.parametrize("page", DOCS, ids=name_of)


@each_page
def test_every_link_leads_to_a_file_and_an_anchor(page):
    broken = []
    for address in links(page):
        if re.match(r"(https?|mailto):", address):
            continue
        path, _, anchor = address.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(address)
    assert not broken


@each_page
def test_every_image_has_a_description(page):
    assert not [token.attrs["src"] for token in tokens(page) if token.type == "image" and not token.content]


def test_every_image_is_shown_on_a_page():
    shown = {(page.parent / address).resolve() for page in PAGES for address in links(page)}
    assert not [path.name for path in (PROJECT / "docs/images").iterdir() if path not in shown]


def test_readme_has_at_most_160_lines_and_links_to_every_page_of_docs():
    assert len(README.read_text().splitlines()) <= 160
    assert {f"docs/{page.name}" for page in DOCS[1:]} <= {*links(README)}


@each_doc
def test_every_shell_block_is_valid_bash(page):
    for block in blocks(page, "sh"):
        checked = subprocess.run(["bash", "-n", "-c", block], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr


def snakemake_parses(words):
    from snakemake.cli import get_argument_parser

    arguments = get_argument_parser().parse_args(words)
    files = {str(path) for path in arguments.configfile or ()} - WRITTEN_BY_USERS
    folders = [arguments.workflow_profile] if arguments.workflow_profile else []
    assert all((PROJECT / path).exists() for path in (*files, *folders))


def genome_parses(words):
    command = typer.main.get_command(app)
    with command.make_context("genome", [*words]) as context:
        name, subcommand, rest = command.resolve_command(context, [*words])
        subcommand.make_context(name, rest, parent=context)


def pip_installs_the_tested_versions(words):
    assert words[:2] == ["install", "-e"]
    assert words[words.index("-c") + 1] == "constraints.txt"


def pytest_knows_its_markers(words):
    markers = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["markers"]
    known = {marker.partition(":")[0] for marker in markers} | {"and", "not", "or"}
    assert not words or (words[0] == "-m" and {*words[1].split()} <= known)


def conda_has_its_file(words):
    assert (PROJECT / words[words.index("-f") + 1]).exists()


def python_has_its_file(words):
    assert (PROJECT / words[0]).exists()
    assert all((PROJECT / path).exists() for path in words if path.endswith(".yaml"))


CHECKS = {
    "python": python_has_its_file,
    "snakemake": snakemake_parses,
    "genome": genome_parses,
    "pip": pip_installs_the_tested_versions,
    "pytest": pytest_knows_its_markers,
    "conda": conda_has_its_file,
}
RUN_ELSEWHERE = {
    "docs/own.md": {"cat", "cd"},
    "docs/slurm.md": {"left()", "left"},
    "docs/smollm2.md": {"export", "pip", "python"},
}
"""Programs of pages whose lines are run by test_own.py, test_slurm.py and test_smollm2.py in tests/workflow."""


@each_doc
def test_every_command_has_valid_arguments(page):
    """What they would make is planned in tests/workflow/test_docs.py."""
    for program, *words in commands(page):
        if program not in RUN_ELSEWHERE.get(name_of(page), ()):
            assert program in CHECKS, f"no check for {program} {words}"
            CHECKS[program](words)


@each_doc
def test_every_yaml_block_is_a_config_or_a_task(page):
    keys = {*yaml.safe_load((PROJECT / "workflow/schemas/config.schema.yaml").read_text())["properties"]}
    fields = {*yaml.safe_load((PROJECT / "config/tasks/sums.yaml").read_text())}
    for block in blocks(page, "yaml"):
        found = {*yaml.safe_load(block)}
        assert found <= keys or found <= fields or (page.name, found) == ("extending.md", {"ranking"})


def test_architecture_page_names_existing_modules_and_every_package():
    _, _, section = (PROJECT / "docs/architecture.md").read_text().partition("## Packages of the library")
    source = PROJECT / "src/genome"
    modules = re.findall(r"`([\w/]+(?:\.py|/))`", section)
    assert len(modules) > 30
    assert not [name for name in modules if not (source / name).exists()]
    packages = re.findall(r"^\*\*`genome\.(\w+)`\*\*", section, flags=re.MULTILINE)
    assert sorted(packages) == sorted(path.parent.name for path in source.glob("*/__init__.py"))


def test_architecture_page_names_existing_folders():
    """Snakemake makes the other ones: those that a clone does not have."""
    _, _, section = (PROJECT / "docs/architecture.md").read_text().partition("## Folders of the project")
    rows = re.findall(r"^\| (`.+?) \|", section.partition("\n## ")[0], flags=re.MULTILINE)
    named = {name for row in rows for name in re.findall("`(.+?)`", row)} - {"resources/", "results/", "logs/"}
    assert not [name for name in named if not list(PROJECT.glob(name))]


def test_all_installing_lines_use_the_tested_versions():
    for page in PAGES:
        lines = [line for line in page.read_text().splitlines() if re.search(r"pip install -e", line)]
        assert all("-c constraints.txt" in line for line in lines), name_of(page)


@pytest.fixture(scope="module")
def printer():
    spec = importlib.util.spec_from_file_location("print_results", PROJECT / "docs/print_results.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PROJECT / "docs")  # as for a script, which imports its neighbour
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path):
    """A copy of the pages, to be printed into."""
    folder = tmp_path / "project"
    shutil.copytree(PROJECT / "docs", folder / "docs")
    shutil.copy(README, folder)
    return folder


@pytest.fixture
def results(printer, tmp_path):
    """Made-up results of a run: each table as the workflow writes it, with two tasks and one seed."""
    tables = tmp_path / "results/tables"
    tables.mkdir(parents=True)
    means = [50.04 + 0.1 * i for i in range(len(printer.SHOWN))]
    pd.DataFrame({"method": printer.SHOWN, "sums": 50.0, "mean": means}).to_csv(tables / "table2.csv", index=False)
    sure = [
        ("GENOME+", "Best Single", "mean", "yes", "no"),
        ("GENOME+", "Model Swarms", "mean", "no", "no"),
        ("GENOME+", "Model Swarms", "mean of tasks like these", "yes", "yes"),
        ("GENOME+", "Model Swarms", "sums", "yes", "yes"),
        ("DARE_TIES", "Best Single", "mean", "yes", "yes"),
        ("DARE_TIES", "Model Swarms", "mean", "yes", "no"),
        ("GENOME", "", "mean", "", ""),
    ]
    columns = ["method", "versus", "test", "holds", "holds_holm"]
    pd.DataFrame(sure, columns=columns).to_csv(tables / "table2_uncertainty.csv", index=False)
    rows = [("sums", 1, 1200, 1.24), ("algebra", 1, 1200, 1.5), ("algebra", None, 1200, 0.2)]
    columns = ["test_task", "seed", "n", "standard_error"]
    pd.DataFrame(rows, columns=columns).to_csv(tables / "table2_scores.csv", index=False)
    (tables / "table2.md").write_text("| Method | sums |\n|:--|--:|\n| GENOME+ | **51.37**† |\n\nA caption.\n")
    pictures = tmp_path / "results/figures/family_tree/facts_pro/genome_plus/n10"
    pictures.mkdir(parents=True)
    (pictures / "seed1.png").write_bytes(b"picture")
    return tmp_path / "results"


@pytest.fixture
def search_results(printer, tmp_path):
    tables = tmp_path / "search/tables"
    tables.mkdir(parents=True)
    rows = [
        (label, 95.25, 94.0, -1.0, -2.26, 0.5, 32400.0, None if i else 0.5) for i, label in enumerate(printer.SEARCH)
    ]
    columns = ["method", "validation", "test", "difference", "difference_low", "difference_high", "samples", "relative"]
    pd.DataFrame(rows, columns=columns).to_csv(tables / "efficiency.csv", index=False)
    return tmp_path / "search"


def printed(printer, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["print_results.py", *map(str, arguments)])
    printer.main()


def pages_in(folder):
    return {path.name: path.read_bytes() for path in (folder / "README.md", *folder.glob("docs/*.md"))}


def test_printed_numbers_are_those_of_the_tables(printer, monkeypatch, project, results, search_results):
    printed(printer, monkeypatch, results, "--search", search_results, "--project", project)
    readme = (project / "README.md").read_text()
    rows = ["DARE_TIES | 50.3††‡", "LoraHub | 50.4", "Model Swarms | 50.5", "GENOME | 50.6", "GENOME+ | 50.7†"]
    assert "".join(f"| {row} |\n" for row in rows) in readme
    assert "Mean test score of 2 tasks (%)" in readme
    assert (
        "Means over seed 1; 1,200 test samples per task; the standard error of one run's score is at most 1.5 "
        in readme
    )
    page = (project / "docs/results.md").read_text()
    assert "<!-- results: table2 -->\n| Method | sums |\n|:--|--:|\n| GENOME+ | **51.37**† |\n<!-- end -->\n" in page
    assert "A caption" not in page
    assert "| CMA-ES | 95.2 | 94.0 | −1.0 [−2.3, 0.5] | 32,400 |  |\n" in (project / "docs/search.md").read_text()
    assert (project / "docs/images/family_tree.png").read_bytes() == b"picture"


def write_test(folder, method, right, *, seed=None, draw=1):
    """Write the test of a run on a draw of 20 samples, with the first `right` of 40 answers right."""
    tasks = f"csqa_by_likelihood@20.{draw}"
    out = folder / f"test/csqa_by_likelihood/{tasks}/{method}"
    answers = [{"report": "best", "sample": i, "answer": "x", "score": float(i < right)} for i in range(40)]
    row = score_row(method, "csqa_by_likelihood", right / 40, tasks=tasks, population_size=None, seed=seed, n=40)
    out.mkdir(parents=True)
    write_jsonl(out / "answers.jsonl", answers)
    write_json(out / "scores.json", [row])


def test_draws_of_a_real_model_are_printed_with_what_runs_hand_out(printer, monkeypatch, project, tmp_path):
    folder = tmp_path / "draws"
    write_test(folder, "base", 4)
    for draw, ours in ((1, 30), (2, 10)):
        write_test(folder, "best_single", 20, draw=draw)
        write_test(folder, "gauss_newton", ours, seed=draw, draw=draw)
        run = folder / f"runs/csqa_by_likelihood@20.{draw}/gauss_newton/n10/seed{draw}/finalists"
        run.mkdir(parents=True)
        write_json(run / "population.json", {"best": {"operator": ("step", "mixture")[draw - 1]}})
    (folder / "figures").mkdir()
    (folder / "figures/learning_curve.csv").write_text("")
    printed(printer, monkeypatch, tmp_path / "none", "--smollm2-draws", folder, "--project", project)
    page = (project / "docs/smollm2.md").read_text()
    cells = {line.split("|")[1].strip(): line for line in page.splitlines() if line.startswith("|")}
    assert " 50.0 [" in cells["Gauss-Newton"]
    assert " +0.0 [" in cells["Best Single"], "the later table has the differences"
    assert " +40.0 [" in cells["Base"]
    [*_, last] = [line for line in page.splitlines() if line.startswith("| csqa ")]
    # The best expert is surely better in the second draw.
    assert "1 search, 1 mean of the experts" in last
    assert last.count("1 of 2") == 2


def test_table_of_a_real_model_is_printed_with_what_it_is_a_mean_over(printer, monkeypatch, project, results, tmp_path):
    printed(printer, monkeypatch, tmp_path / "none", "--smollm2-first", results, "--project", project)
    page = (project / "docs/smollm2.md").read_text()
    table = "| Method | sums |\n|:--|--:|\n| GENOME+ | **51.37**† |\n"
    assert f"<!-- results: smollm2_first -->\n{table}\nMeans over seed 1; 1,200 test samples per task; " in page
    assert "<!-- results: smollm2 -->\nNot yet measured.\n<!-- end -->" in page


def test_printing_twice_changes_nothing(printer, monkeypatch, project, results, search_results, capsys):
    arguments = (results, "--search", search_results, "--project", project)
    printed(printer, monkeypatch, *arguments)
    once = pages_in(project)
    capsys.readouterr()
    printed(printer, monkeypatch, *arguments)
    assert pages_in(project) == once
    assert "have changed" not in capsys.readouterr().out


def test_blocks_without_results_stay_and_are_named(printer, monkeypatch, project, tmp_path, capsys):
    before = pages_in(project)
    printed(printer, monkeypatch, tmp_path, "--project", project)
    assert pages_in(project) == before
    out = capsys.readouterr().out
    assert "README.md: no results for 'summary', left as it is" in out
    assert "search.md: no results for 'search', left as it is" in out


def test_an_unknown_block_is_refused(printer):
    with pytest.raises(SystemExit, match="unknown block 'tabel2', known are summary, "):
        printer.replaced("<!-- results: tabel2 -->\n<!-- end -->\n", printer.blocks(PROJECT, None))


def test_every_number_block_of_the_pages_is_known_and_not_empty(printer):
    found = [match for page in DOCS for match in printer.BLOCK.finditer(page.read_text())]
    assert {match["name"] for match in found} >= {"summary", "search", "table2"}
    assert {match["name"] for match in found} <= {*printer.blocks(PROJECT, None)}
    assert all(match["text"].strip() for match in found)
    marks = sum(len(re.findall("<!-- (?:results: |end)", page.read_text())) for page in DOCS)
    assert marks == 2 * len(found), "a block is not closed"
