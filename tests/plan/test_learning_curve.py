"""The learning curve: which runs it asks for, and which samples they have."""

from genome.workflow.figures import FIGURES
from genome.workflow.results import everything
from plan.plans import plan_of

FIGURE = FIGURES["learning_curve"]
SEEDS = (1, 2)


def scored(plan):
    """Return the tests that the figure is made from, as TASK/RUN, in their order."""
    return [file[len("results/test/") : -len("/scores.json")] for file in FIGURE.inputs_of(plan)["scores"]]


def curve(*variants, tasks=("sums",), sizes=(10, 20, 30), draws=False, **changes):
    shown = {"tasks": [*tasks], "variants": [*variants], "sizes": [*sizes], "draws": draws}
    return plan_of(learning_curve=shown, **changes)


def test_runs_are_on_parts_and_those_on_all_samples_are_those_of_other_tables():
    plan = curve("validation_lora", "genome_plus")
    expected = [
        f"sums/{part}/{run}{seed}"
        for part in ("sums@10", "sums@20", "sums")
        for run in ("validation_lora/seed", "genome_plus/n4/seed")
        for seed in SEEDS
    ]
    assert scored(plan) == expected
    answers = FIGURE.inputs_of(plan)["answers"]
    assert answers == [f"results/test/{test}/answers.jsonl" for test in expected]


def test_more_samples_than_a_task_has_are_all_of_them():
    plan = curve("genome", sizes=(200, 10, 50, 30), seeds=[1])
    assert scored(plan) == ["sums/sums@10/genome/n4/seed1", "sums/sums/genome/n4/seed1"]
    assert [size for size, _ in FIGURE.settings_of(plan)["sizes"]] == [10, 30]
    fewer = curve("genome", sizes=(10, 20, 50), seeds=[1], splits={"validation": 15})
    assert scored(fewer) == ["sums/sums@10/genome/n4/seed1", "sums/sums/genome/n4/seed1"]
    assert [size for size, _ in FIGURE.settings_of(fewer)["sizes"]] == [10, 15]
    more = curve("genome", sizes=(30,), seeds=[1], splits={"validation": 31})
    assert scored(more) == ["sums/sums@30/genome/n4/seed1"]


def test_base_and_best_expert_are_levels_of_the_whole_task():
    plan = curve("base", "genome", "best_single", sizes=(10, 20), seeds=[1])
    assert scored(plan) == [
        "sums/sums@10/genome/n4/seed1",
        "sums/sums@20/genome/n4/seed1",
        "sums/sums/base",
        "sums/sums/best_single",
    ]
    shown = FIGURE.settings_of(plan)
    assert [[row["name"] for row in shown[side]] for side in ("lines", "levels")] == [
        ["genome"],
        ["base", "best_single"],
    ]
    assert [column["tasks"] for column in shown["whole"]] == ["sums"]


def test_with_draws_each_seed_has_its_own_samples():
    plan = curve("base", "best_single", "genome", sizes=(10, 30), draws=True)
    assert scored(plan) == [
        "sums/sums@10.1/best_single",
        "sums/sums@10.2/best_single",
        "sums/sums@10.1/genome/n4/seed1",
        "sums/sums@10.2/genome/n4/seed2",
        "sums/sums@30.1/best_single",
        "sums/sums@30.2/best_single",
        "sums/sums@30.1/genome/n4/seed1",
        "sums/sums@30.2/genome/n4/seed2",
        "sums/sums@10.1/base",  # it looks at no sample, so any draw will do
    ]
    shown = FIGURE.settings_of(plan)
    assert [[column["tasks"] for column in columns] for _, columns in shown["sizes"]] == [["sums@10"], ["sums@30"]]
    assert [column["tasks"] for column in shown["whole"]] == ["sums@10.1"]


def test_uniform_is_a_level_unless_its_answers_are_calibrated():
    plan = curve("uniform", "uniform-calibrated")
    shown = FIGURE.settings_of(plan)
    assert [[row["name"] for row in shown[side]] for side in ("lines", "levels")] == [
        ["uniform-calibrated"],
        ["uniform"],
    ]


def test_merges_that_look_at_no_samples_have_one_run():
    assert scored(curve("dare_ties")) == [f"sums/static/dare_ties/seed{seed}" for seed in SEEDS]


def test_cells_that_do_not_apply_are_left_out():
    plan = curve("majority", "validation_lora", tasks=("sums", "emotions"), sizes=(10,), seeds=[1])
    assert scored(plan) == [
        "emotions/emotions@10/majority",
        "sums/sums@10/validation_lora/seed1",
        "emotions/emotions@10/validation_lora/seed1",
    ]


def test_columns_name_the_part_the_test_and_its_metric():
    plan = curve("genome", tasks=("sums", "emotions"), sizes=(10, 30))
    (_, part), (_, whole) = FIGURE.settings_of(plan)["sizes"]
    assert part == [
        {"name": "sums", "tasks": "sums@10", "test_task": "sums", "metric": "accuracy"},
        {"name": "emotions", "tasks": "emotions@10", "test_task": "emotions", "metric": plan.metric("emotions")},
    ]
    assert [column["tasks"] for column in whole] == ["sums", "emotions"]


def test_default_has_it_with_a_search_by_likelihood_of_twenty_samples_a_generation():
    plan = plan_of(learning_curve=None)
    assert "results/figures/learning_curve.svg" not in everything(plan)
    assert "results/figures/learning_curve.svg" in everything(plan_of())
    settings = plan.variant("cma_es-likelihood").settings
    assert (settings.objective, settings.samples, settings.redraw) == ("likelihood", 20, True)
    runs = scored(curve("cma_es-likelihood", sizes=(10,), seeds=[1]))
    assert runs == ["sums/sums@10/cma_es-likelihood/n4/seed1"]
