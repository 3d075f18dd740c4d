"""The thin layer that rules see: wildcards in, files, texts and patterns out; and what rules may name."""

import inspect
import re
from pathlib import Path

import pytest

from genome.errors import GenomeError
from genome.workflow import patterns
from genome.workflow.captions import Captions
from genome.workflow.patterns import Patterns
from genome.workflow.rules import Inputs, Settings
from genome.workflow.tables import TABLES
from plan.plans import PROJECT, plan_of, wildcards

EVOLVED = "results/runs/sums+emotions"
RULES = sorted((PROJECT / "workflow/rules").glob("*.smk"))
SOURCE = "\n".join(path.read_text() for path in [PROJECT / "Snakefile", *RULES])
GENERATION = {"tasks": "sums+emotions", "variant": "genome", "n": "4", "seed": "1"}
TEST = {"test_task": "sums", "run": "sums+emotions/genome/n4/seed1"}


@pytest.mark.parametrize(
    ("function", "given", "files"),
    [
        ("prompts", GENERATION, [f"results/prompts/micro/{task}/validation.jsonl" for task in ("sums", "emotions")]),
        ("previous", GENERATION | {"generation": "1"}, f"{EVOLVED}/initial-pairs/n4/seed1/population.json"),
        ("previous", GENERATION | {"generation": "2"}, f"{EVOLVED}/genome/n4/seed1/generation_1/population.json"),
        ("model", TEST, f"{EVOLVED}/genome/n4/seed1/generation_3/population.json"),
        ("validation", TEST, []),
        ("merged_basis", GENERATION, []),
        ("run_basis", TEST, []),
        ("run_basis", TEST | {"run": "static/add"}, []),
        ("initial_basis", {"scheme": "pairs-shared-16"}, ["results/experts/micro_shared-16.safetensors"]),
        ("exported_splits", TEST, [f"results/splits/{task}/provenance.json" for task in ("sums", "emotions")]),
        ("corpora", {"adapter": "add"}, ["resources/datasets/micro/experts/add.jsonl"]),
        ("engine_check", {}, "results/prompts/micro/sums/validation.jsonl"),
        ("base_files", {"base": "micro"}, []),
        ("task_rows", {"task": "sums"}, []),
    ],
)
def test_input_function_reads_the_wildcards_of_its_rule(plan, function, given, files):
    assert getattr(Inputs(plan), function)(wildcards(**given)) == files


def test_jobs_read_the_experts_of_their_run():
    sets = {name: {"method": "genome", "experts": name} for name in ("random", "with_validation_lora")}
    shared = {"method": "lorahub", "experts": "random", "merge_space": {"shared": {"rank": 16}}}
    inputs = Inputs(plan_of(variants={**sets, "shared": shared}))

    def read(function, **given):
        return getattr(inputs, function)(wildcards(**given))

    assert read("manifest", **GENERATION) == read("manifest", run="static/add") == "results/experts/micro.json"
    assert read("manifest", **GENERATION | {"variant": "random"}) == "results/experts/micro-random/seed1.json"
    held_out = "results/experts/micro-with_validation_lora/sums+emotions/seed1.json"
    assert read("manifest", **GENERATION | {"variant": "with_validation_lora"}) == held_out
    assert read("manifest", run="sums+emotions/with_validation_lora/n4/seed1") == held_out
    assert read("manifest", tasks="sums+emotions", seed="1", set="with_validation_lora") == held_out
    initial, given = {"tasks": "sums", "n": "4", "seed": "2"}, "results/runs/sums/experts/population.json"
    assert read("manifest", **initial, scheme="pairs-random").endswith("-random/seed2.json")
    assert read("initial_experts", **initial, scheme="pairs") == given
    assert read("initial_experts", **initial, scheme="pairs-random") == given.replace("experts", "experts-random/seed2")
    assert read("searched_experts", tasks="sums", variant="expert_fusion") == given
    lorahub = {"tasks": "sums", "variant": "shared", "seed": "3"}
    assert read("searched_experts", **lorahub) == "results/runs/sums/experts-random/seed3/population.json"
    assert read("merged_basis", **lorahub) == ["results/experts/micro-random/seed3_shared-16.safetensors"]


def test_runs_in_a_shared_space_read_its_basis():
    variants = {"genome-shared": {"method": "genome", "merge_space": {"shared": {"rank": 16}}}}
    inputs, basis = Inputs(plan_of(variants=variants)), ["results/experts/micro_shared-16.safetensors"]
    assert inputs.merged_basis(wildcards(**GENERATION | {"variant": "genome-shared"})) == basis
    assert inputs.run_basis(wildcards(**TEST | {"run": "sums/genome-shared/n4/seed1"})) == basis


