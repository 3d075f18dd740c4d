"""Tables and figures: what each is made from, that each can be null, and what the default target asks for."""

import re

import pytest

from genome.config.results import PARTS
from genome.errors import GenomeError
from genome.workflow import results, tables
from genome.workflow.figures import EFFICIENCY, FIGURES, PORTRAITS
from genome.workflow.rules import RESULTS
from genome.workflow.summary import SUMMARY
from genome.workflow.tables import TABLES
from plan.plans import plan_of

SEEDS = (1, 2)
MADE = [name for name in RESULTS if name != "across"]


def files_of(plan, name):
    """Return all files that a result is made from."""
    inputs = RESULTS[name].inputs_of(plan)
    if not hasattr(inputs, "values"):
        return list(inputs)
    return [file for files in inputs.values() for file in ([files] if isinstance(files, str) else files)]


def scored_in(plan, name):
    """Return the tests whose scores a result is made from, as TASK/RUN."""
    found = [re.fullmatch("results/test/(.*)/scores.json", file) for file in files_of(plan, name)]
    return {match[1] for match in found if match}


@pytest.mark.parametrize(
    ("table", "tests"),
    [
        (
            "table3",
            {
                f"{task}/{task}/{run}"
                for task in ("facts_pro", "puzzles")
                for run in ("best_single", *(f"genome_plus/n4/seed{seed}" for seed in SEEDS))
            },
        ),
        (
            "table4",
            {
                f"{task}/sums+emotions/{run}"
                for task in ("sums", "emotions")
                for run in (
                    "expert_fusion",
                    *(f"{variant}/n4/seed{seed}" for variant in ("model_swarms", "genome_plus") for seed in SEEDS),
                )
            },
        ),
        (
            "table5",
            {
                f"translation/sums/{run}{seed}"
                for run in ("lorahub/seed", "model_swarms/n4/seed", "genome_plus/n4/seed")
                for seed in SEEDS
            },
        ),
        (
            "table6",
            {"translation/translation/best_single"}
            | {
                f"translation/{run}{seed}"
                for run in ("static/dare_ties/seed", "translation/genome_plus/n4/seed")
                for seed in SEEDS
            },
        ),
        # Without the ensemble the run is the full method's.
        (
            "table8",
            {f"sums/sums/{run}/n4/seed{seed}" for run in ("genome_plus", "genome_plus-no_crossover") for seed in SEEDS},
        ),
        ("table7", {f"sums/sums/{run}{seed}" for run in ("lorahub/seed", "genome_plus/n4/seed") for seed in SEEDS}),
        (
            "figure2",
            {
                f"sums/sums/{variant}/n{size}/seed{seed}"
                for variant in ("genome", "genome_plus")
                for size in (4, 6)
                for seed in SEEDS
            },
        ),
        ("efficiency", {f"sums/sums/{run}{seed}" for run in ("lorahub/seed", "genome_plus/n4/seed") for seed in SEEDS}),
    ],
)
def test_table_or_figure_requests_the_tests_of_its_runs(plan, table, tests):
    assert scored_in(plan, table) == tests


def shown_rows(plan, name):
    return {row["label"]: row for row in RESULTS[name].settings_of(plan)["methods"]}


def test_experts_are_rows_with_separate_tests():
    table = {"tasks": ["sums", "emotions"], "variants": ["cma_es", "genome_plus"], "rows": "experts"}
    plan = plan_of(table2=table)
    experts = {f"{task}/static/{expert}" for task in ("sums", "emotions") for expert in plan.experts}
    runs = [f"{name}/n4/seed{seed}" for name in ("cma_es", "genome_plus") for seed in SEEDS]
    searched = {f"{task}/{task}/{run}" for task in ("sums", "emotions") for run in runs}
    base = {f"{task}/{task}/base" for task in ("sums", "emotions")} if "base" in plan.variants else set()
    assert scored_in(plan, "table2") == experts | searched | base
    rows = shown_rows(plan, "table2")
    assert [row["group"] for row in rows.values() if row["name"] != "base"] == [
        *("expert" for _ in plan.experts), "paper", "beyond",
    ]  # fmt: skip
    assert rows["add"] == {
        "name": "add", "variant": "add", "label": "add", "shown": "add", "report": "best", "group": "expert",
    }  # fmt: skip
    assert not [row for row in shown_rows(plan_of(), "table2").values() if row["group"] == "expert"]


