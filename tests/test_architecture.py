"""The shape of the library: imports point down, slow ones stay behind their fence, and jobs start quickly."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "genome"
MODULES = sorted(SOURCE.rglob("*.py"))

LAYERS = (
    (
        *("errors", "fields", "files", "genotype", "limits", "progress", "project", "rng", "validation", "warm"),
        "yaml_files",
    ),
    ("tasks",),
    ("engine", "experts"),
    ("lora",),
    ("micro",),
    ("search", "workflow.names"),
    ("scoring",),
    ("config", "report"),
    ("jobs", "forecast", "tracking", "workflow"),
    ("api",),
    ("cli",),
)
"""From the bottom to the top: a module imports from its own layer or from those before it."""

FENCED = {"torch", "transformers", "peft"}
BEHIND_THE_FENCE = {
    "engine/adapter.py",
    "engine/answering.py",
    "engine/batches.py",
    "engine/cache.py",
    "engine/continuing.py",
    "engine/decoding.py",
    "engine/fusion.py",
    "engine/loading.py",
    "engine/merged.py",
    "engine/model.py",
    "engine/reading.py",
    "engine/weights.py",
    "experts/deltas.py",
    "experts/gguf_base.py",
    "lora/dare_ties.py",
    "lora/held_out.py",
    "lora/ties.py",
    "lora/training.py",
    "micro/base.py",
}
CHAT = "tasks/chat.py"  # imports the tokenizer inside the functions that need it


def imported(path: Path, *, at_top: bool) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if at_top else ast.walk(tree)
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def layer(module: str) -> int | None:
    for level, names in enumerate(LAYERS):
        if any(module == f"genome.{name}" or module.startswith(f"genome.{name}.") for name in names):
            return level
    return None


def name_of(path: Path) -> str:
    return ".".join(["genome", *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path):
    own = layer(name_of(path))
    if name_of(path) == "genome":
        return
    assert own is not None, f"{name_of(path)} has no layer; give it one in LAYERS"
    for other in imported(path, at_top=True):
        level = layer(other)
        assert level is None or level <= own, f"{name_of(path)} imports {other} from above"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_torch_stays_behind_its_fence(path):
    where = path.relative_to(SOURCE).as_posix()
    found = {name.partition(".")[0] for name in imported(path, at_top=where == CHAT)} & FENCED
    assert not found or where in BEHIND_THE_FENCE


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_library_does_not_know_snakemake(path):
    assert "snakemake" not in {name.partition(".")[0] for name in imported(path, at_top=False)}


PROJECT = SOURCE.parent.parent
SNAKEFILES = [PROJECT / "Snakefile", *sorted((PROJECT / "workflow").rglob("*.smk"))]


@pytest.mark.parametrize("path", SNAKEFILES, ids=lambda path: path.name)
def test_rules_know_the_library_by_its_plan(path):
    lines = path.read_text().splitlines()
    imported = {line.split()[1] for line in lines if line.startswith(("import genome", "from genome."))}
    # genome.forecast predicts what a run will cost when it starts, from the jobs that only Snakemake knows.
    ours = {"genome.errors", "genome.forecast", "genome.tracking", "genome.warm", "genome.yaml_files"}
    assert not {name for name in imported if not name.startswith("genome.workflow.")} - ours


JOBS = sorted(name_of(path) for path in (SOURCE / "jobs").glob("*.py"))
SLOW = {"torch", "transformers", "peft", "pandas", "matplotlib", "scipy", "sklearn", "datasets", "nevergrad"}
SLOW |= {"sacrebleu", "math_verify", "huggingface_hub", "requests"}


def loaded_by(modules: str) -> set[str]:
    """Return the packages that importing modules loads."""
    code = f"import sys, {modules}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    return {*subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()}


def test_jobs_do_not_import_pydantic():
    assert not {"pydantic", "pydantic_core", "jsonschema"} & loaded_by(", ".join(JOBS))


def test_a_generation_imports_nothing_slow():
    assert not loaded_by("genome.jobs.evolution") & {*SLOW, "jinja2"}


def test_the_start_of_a_run_imports_nothing_slow():
    assert not loaded_by("genome.forecast, genome.workflow.reading, genome.workflow.rules") & SLOW


TESTS = Path(__file__).parent
ASKS = {"raises", "warns", "fail"}
"""Functions of pytest that make a test fail when something does not happen, or does."""


def asks(node: ast.AST, asking: set[str]) -> bool:
    """Return whether something in `node` can fail by what it finds: an assertion, or a function that has one."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Assert):
            return True
        if isinstance(inner, ast.Call):
            name = getattr(inner.func, "attr", getattr(inner.func, "id", ""))
            if name in asking or name.startswith("assert_"):
                return True
    return False


def silent(source: str) -> list[str]:
    """Return the tests that call code and look at nothing."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    asking = ASKS
    while more := {node.name for node in functions if node.name not in asking and asks(node, asking)}:
        asking = asking | more
    return [node.name for node in functions if is_test(node) and node.name not in asking]


def is_test(node: ast.FunctionDef) -> bool:
    """Return whether pytest collects a function: by its name, unless it is a fixture."""
    return node.name.startswith("test") and not any("fixture" in ast.unparse(each) for each in node.decorator_list)


@pytest.mark.parametrize("path", sorted(TESTS.rglob("test_*.py")), ids=lambda path: path.relative_to(TESTS).as_posix())
def test_every_test_asks_something(path):
    found = silent(path.read_text(encoding="utf-8"))
    assert not found, "assert what is right about what they call; a shared helper that asserts is named assert_..."


def test_a_test_that_asks_nothing_is_found():
    source = """
@pytest.fixture
def tested(): return 1
def helper(x): assert x
def test_by_hand(): assert 1
def test_by_a_helper(): helper(1)
def test_by_numpy(): np.testing.assert_allclose(1, 1)
def test_by_pytest():
    with pytest.raises(ValueError): int("x")
def test_nothing(): int("1")
def outer():
    def test_nested(): print()
"""
    assert silent(source) == ["test_nothing", "test_nested"]


SCRIPTS = sorted(path for folder in ("benchmarks", "docs", "examples") for path in (PROJECT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_import_what_the_library_has(path):
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    for node in (node for node in nodes if (node.module or "").split(".")[0] == "genome"):
        module = importlib.import_module(node.module)
        for name in (alias.name for alias in node.names):
            assert hasattr(module, name) or importlib.util.find_spec(f"{node.module}.{name}"), f"{node.module}.{name}"
