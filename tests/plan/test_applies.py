"""What a variant cannot do on a task: its reason, blanks in tables, and refusals."""

import pytest

from genome.errors import GenomeError
from genome.workflow import evaluation, layout
from genome.workflow.applies import reason_against
from genome.workflow.names import STATIC, RunName, TestName
from genome.workflow.runs import control_prompts
from genome.workflow.tables import TABLES
from plan.plans import plan_of

COMPARED = {"tasks": ["sums", "emotions"], "variants": ["majority", "validation_lora", "genome"]}
REASON = "sums has no options or labels, so no most frequent answer"


@pytest.mark.parametrize(
    ("variant", "tasks", "test", "reason"),
    [
        ("majority", "emotions", None, None),
        ("majority", "facts", "facts", None),
        ("majority", "facts@20", "facts", None),
        ("majority", "sums", None, REASON),
        ("majority", "emotions+sums", "emotions", REASON),
        ("majority", "facts_pro", "facts", "the most frequent answer to facts_pro says nothing about facts"),
        ("validation_lora", "sums", "algebra", None),
        ("validation_lora", "programs", None, None),  # the micro suite's have a right program
        ("genome_plus", "sums", None, None),
        ("dare_ties", "sums", None, None),
    ],
)
def test_reason_says_what_is_missing(plan, variant, tasks, test, reason):
    assert reason_against(plan, variant, tasks, test) == reason


def test_programs_without_a_right_one_teach_nothing():
    plan = plan_of(tasks={"programs": {"reference": None}})
    assert reason_against(plan, "validation_lora", "programs") == (
        "programs has tests but no right programs, so nothing to train on"
    )


def test_search_by_calibrated_likelihoods_has_results_on_generated_answers():
    changes = {"objective": "likelihood", "calibrated": True}
    plan = plan_of(variants={"search": {"method": "genome", **changes}})
    assert reason_against(plan, "search", "sums") is None


def test_tasks_of_the_harness_name_no_right_response_if_they_are_generated():
    harness = {"gsm8k_own": {"lm_eval": "gsm8k", "metric": "exact_match"}, "arc_own": {"lm_eval": "arc_easy"}}
    with_lora = {"method": "genome", "experts": "with_validation_lora"}
    variants = {"likely": {"method": "genome", "objective": "likelihood"}, "with_lora": with_lora}
    plan = plan_of(tasks=harness, variants=variants)
    for variant in ("likely", "with_lora", "validation_lora"):
        assert reason_against(plan, variant, "arc_own+gsm8k_own") == (
            "gsm8k_own is generated and scored by lm-evaluation-harness, which names no right response"
        )
        assert reason_against(plan, variant, "arc_own") is None
    assert reason_against(plan, "genome", "gsm8k_own") is None
    assert plan.definition("arc_own")["source"] == {"lm_eval": "arc_easy"}


def test_blank_cells_have_no_files_and_their_reason():
    plan = plan_of(table2=COMPARED)
    shown = plan.config.table2
    assert layout.blanks_of(plan, shown) == {"Majority": {"sums": REASON}}
    assert {str(test.run) for test in layout.tests_behind(plan, shown) if test.task == "sums"} == {
        *(f"sums/{variant}/seed{seed}" for variant in ("validation_lora", "genome/n4") for seed in (1, 2))
    }
    assert TABLES["table2"].settings_of(plan)["blanks"] == {"Majority": {"sums": REASON}}


def test_a_table_without_blanks_does_not_mention_them(plan):
    assert "blanks" not in TABLES["table3"].settings_of(plan)


def test_target_without_a_result_is_refused_with_the_reason(plan):
    run = RunName(("sums",), "majority")
    with pytest.raises(GenomeError, match=f"^majority on sums: {REASON}$"):
        evaluation.tested_model(plan, TestName("results", "sums", run))
    with pytest.raises(GenomeError, match=f"^majority on sums: {REASON}$"):
        control_prompts(plan, "majority", ["sums"])
    with pytest.raises(GenomeError, match="says nothing about facts"):
        evaluation.tested_model(plan, TestName("results", "facts", RunName(("emotions",), "majority")))
    assert control_prompts(plan, "majority", ["emotions"]) == ["results/prompts/micro/emotions/validation.jsonl"]


def test_logits_are_fused_by_the_built_in_engine_only():
    assert reason_against(plan_of(), "pack_of_llms", "sums") is None
    plan = plan_of(engine={"backend": "vllm", "python": "somewhere"})
    assert (
        reason_against(plan, "pack_of_llms", "sums") == "only the built-in engine can add the logits of several experts"
    )
    assert reason_against(plan, "pack_of_llms_merge", "sums") is None
    run = RunName((STATIC,), "pack_of_llms")
    with pytest.raises(GenomeError, match=r"^pack_of_llms on sums: only the built-in engine"):
        evaluation.tested_model(plan, TestName("results", "sums", run))
    plan = plan_of(tasks={"emotions": {"answer_by": "likelihood"}})
    assert reason_against(plan, "pack_of_llms", "emotions") == "answers by likelihood are not fused"
    assert evaluation.tested_model(plan_of(), TestName("results", "sums", run)) == "results/experts/micro.json"