def test_rows_say_what_is_reported_of_a_population(plan):
    rows = shown_rows(plan, "table2")
    assert rows["GENOME+"]["shown"] == "GENOME+, ensemble of 3"
    assert rows["GENOME"]["shown"] == "GENOME, best individual"
    assert rows["CMA-ES (not in the paper)"]["shown"] == "CMA-ES, ensemble of 3"
    assert rows["CMA-ES, best individual (not in the paper)"]["shown"] == "CMA-ES, best individual"
    assert rows["LoraHub"]["shown"] == "LoraHub"
    assert rows["Best Single"]["shown"] == "Best Single"


def test_rows_are_in_groups_but_ablations_begin_with_the_method_that_they_are_compared_with():
    plan = plan_of(table2={"variants": ["cma_es", "genome"]}, table8={"full": "cma_es", "without": ["genome"]})
    assert [*shown_rows(plan, "table2")] == ["GENOME", "CMA-ES (not in the paper)"]
    assert [*shown_rows(plan, "table8")] == ["CMA-ES (not in the paper)", "GENOME"]


def test_comparisons_request_the_population_that_names_the_best_single_expert(plan):
    assert RESULTS["table3"].inputs_of(plan)["best_single"] == [
        f"results/runs/{task}/best_single/population.json" for task in ("facts_pro", "puzzles")
    ]
    assert RESULTS["table8"].inputs_of(plan)["best_single"] == []


def test_efficiency_requests_the_answers_behind_its_scores(plan):
    files = files_of(plan, "efficiency")
    assert {file.replace("scores.json", "answers.jsonl") for file in files if file.endswith("scores.json")} <= {*files}


def test_table1_requests_splits_and_figure3_scored_experts(plan):
    assert files_of(plan, "table1") == [f"results/splits/{task}/provenance.json" for task in ("sums", "emotions")]
    assert files_of(plan, "figure3") == [
        f"results/runs/{task}/experts/population.json" for task in ("sums", "emotions")
    ]


def test_public_scoring_requests_responses_and_all_populations_of_each_run(plan):
    inputs = RESULTS["protocol"].inputs_of(plan)
    assert list(inputs) == ["base", "prompts", "responses", "origins", "populations"]
    assert len(inputs["responses"]) == len(inputs["origins"]) == 2 * len(SEEDS)
    assert len(inputs["populations"]) == 2 * len(SEEDS) * (1 + 3)
    assert list(RESULTS["ensemble_by_k"].inputs_of(plan)) == ["base", "prompts", "responses"]


def test_table7_requests_the_records_of_all_jobs_of_its_runs(plan):
    records = RESULTS["table7"].inputs_of(plan)["records"]
    assert "results/benchmarks/runs/sums/initial-pairs/n4/seed2.json" in records
    assert "results/benchmarks/runs/sums/genome_plus/n4/seed2/generation_3.json" in records
    assert "results/benchmarks/runs/sums/experts.json" in records
    assert len(records) == len(set(records)) == len(SEEDS) * (1 + 3) + 1 + len(SEEDS)


def test_cross_base_vote_requests_files_of_all_workflows_by_task_base_and_seed(tmp_path):
    other = tmp_path / "other"
    plan = plan_of(across={"tasks": ["sums"], "variant": "genome_plus", "beside": {"other": str(other)}})
    with pytest.raises(GenomeError, match=r"config.across.beside: 1 of 1 files are missing"):
        RESULTS["across"].inputs_of(plan)
    run = "sums/genome_plus/n4"
    names = ["splits/sums/test.jsonl"]
    for seed in SEEDS:
        names += [f"test/sums/{run}/seed{seed}/responses.jsonl", f"runs/{run}/seed{seed}/generation_3/population.json"]
    for name in names:
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_text("{}")
    inputs = RESULTS["across"].inputs_of(plan)
    assert list(inputs) == ["base", "prompts", "splits", "responses", "origins", "populations"]
    assert inputs["responses"] == [
        f"{results}/test/sums/{run}/seed{seed}/responses.jsonl" for results in ("results", other) for seed in SEEDS
    ]
    assert inputs["populations"] == [
        f"{results}/runs/{run}/seed{seed}/generation_3/population.json"
        for results in ("results", other)
        for seed in SEEDS
    ]
    assert RESULTS["across"].settings_of(plan)["bases"] == [("micro", "results"), ("other", str(other))]


@pytest.mark.parametrize("name", MADE)
def test_result_with_a_null_section_is_refused_in_one_line(name):
    row = RESULTS[name]
    plan = plan_of(**{row.part: None})
    for call in (row.inputs_of, row.settings_of):
        with pytest.raises(GenomeError, match=f"^config.{row.part} is null; set it to make this target$"):
            call(plan)


def test_null_portraits_are_refused_when_requested():
    with pytest.raises(GenomeError, match=r"config.portraits is null"):
        results.portraits(plan_of(portraits=None))