@pytest.mark.parametrize("scheme", ["pairs", "experts", "pairs-factors", "experts-product", "pairs-shared-64"])
def test_schemes_match(plan, scheme):
    assert re.fullmatch(Patterns(plan).schemes, scheme)
    assert not re.fullmatch(Patterns(plan).schemes, f"{scheme}-0")


def test_export_reads_the_tests_of_its_run_on_the_run_s_tasks(plan):
    scores = Inputs(plan).exported_tests("scores.json")
    assert scores(wildcards(**TEST)) == [
        f"results/test/{task}/sums+emotions/genome/n4/seed1/scores.json" for task in ("sums", "emotions")
    ]


def test_settings_of_all_generations_of_a_run_are_one_text(plan):
    texts = {Settings(plan).search(wildcards(**GENERATION, generation=str(number))) for number in (1, 2, 3)}
    assert len(texts) == 1


def test_initial_population_of_one_is_refused(plan):
    with pytest.raises(GenomeError, match=r"^n1: a population has 2 or more members"):
        Inputs(plan).initial_prompts(wildcards(**GENERATION | {"n": "1"}))


def test_invalid_run_name_is_refused(plan):
    with pytest.raises(GenomeError, match="expected TASKS/VARIANT"):
        Inputs(plan).model(wildcards(test_task="sums", run="sums"))


@pytest.mark.parametrize(
    ("stage", "seeded", "matched", "others"),
    [
        (
            "generation",
            None,
            ["genome", "genome_plus-no_crossover", "study-cr01-imr10-gmr05"],
            ["lorahub", "dare_ties"],
        ),
        ("baseline", False, ["best_single", "expert_fusion", "pack_of_llms_merge"], ["lorahub", "genome"]),
        ("baseline", True, ["lorahub"], ["best_single", "study-cr01-imr10-gmr05"]),
        ("merge", None, ["dare_ties", "ties"], ["data_merge"]),
        ("merge", False, ["ties"], ["dare_ties"]),
        ("training", None, ["validation_lora"], ["majority"]),
        ("constant", None, ["majority"], ["best_single"]),
    ],
)
def test_patterns_match_the_variants_of_a_rule(plan, stage, seeded, matched, others):
    pattern = Patterns(plan).variants(stage, seeded=seeded)
    for name in matched:
        assert re.fullmatch(pattern, name), name
    for name in [*others, "unknown", "study-cr11-imr01-gmr01", "study-cr00-imr01-gmr01"]:
        assert not re.fullmatch(pattern, name), name


def test_pattern_of_study_points_matches_nothing_without_a_study():
    assert not re.fullmatch(Patterns(plan_of(study=None)).variants("generation"), "study-cr01-imr10-gmr05")


def test_empty_pattern_matches_nothing():
    assert not re.fullmatch(patterns.one_of([]), "")


def test_pattern_matches_names_literally():
    assert re.fullmatch(patterns.one_of(["a.b"]), "a.b")
    assert not re.fullmatch(patterns.one_of(["a.b"]), "axb")


def test_every_table_has_a_section_and_a_caption():
    for name in TABLES:
        assert Captions().section(wildcards(table=name))[0].isdigit()
        assert Captions().table(wildcards(table=name), output=None)


def test_captions_are_functions_of_the_output_and_rerun_nothing():
    captions = Captions()
    for function in (captions.table, captions.portrait, captions.of("figure2")):
        assert "output" in inspect.signature(function).parameters


@pytest.mark.parametrize("offered", [Inputs, Settings, Patterns, Captions], ids=lambda each: each.__name__)
def test_rules_use_every_function_of_the_plan_and_no_other(offered):
    name = offered.__name__.lower()
    named = set(re.findall(rf"\b{name}\.([a-z_]+)", SOURCE))
    public = {each for each in vars(offered) if not each.startswith("_")} - {"figures"}
    assert named == public


def test_rules_contain_no_logic():
    functions = re.findall(r"^def ", "".join(path.read_text() for path in RULES), flags=re.MULTILINE)
    assert len(functions) <= 10
    for path in RULES:
        text = path.read_text()
        assert len(text.splitlines()) <= 150, path.name
        assert text.startswith("# Requires: "), path.name
        assert "\n# Provides: " in text, path.name
        if path.name not in ("hooks.smk", "plan.smk"):
            assert not re.search(r"^(def|class|import|from) |\blambda\b", text, flags=re.MULTILINE), path.name


def test_rules_have_a_message_a_log_a_benchmark_and_an_environment():
    for path in RULES:
        for rule in re.split(r"^(?=rule )", path.read_text(), flags=re.MULTILINE)[1:]:
            if "script:" in rule:
                assert all(f"    {part}:\n" in rule for part in ("log", "benchmark", "conda", "message")), rule[:40]
                assert Path(PROJECT / "workflow/rules" / re.search(r'"(\.\./scripts/\w+\.py)"', rule)[1]).is_file()
