"""One name in four places: a rule, its script, the function that the script calls, and its log."""

import ast
import re
from pathlib import Path

import pytest

WORKFLOW = Path(__file__).parent.parent.parent / "workflow"
SCRIPTS = sorted(path.stem for path in (WORKFLOW / "scripts").glob("*.py") if path.stem != "result")


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_calls_the_function_of_its_name(name):
    tree = ast.parse((WORKFLOW / f"scripts/{name}.py").read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert name in imported & called


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_belongs_to_the_rule_of_its_name(name):
    rules = [
        rule
        for file in (WORKFLOW / "rules").glob("*.smk")
        for rule in re.split(r"^(?=rule )", file.read_text(), flags=re.M)
    ]
    [rule] = [rule for rule in rules if f'"../scripts/{name}.py"' in rule]
    assert rule.startswith(f"rule {name}:")
