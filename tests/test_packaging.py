"""What the package declares: the dependencies of its imports, and one version number."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import genome

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS = {"genome", "sandbox_values"}
"""This package, and the neighbour of tasks/sandbox_runner.py, which runs as a program in its own folder."""


def third_party(path: Path) -> set[str]:
    """Return the top-level modules that a file imports, at any depth, except the standard library and this package."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.import_module":
            names |= {arg.value.partition(".")[0] for arg in node.args if isinstance(arg, ast.Constant)}
    return names - set(sys.stdlib_module_names) - OURS


TRACKERS = ("mlflow", "wandb", "trackio")
"""Extras whose libraries are imported only if a config asks for them."""

DECLARED = [*PROJECT["dependencies"], *(line for name in TRACKERS for line in PROJECT["optional-dependencies"][name])]
DEPENDENCIES = {canonicalize_name(Requirement(line).name).removesuffix("-skinny") for line in DECLARED}


@pytest.mark.parametrize("folder", ["src/genome", "workflow/scripts"])
def test_every_import_is_a_declared_dependency(folder):
    distributions = packages_distributions()
    missing = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        for module in third_party(path):
            names = {canonicalize_name(name) for name in distributions.get(module, [module])}
            if not names & DEPENDENCIES:
                missing.setdefault(module, path.relative_to(ROOT).as_posix())
    assert not missing, "declare these in pyproject.toml's dependencies"


def test_an_undeclared_import_is_found(tmp_path):
    source = "import os, genome.files\ndef f():\n    from left_pad.core import pad\nimportlib.import_module('cmaes')\n"
    (tmp_path / "module.py").write_text(source)
    assert third_party(tmp_path / "module.py") == {"left_pad", "cmaes"}


def test_the_citation_has_the_version_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == genome.__version__


def test_pre_commit_runs_the_installed_tools():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert {repo["repo"] for repo in config["repos"]} == {"local"}, "other repositories bring separate versions"