@pytest.mark.parametrize("part", PARTS)
def test_every_result_section_can_be_null(part):
    plan = plan_of(**{part: None})
    assert results.everything(plan)
    assert plan.first_task()


def test_every_result_section_has_a_table_or_figure():
    asked = {row.part for row in (*TABLES.values(), *FIGURES.values())} | {"portraits"}
    assert asked == {*PARTS}


def test_every_table_and_figure_has_a_title_and_a_caption():
    rows = [*TABLES.values(), *FIGURES.values(), EFFICIENCY, SUMMARY]
    for row in rows:
        assert row.title[0].isupper()
        assert not row.title.endswith(".")
        assert row.caption.endswith((".", "?"))
    assert all(portrait.caption.endswith(".") for portrait in PORTRAITS.values())
    assert len({row.text for row in rows}) == len(rows)


def test_default_target_contains_pages_of_tables_and_pictures(plan):
    asked = results.everything(plan)
    pages = [file for file in asked if file.endswith(".html")]
    assert pages == ["results/summary.html", *(f"results/tables/{name}.html" for name in TABLES if name != "across")]
    assert [file for file in asked if re.fullmatch(r"results/figures/\w+\.svg", file)] == [
        "results/figures/figure2.svg",
        "results/figures/learning_curve.svg",
        "results/figures/figure3.svg",
        "results/figures/ensemble_by_k.svg",
    ]
    assert len(asked) == len(pages) + 4 + len(PORTRAITS) * 3


def test_default_target_skips_null_sections():
    plan = plan_of(all=["table3", "table5", "study", "portraits"], table5=None, study=None, portraits=None)
    assert results.everything(plan) == ["results/tables/table3.html"]


def test_default_target_contains_both_tables_of_the_study():
    plan = plan_of(all=["study"])
    assert results.everything(plan) == ["results/tables/table10.html", "results/tables/table11.html"]


def test_portraits_show_runs_of_the_first_seed(plan):
    assert [str(run) for run in results.drawn_runs(plan)] == ["sums/genome_plus/n4/seed1"]
    assert "results/figures/diversity/sums/genome_plus/n4/seed1.csv" in results.portraits(plan)


def test_larger_study_contains_the_runs_of_a_smaller_one():
    six, nine = (tables.study_runs(plan_of(study={"runs": runs})) for runs in (6, 9))
    assert (len(six), len(nine)) == (6, 9)
    assert set(six) < set(nine)
    assert all(run.seed == 3 for run in six)
    other = tables.study_runs(plan_of(study={"seed": 4}))
    assert {run.variant for run in other} != {run.variant for run in six}


def test_study_changes_only_the_rates_of_its_method(plan):
    run, rates = next(iter(tables.study_runs(plan).items()))
    settings = plan.variant(run.variant).settings
    assert {name: getattr(settings, name) for name in rates} == rates
    assert settings.ensemble.k == 3
    assert settings.sigma == plan.variant("genome").settings.sigma


def test_reachable_covers_the_micro_tasks_of_table2(plan):
    assert tables.reachable_files(plan) == [
        f"results/test/{task}/static/{adapter}/scores.json"
        for task in ("sums", "emotions")
        for adapter in ("data_merge", f"oracle_{task}")
    ]


def test_table7_refuses_a_merge_that_has_no_run():
    plan = plan_of(table7={"variants": ["dare_ties"]})
    with pytest.raises(
        GenomeError, match=r"config.table7.variants: dare_ties has no run on validation data; take it out"
    ):
        RESULTS["table7"].inputs_of(plan)


def test_table7_refuses_tables_of_other_machines_that_are_missing():
    plan = plan_of(table7={"beside": ["away.csv"]})
    with pytest.raises(GenomeError, match=r"config.table7.beside: 1 of 1 files are missing, first away.csv"):
        RESULTS["table7"].inputs_of(plan)


def test_first_task_is_from_table2_or_else_from_any_section():
    assert plan_of(table2={"tasks": ["emotions", "sums"]}).first_task() == "emotions"
    assert plan_of(table2=None, table1={"tasks": ["puzzles"]}).first_task() == "puzzles"
    nothing = dict.fromkeys(PARTS)
    with pytest.raises(GenomeError, match="no table or figure of this config names a task"):
        plan_of(**nothing).first_task()


def test_a_task_without_a_metric_is_shown_by_the_first_metric_of_its_kind():
    plan = plan_of(tasks={"sums": {"metric": None}}, table2={"tasks": ["sums", "emotions"]})
    shown = RESULTS["table2"].settings_of(plan)["columns"]
    assert [column["metric"] for column in shown] == ["accuracy", plan_of().definition("emotions")["metric"]]
