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
LABELS = ("Best Single", "Model Swarms", "GENOME", "GENOME+")  # of VARIANTS
TABLES = [name for name in rows.TABLES if name not in ("table6", "across")]  # whose parts are null here
FIGURES = [*(name for name in FIGURE_ROWS if name != "front"), "efficiency"]  # test_front.py draws a front
KINDS = [*PORTRAITS]
DRAWN = ("results/tables/*", "results/figures/**/*", "results/summary.html")

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


FIRST_SCREEN = """<script>
(async () => {
    let pictures = [];
    for (let tries = 0; tries < 100 && pictures.length == 0; tries++) {
        await new Promise(resolve => setTimeout(resolve, 50));
        pictures = [...document.querySelectorAll(".summary img")];
    }
    await Promise.all(pictures.map(image => image.decode()));
    const box = element => element.getBoundingClientRect();
    const sections = [...document.querySelectorAll(".prose strong")];
    const shown = {
        height: innerHeight,
        answer: document.querySelector(".summary .answer").textContent,
        pictures: pictures.map(image => ({width: image.naturalWidth, top: box(image).top, bottom: box(image).bottom})),
        table: box(document.querySelector(".summary table")).top,
        rows: [...document.querySelectorAll(".summary tr")].map(row => [...row.cells].map(cell => cell.textContent)),
        list: box(sections.find(each => each.textContent == "1 What was run")).top,
    };
    const said = document.createElement("pre");
    said.id = "seen";
    said.textContent = JSON.stringify(shown);
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
def looked_at(report):
    """Return a function that opens the report in a browser and returns its text and what a script finds in it."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")

    def look(script):
        page = report.with_name("looked_at.html")
        page.write_text(report.read_text() + script)
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,900", "--dump-dom"]
        command = [browser, *options, "--virtual-time-budget=60000", page.as_uri()]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
        found = re.search(r'<pre id="seen">(.*?)</pre>', shown, re.DOTALL)
        assert found, "the page's script did not end"
        return shown.partition('<pre id="seen">')[0], json.loads(html.unescape(found[1]))

    return look


@pytest.fixture(scope="module")
def seen(looked_at):
    """What a browser that opens the report finds: its text, and each table and figure in it."""
    text, results = looked_at(LOOK)
    return {"text": text, "results": results}


@pytest.fixture(scope="module")
def first_screen(looked_at):
    return looked_at(FIRST_SCREEN)[1]


def test_default_target_makes_every_table_and_figure(everything):
    for table in TABLES:
        assert (everything.folder / f"results/tables/{table}.csv").exists(), table
    for figure in FIGURES:
        assert (everything.folder / f"results/figures/{figure}.svg").exists(), figure
        assert (everything.folder / f"results/figures/{figure}.png").exists(), figure
    assert everything.planned() == []


def test_every_row_of_tables_and_figures_names_existing_files(everything):
    files = [*everything.folder.glob("results/tables/*.csv"), *everything.folder.glob("results/figures/**/*.csv")]
    others = {"study", "summary", "table2_scores", "table2_uncertainty"}
    assert {file.stem for file in files} >= {*TABLES, *FIGURES, *others}
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
    drawn = {path: text for pattern in DRAWN for path, text in project.files(pattern).items()}
    shutil.rmtree(project.folder / "results/tables")
    shutil.rmtree(project.folder / "results/figures")
    (project.folder / "results/summary.html").unlink()
    shutil.rmtree(project.folder / "logs")
    said = project.make()
    for folder, times in before.items():
        assert project.times(f"results/{folder}/**/*") == times
    assert not list((project.folder / "logs").glob("engine*")), said
    remade = {path: text for pattern in DRAWN for path, text in project.files(pattern).items()}
    assert remade == drawn


def test_report_shows_every_table_and_figure(seen):
    shown = seen["results"]
    expected = ["results/summary.html", *(f"results/tables/{table}.html" for table in TABLES)]
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
    assert "Not in this report" not in text


def test_first_screen_says_which_method_is_best(everything, first_screen):
    with (everything.folder / "results/tables/table2.csv").open() as lines:
        means = {row["method"]: row["mean"] for row in csv.DictReader(lines) if row["method"] in LABELS}
    best = max(means, key=lambda method: float(means[method]))
    assert re.match(rf"{re.escape(best)}(,| has) ", first_screen["answer"])
    assert f"highest mean test score of 4 methods on 2 tasks: {means[best]} %" in first_screen["answer"]
    heading, *rows = first_screen["rows"]
    assert heading == ["Method", "Mean test score, %", "Gain over best expert", "Samples", "Tokens"]
    assert sorted(row[1].split()[0] for row in rows) == sorted(means.values())


def test_gains_of_the_first_screen_are_those_of_table_2(everything, first_screen):
    with (everything.folder / "results/tables/table2_uncertainty.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if (row["versus"], row["test"]) == ("Best Single", "mean")]
    expected = {tuple(f"{float(row[key]):+.2f}".replace("-", "−") for key in ("value", "low", "high")) for row in rows}
    shown = {tuple(re.findall(r"[+−][\d.]+", row[2])) for row in first_screen["rows"][1:] if row[2]}
    assert shown == expected
    assert len(shown) > 1


def test_first_screen_shows_two_pictures_before_the_list_of_files(first_screen):
    pictures = first_screen["pictures"]
    assert len(pictures) == 2
    for picture in pictures:
        assert picture["width"] > 100
        assert 0 <= picture["top"] < picture["bottom"] <= first_screen["height"]
    assert max(picture["bottom"] for picture in pictures) <= first_screen["table"] < first_screen["height"]
    assert first_screen["table"] < first_screen["list"]


def test_report_of_few_targets_says_what_is_missing(everything):
    page = everything.folder / "results/part.html"
    result = everything.snakemake("--report", "results/part.html", "--", "results/tables/table1.html")
    assert result.returncode == 0, result.stderr[-4000:]
    text = json.loads(re.search(r"var workflow_desc = (.*);", page.read_text())[1])
    assert "there is no summary yet" in text
    missing = re.search(r"Not in this report:</strong> (.*?)\.", text, re.DOTALL)[1].replace("\n", " ").split(", ")
    assert {"summary", "table2", "figure2"} <= {*missing}
    assert "table1" not in missing
    assert "System Message" not in text


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
