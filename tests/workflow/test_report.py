"""Everything at once, and the one page that tells it: made, deleted and remade, opened in a browser."""

import csv
import html
import json
import re
import shutil
import subprocess

import pytest
import yaml

from genome.workflow import tables as rows
from genome.workflow.figures import FIGURES as FIGURE_ROWS
from genome.workflow.figures import PORTRAITS
from workflow.conftest import SMALL, merged

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

VARIANTS = ["best_single", "model_swarms", "genome", "genome_plus"]
EVERYTHING = {
    "table1": {"tasks": ["sums", "emotions"]},
    "table2": {"tasks": ["sums", "emotions"], "variants": VARIANTS},
    "table3": {"tasks": ["sums", "emotions"], "variants": VARIANTS},
    "table4": {"domains": [{"name": "Both", "tasks": ["sums", "emotions"]}], "variants": ["genome_plus"]},
    "table5": {"pairs": [["sums", "emotions"]], "variants": ["genome", "genome_plus"]},
    "table7": {"tasks": ["sums"]},
    "table8": {"tasks": ["sums"], "without": ["genome_plus-no_succession", "genome_plus-no_ensemble"]},
    "study": {"task": "sums", "runs": 5},
    "efficiency": {"tasks": ["sums", "emotions"]},
    "protocol": {"tasks": ["sums", "emotions"]},
    "figure2": {"tasks": ["sums"], "variants": ["genome", "genome_plus"], "sizes": [4, 5]},
    "learning_curve": {"tasks": ["sums"], "variants": ["best_single", "genome_plus"], "sizes": [10, 30]},
    "figure3": {"tasks": ["sums", "emotions"]},
    "portraits": {"tasks": ["sums"], "variants": ["genome_plus"]},
}
TABLES = [name for name in rows.TABLES if name not in ("table6", "across")]  # whose parts are null here
FIGURES = [*(name for name in FIGURE_ROWS if name != "front"), "efficiency"]  # test_front.py draws a front
KINDS = [*PORTRAITS]

LOOK = """<script>
(async () => {
    const seen = {};
    for (const [path, entry] of Object.entries(results)) {
        const look = {caption: entry.caption, width: 0, cells: 0};
        if (entry.mime_type.startsWith("image/")) {
            const image = new Image();
            image.src = entry.data_uri;
            await image.decode();
            look.width = image.naturalWidth;
        }
        if (entry.mime_type === "text/html") {
            const text = await (await fetch(entry.data_uri)).text();
            look.cells = new DOMParser().parseFromString(text, "text/html").querySelectorAll("td").length;
        }
        seen[path] = look;
    }
    const said = document.createElement("pre");
    said.id = "seen";
    said.textContent = JSON.stringify(seen);
    document.body.append(said);
})();
</script>"""


@pytest.fixture(scope="module")
def everything(finished, tmp_path_factory):
    """A project in which all that a config can ask for has been made, by asking for nothing in particular."""
    project = finished.copy(tmp_path_factory.mktemp("everything") / "project")
    (project.folder / "small.yaml").write_text(yaml.safe_dump(merged(SMALL, EVERYTHING)))
    project.make()
    return project


@pytest.fixture(scope="module")
def report(everything):
    result = everything.snakemake("--report", "results/report.html")
    assert result.returncode == 0, result.stderr[-4000:]
    return everything.folder / "results/report.html"


@pytest.fixture(scope="module")
def seen(report):
    """What a browser that opens the report finds: its text, and each table and figure in it."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    page = report.with_name("looked_at.html")
    page.write_text(report.read_text() + LOOK)
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=60000", "--dump-dom"]
    shown = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r'<pre id="seen">(.*?)</pre>', shown, re.DOTALL)
    assert found, "the page's script did not end"
    return {"text": shown.partition('<pre id="seen">')[0], "results": json.loads(html.unescape(found[1]))}


def test_default_target_makes_every_table_and_figure(everything):
    for table in TABLES:
        assert (everything.folder / f"results/tables/{table}.csv").exists(), table
    for figure in FIGURES:
        assert (everything.folder / f"results/figures/{figure}.svg").exists(), figure
        assert (everything.folder / f"results/figures/{figure}.png").exists(), figure
    assert everything.planned() == []


def test_every_row_of_tables_and_figures_names_existing_files(everything):
    files = [*everything.folder.glob("results/tables/*.csv"), *everything.folder.glob("results/figures/**/*.csv")]
    assert {file.stem for file in files} >= {*TABLES, *FIGURES, "study", "table2_scores", "table2_uncertainty"}
    for file in files:
        with file.open() as lines:
            for row in csv.DictReader(lines):
                named = [name for key in ("runs", "run", "folder", "split") for name in row.get(key, "").split()]
                assert named, f"{file.name}: {row}"
                assert [name for name in named if not (everything.folder / name).exists()] == []


def test_deleted_tables_and_figures_are_rebuilt_without_an_evaluation(everything, tmp_path):
    project = everything.copy(tmp_path / "project")
    made = ("runs", "test", "prompts", "splits")
    before = {folder: project.times(f"results/{folder}/**/*") for folder in made}
    drawn = project.files("results/tables/*") | project.files("results/figures/**/*")
    shutil.rmtree(project.folder / "results/tables")
    shutil.rmtree(project.folder / "results/figures")
    shutil.rmtree(project.folder / "logs")
    said = project.make()
    for folder, times in before.items():
        assert project.times(f"results/{folder}/**/*") == times
    assert not list((project.folder / "logs").glob("engine*")), said
    remade = project.files("results/tables/*") | project.files("results/figures/**/*")
    assert remade == drawn


def test_report_shows_every_table_and_figure(seen):
    shown = seen["results"]
    expected = [f"results/tables/{table}.html" for table in TABLES]
    expected += [f"results/figures/{figure}.svg" for figure in FIGURES]
    expected += [f"results/figures/{kind}/sums/genome_plus/n4/seed1.svg" for kind in KINDS]
    assert [path for path in expected if path not in shown] == []
    for path, look in shown.items():
        assert look["caption"].strip(), f"{path} has no caption"
        if path.endswith(".html"):
            assert look["cells"] > 1, f"{path} shows no table"
        if path.endswith((".svg", ".png")):
            assert look["width"] > 100, f"{path} shows no picture"


def test_report_lists_its_parts_in_order(seen):
    text = seen["text"]
    parts = ["1 What was run", "2 What came out", "3 How sure", "4 Why", "5 What it took"]
    assert "System Message" not in text, "the description's markup is wrong"
    places = [text.find(part) for part in parts]
    assert -1 not in places
    assert places == sorted(places)


def test_report_loads_nothing_external(report):
    loaded = re.findall(r'<(?:script|img|iframe)[^>]*\ssrc="([^"]+)"|<link[^>]*\shref="([^"]+)"', report.read_text())
    assert [each for pair in loaded for each in pair if each and not each.startswith("data:")] == []


def test_changed_ablation_reruns_its_files_and_table_8_only(everything, tmp_path):
    project = everything.copy(tmp_path / "project")
    project.configure(variants={"genome_plus-no_succession": {"sigma": 0.5}})
    planned = project.planned()
    assert any("genome_plus-no_succession" in file for file in planned)
    others = {file for file in planned if "genome_plus-no_succession" not in file}
    assert others == {
        *(f"results/tables/table8{end}" for end in (".csv", ".md", ".html", "_scores.csv", "_uncertainty.csv"))
    }
