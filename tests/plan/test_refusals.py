"""Configs that no run can be made with: all problems come at once, one line each, before any job is planned."""

from dataclasses import replace

import pytest

from genome.errors import GenomeError
from plan.plans import plan_of

REFUSED = {
    "misspelt keys and wrong values": (
        {"generatoins": 3, "population_size": 1, "seeds": [], "engine": {"bakend": "transformers"}},
        ["'generatoins', did you mean 'generations'?", "population_size", "seeds", "'bakend', did you mean 'backend'?"],
    ),
    "a number that YAML reads as text": ({"methods": {"genome": {"sigma": "1e-3"}}}, ["write 1.0e-3"]),
    "a setting of no method": (
        {"variants": {"mine": {"method": "genome", "crosover_rate": 0.5}}},
        ["config.variants.mine: unknown key 'crosover_rate', did you mean 'crossover_rate'?"],
    ),
    "values that settings of methods do not have": (
        {
            "variants": {
                "one": {"method": "genome", "merge_space": "products"},
                "two": {"method": "best_single", "merge_space": "product"},
                "three": {"method": "cma_es", "bounds": [1.0]},
                "four": {"method": "cma_es", "mean": "middle"},
                "five": {"method": "genome", "racing": {"looks": [25]}},
                "six": {"method": "model_swarms", "racing": {"looks": [25], "confidence": 0.95}},
            }
        },
        [
            "config.variants.one.merge_space: expected one of factors, product, a mapping with shared, or null, found",
            "config.variants.two: unknown key 'merge_space'",
            "config.variants.three.bounds: ",
            "config.variants.four.mean: expected one of uniform, best, found 'middle'",
            "config.variants.five.racing: ",
            "config.variants.six: unknown key 'racing'",
        ],
    ),
    "keys of another engine": (
        {"engine": {"backend": "vllm", "python": "somewhere", "threads": 2, "pithon": "x"}},
        ["config.engine (backend vllm): unknown key 'threads'", "unknown key 'pithon', did you mean 'python'?"],
    ),
    "names of nothing in tables": (
        {
            "table2": {"tasks": ["smus"], "variants": ["genome_pluss"]},
            "table3": {"tasks": ["sumz"]},
            "table4": {
                "domains": [{"name": "A", "tasks": ["sums", "smus"]}, {"name": "B", "tasks": ["sums", "facts"]}]
            },
            "table5": {"pairs": [["sums", "algebrae"]], "variants": ["genomes"]},
            "table7": {"variants": ["genom"]},
            "table8": {"full": "genome_pluss", "without": ["genome_plus-no_crosover"]},
            "study": {"task": "sumz"},
            "weights": {"sumz": 2},
            "labels": {"genom": "X"},
        },
        [
            "config.table2.tasks: unknown task 'smus', did you mean 'sums'?",
            "config.table2.variants: unknown variant 'genome_pluss', did you mean 'genome_plus'?",
            "config.table3.tasks: unknown task 'sumz', did you mean 'sums'?",
            "config.table4.domains: unknown task 'smus', did you mean 'sums'?",
            "config.table5.pairs: unknown task 'algebrae', did you mean 'algebra'?",
            "config.table5.variants: unknown variant 'genomes', did you mean 'genome'?",
            "config.table7.variants: unknown variant 'genom', did you mean 'genome'?",
            "config.table8.full: unknown variant 'genome_pluss'",
            "config.table8.without: unknown variant 'genome_plus-no_crosover', did you mean 'genome_plus-no_cross",
            "config.study.task: unknown task 'sumz', did you mean 'sums'?",
            "config.weights: unknown task 'sumz'",
            "config.labels: unknown variant 'genom'",
        ],
    ),
    "names of nothing in figures": (
        {
            "figure2": {"tasks": ["sumz"], "variants": ["genomes"]},
            "figure3": {"tasks": ["emotoins"]},
            "portraits": {"tasks": ["sums+smus"], "variants": ["best_single"]},
        },
        [
            "config.figure2.tasks: unknown task 'sumz', did you mean 'sums'?",
            "config.figure2.variants: unknown variant 'genomes', did you mean 'genome'?",
            "config.figure3.tasks: unknown task 'emotoins', did you mean 'emotions'?",
            "config.portraits.tasks: unknown task 'smus', did you mean 'sums'?",
            "config.portraits.variants: no evolving variant 'best_single'",
        ],
    ),
    "names of nothing in the learning curve": (
        {"learning_curve": {"tasks": ["sumz", "sums@20"], "variants": ["validation_lorra"]}},
        [
            "config.learning_curve.tasks: unknown task 'sumz', did you mean 'sums'?",
            "config.learning_curve.tasks: 'sums@20' is a part of a task's validation samples, which has no test; name",
            "config.learning_curve.variants: unknown variant 'validation_lorra', did you mean 'validation_lora'?",
        ],
    ),
    "a learning curve on one sample": (
        {"learning_curve": {"sizes": [1, 10]}},
        ["config.learning_curve.sizes[0]: "],
    ),
    "a learning curve with a number twice": (
        {"learning_curve": {"sizes": [10, 10]}},
        ["config.learning_curve.sizes: "],
    ),
    "what a table cannot show": (
        {
            "table2": {"tasks": ["sums+algebra"]},
            "table8": {"without": ["genome_plus"]},
            "efficiency": {"reference": "best_single"},
            "figure2": {"variants": ["genome", "model_swarms"]},
            "labels": {"genome": "Model Swarms"},
        },
        [
            "config.table2.tasks: unknown task 'sums+algebra'",
            "config.table8: two rows have the label 'GENOME+'",
            "config.efficiency.reference: not one of its variants: 'best_single', known are lorahub, ",
            "config.figure2: two rows have the label 'Model Swarms'; see config.labels",
        ],
    ),
    "a task in two domains": (
        {
            "table4": {
                "domains": [{"name": "A", "tasks": ["sums", "facts"]}, {"name": "B", "tasks": ["sums", "reading"]}]
            }
        },
        ["config.table4.domains: task 'sums'"],
    ),
    "two domains of one name": (
        {
            "table4": {
                "domains": [
                    {"name": "A", "tasks": ["sums", "facts"]},
                    {"name": "A", "tasks": ["emotions", "reading"]},
                ]
            }
        },
        ["config.table4.domains: two domains are named 'A'; rename one"],
    ),
    "a domain of one task and a pair of three": (
        {"table4": {"domains": [{"name": "A", "tasks": ["sums"]}]}, "table5": {"pairs": [["a", "b", "c"]]}},
        ["config.table4.domains[0].tasks", "config.table5.pairs[0]"],
    ),
    "a study of a method without these rates": ({"study": {"method": "model_swarms"}}, ["config.study.method: "]),
    "a variant named like a point of a study": (
        {"variants": {"study-mine": {"method": "genome"}}},
        ["config.variants: 'study-mine'"],
    ),
    "public scoring without an ensemble": (
        {"protocol": {"variant": "genome", "tasks": ["sumz"]}},
        [
            "config.protocol.variant: 'genome' does not report an ensemble of its fittest; name a variant that does",
            "config.protocol.tasks: unknown task 'sumz', did you mean 'sums'?",
        ],
    ),
    "a vote without an ensemble, and of a base twice": (
        {"across": {"variant": "genome", "tasks": ["sumz"], "beside": {"micro": "results"}}},
        [
            "config.across.variant: 'genome' does not report an ensemble of its fittest; name a variant that does",
            "config.across.tasks: unknown task 'sumz', did you mean 'sums'?",
            "config.across.beside: 'micro'",
        ],
    ),
    "an expert from two sources": (
        {"bases": {"micro": {"experts": {"add": {"path": "somewhere"}}}}},
        ["experts.add: give one of corpus, hub or path (this file is laid over config.yaml; set the others to null)"],
    ),
    "an expert without a source": (
        {"bases": {"micro": {"experts": {"one": {"corpsu": "a"}, "two": "a", "three": {"training": {"epochs": 1}}}}}},
        [
            "experts.one: unknown key 'corpsu', did you mean 'corpus'?; give one of corpus, hub or path",
            "experts.two: expected a mapping, or null, found 'a'; give one of corpus, hub or path",
            "experts.three: give one of corpus, hub or path",
        ],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_config_is_refused_with_all_its_errors(case):
    changes, messages = REFUSED[case]
    with pytest.raises(GenomeError) as refusal:
        plan_of(**changes)
    head, *lines = str(refusal.value).splitlines()
    assert head == "The config is not valid:"
    for message in messages:
        assert any(message in line for line in lines), f"{message} is not in\n{refusal.value}"


def test_portraits_accept_variants_with_equal_labels():
    plan = plan_of(
        portraits={"variants": ["genome", "genome_plus"]}, labels={"genome": "GENOME+"}, table2=None, figure2=None
    )
    assert plan.config.portraits.variants == ("genome", "genome_plus")


def test_a_task_file_that_only_a_target_names_is_checked_too():
    plan = plan_of()
    plan = replace(plan, task_files={**plan.task_files, "mine": {**plan.task_files["sums"], "kind": "nubmer"}})
    with pytest.raises(GenomeError, match=r"task mine: kind: .*, found 'nubmer'; did you mean 'number'"):
        plan.definition("mine")
