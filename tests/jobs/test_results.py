"""The one script of tables and figures: which module writes a rule's result, and what it is given."""

import re
from importlib import import_module
from inspect import signature
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import pytest

from genome.jobs.results import MODULES, write_result


class Files(list):
    """Paths with names, as Snakemake gives them to a script."""

    def __init__(self, *unnamed, **named):
        lists = [[value] if isinstance(value, str) else value for value in named.values()]
        super().__init__([*unnamed, *chain(*lists)])
        self.named = named

    def items(self):
        return self.named.items()


RULES = Path(__file__).parent.parent.parent / "workflow/rules"


def rules_of_results():
    """Return the rules that call the script, except `table`, whose wildcard names the module."""
    found = []
    for file in RULES.glob("*.smk"):
        for rule in re.split(r"^(?=rule |use rule )", file.read_text(), flags=re.MULTILINE):
            if "scripts/result.py" in rule or rule.startswith("use rule table as "):
                found.append(re.match(r"(?:use rule table as|rule) (\w+)", rule)[1])
    return sorted({*found} - {"table"})


@pytest.mark.parametrize("rule", rules_of_results())
def test_every_rule_of_a_result_has_a_module_that_writes_it(rule):
    module = import_module(f"genome.report.{MODULES.get(rule, rule)}")
    assert list(signature(module.write).parameters) == ["settings", "inputs", "outputs"]


def test_modules_are_named_for_rules_that_there_are():
    assert {*MODULES} <= {*rules_of_results()}


@pytest.fixture
def given(monkeypatch):
    """What a stand-in for a module's `write` is called with."""
    calls = []
    module = SimpleNamespace(write=lambda *arguments: calls.append(arguments))
    monkeypatch.setattr("genome.jobs.results.import_module", lambda name: calls.append(name) or module)
    return calls


def test_write_result_names_inputs_and_outputs(given):
    inputs = Files(base="b", scores=["s1", "s2"])
    outputs = Files(table="t.csv", markdown="t.md")
    write_result("ranking", '{"version": 1}', inputs, outputs)
    name, (settings, read, written) = given
    assert name == "genome.report.ranking"
    assert settings == {"version": 1}
    assert read == {"base": "b", "scores": ["s1", "s2"], "files": ["b", "s1", "s2"]}
    assert written == {"table": "t.csv", "markdown": "t.md"}


def test_write_result_takes_unnamed_files_and_rules_without_settings(given):
    write_result("reachable", None, Files("s1", "s2"), Files("t.csv"))
    name, arguments = given
    assert name == "genome.report.reachable"
    assert arguments == ({}, {"files": ["s1", "s2"]}, {"table": "t.csv"})
