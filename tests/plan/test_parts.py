"""Parts of a task's validation samples, TASK@NUMBER: what runs evolve on, not what they are tested on."""

import json
import re

import pytest

from genome.errors import GenomeError
from genome.workflow import settings
from genome.workflow.names import draw_of, part_of, whole_of
from genome.workflow.patterns import Patterns
from genome.workflow.rules import Inputs, Settings
from plan.plans import plan_of, wildcards

PAIRS = {"pairs": [["sums@20", "sums"], ["sums@30", "translation"]], "variants": ["genome"]}


def test_part_has_the_definition_of_its_task(plan):
    assert plan.definition("sums@20") == plan.definition("sums")
    assert (whole_of("sums@20"), part_of("sums@20"), part_of("sums")) == ("sums", ("sums", 20), ("sums", None))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sums@1", "a part has 2 or more of the 30 validation samples"),
        ("sums@31", "not 31"),
        ("sumz@20", "unknown task 'sumz'; did you mean 'sums'"),
        ("sums@020", "unknown task"),
        ("sums@", "unknown task"),
        ("sums@31.1", "not 31"),
        ("sums@20.", "unknown task"),
        ("sums@20.01", "unknown task"),
    ],
)
def test_impossible_part_is_refused(plan, name, message):
    with pytest.raises(GenomeError) as refusal:
        plan.definition(name)
    assert message in str(refusal.value)


def test_draw_has_the_definition_of_its_task_and_other_settings_than_the_first_samples(plan):
    assert plan.definition("sums@20.3") == plan.definition("sums")
    assert (whole_of("sums@20.3"), part_of("sums@20.3"), draw_of("sums@20.3")) == ("sums", ("sums", 20), 3)
    drawn, first = (json.loads(Settings(plan).part(wildcards(whole="sums", part=part))) for part in ("20.3", "20"))
    assert drawn == {**first, "draw": 3}


@pytest.mark.parametrize("name", ["sums", "sums@20", "sums@20.0", "sums@20.3"])
def test_wildcards_match_what_names_a_part(name):
    assert re.fullmatch(Patterns.task, name)
    assert not re.fullmatch(Patterns.task, f"{name}.")


def test_fitness_on_a_part_has_its_name_and_the_weight_of_its_task():
    plan = plan_of(weights={"sums": 3})
    [part, whole] = settings.of_fitness(plan, ("sums@20", "emotions"))["tasks"]
    assert (part["name"], part["weight"], whole["weight"]) == ("sums@20", 3, 1)


def test_rules_ask_for_its_prompts_and_its_number(plan):
    run = {"tasks": "sums@20+emotions", "variant": "genome", "n": "4", "seed": "1"}
    assert Inputs(plan).prompts(wildcards(**run)) == [
        "results/prompts/micro/sums@20/validation.jsonl",
        "results/prompts/micro/emotions/validation.jsonl",
    ]
    assert '"number": 20' in Settings(plan).part(wildcards(whole="sums", part="20"))
    exported = Inputs(plan).exported_splits(wildcards(run="sums@20/genome/n4/seed1"))
    assert exported == ["results/splits/sums/provenance.json"]


def test_table5_shows_runs_on_parts():
    plan = plan_of(table5=PAIRS)
    assert [pair[0] for pair in plan.config.table5.pairs] == ["sums@20", "sums@30"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"table2": {"tasks": ["sums@20"]}}, "config.table2.tasks: 'sums@20' is a part of a task's validation samples"),
        ({"table5": {"pairs": [["sums", "sums@20"]]}}, "config.table5.pairs: 'sums@20' is a part"),
        (
            {"table5": {"pairs": [["sums@50", "sums"]]}},
            "config.table5.pairs: 'sums@50': a part has 2 or more of the 30",
        ),
        (
            {"table5": {"pairs": [["smus@20", "sums"]]}},
            "config.table5.pairs: unknown task 'smus', did you mean",
        ),
    ],
)
def test_part_where_it_cannot_be_is_refused(changes, message):
    with pytest.raises(GenomeError, match=re.escape(message)):
        plan_of(**changes)
