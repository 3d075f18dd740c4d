"""Snakemake's messages without the lines around them."""

import types

import pytest

from genome.errors import GenomeError
from genome.forecast import dry_run
from genome.forecast.dry_run import read_plan, refusal

AROUND = "Config file config.yaml is extended by additional config.\nBuilding DAG of jobs...\n"


def test_a_config_that_is_not_valid_is_said_as_it_stands():
    said = 'WorkflowError in file "a b.smk", line 42:\nThe config is not valid:\n  config: unknown key\n'
    assert refusal(f'{AROUND}{said}  File "a b.smk", line 165, in <module>\n') == (
        "The config is not valid:\n  config: unknown key"
    )


def test_a_target_that_nothing_makes_is_one_line():
    assert (
        refusal(f"{AROUND}MissingRuleException:\nNo rule to produce x.\n")
        == "MissingRuleException: No rule to produce x."
    )


def test_an_input_function_is_quoted_alone():
    said = "InputFunctionException in rule generation:\nError:\n  GenomeError: out of range\nWildcards:\n  n=1\n"
    assert refusal(AROUND + said) == "out of range"


def test_anything_else_is_passed_on_whole():
    assert refusal("killed\n") == "killed"


def test_a_config_that_snakemake_would_end_on_is_refused_before(tmp_path):
    (tmp_path / "mine.yaml").write_text("labels: &a {x: *a}\n")
    with pytest.raises(GenomeError, match=r"mine\.yaml, line 1: the anchor here contains itself"):
        read_plan((), [tmp_path / "mine.yaml"])


def test_another_workflow_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dry_run.subprocess, "run", lambda *_, **__: types.SimpleNamespace(returncode=0, stdout=""))
    with pytest.raises(GenomeError, match=f"^{tmp_path}: its Snakefile is not this workflow's"):
        dry_run.read_plan([], [])
