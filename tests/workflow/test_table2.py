"""The whole pipeline on a cut-down config: what comes out, and that only test rules read test data."""

import csv
import re

import pytest

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

ROWS = [
    "Base", "Majority", "Uniform", "Task arithmetic", "TIES", "Validation LoRA", "RandOpt (not in the paper)",
    "GENOME+ on random experts", "GENOME+ with the Validation LoRA",
    "Best Single", "Data Merge", "DARE_TIES", "DARE_TIES on factors", "Expert Fusion", "LoraHub",
    "LoraHub, as published", "Pack of LLMs", "Pack of LLMs, one merge", "Model Swarms",
    "GENOME", "GENOME − Best Single", "GENOME vs Best Single", "GENOME − Model Swarms", "GENOME vs Model Swarms",
    "GENOME+", "GENOME+ − Best Single", "GENOME+ vs Best Single", "GENOME+ − Model Swarms", "GENOME+ vs Model Swarms",
    "CMA-ES, best individual (not in the paper)", "CMA-ES (not in the paper)",
]  # fmt: skip


def test_table2_lists_controls_then_the_paper_s_methods_in_order_then_cma_es(finished):
    with (finished.folder / "results/tables/table2.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == ROWS
    [majority] = [row for row in rows if row["method"] == "Majority"]
    assert majority["sums"] == majority["mean"] == "", "sums has no most frequent answer"
    for row in rows:
        if " vs " not in row["method"] and " − " not in row["method"] and row is not majority:
            scores = [float(row[task]) for task in ("sums", "emotions")]
            assert all(0 <= score <= 100 for score in scores)
            assert float(row["mean"]) == pytest.approx(sum(scores) / 2, abs=0.01)
    markdown = (finished.folder / "results/tables/table2.md").read_text()
    assert "GENOME+, ensemble of 3" in markdown
    headings = [markdown.index(f"**{name}**") for name in ("Controls", "The paper's methods", "Beyond the paper")]
    assert headings == sorted(headings)
    assert "Majority on sums: sums has no options or labels, so no most frequent answer." in markdown
    assert re.search(r"^Best Single is \w+ \(.*sums.*\)", markdown, re.MULTILINE)
    assert "40 test samples a task" in markdown


def test_scores_name_their_runs(finished):
    with (finished.folder / "results/tables/table2_scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"method", "tasks", "test_task", "seed", "score", "n", "standard_error"} <= set(rows[0])
    assert {row["n"] for row in rows} == {"40"}
    for row in rows:
        assert (finished.folder / row["run"]).exists()  # the file of an adapter, the folder of any other run


def test_generation_keeps_the_files_that_the_next_one_needs(finished):
    run = finished.folder / "results/runs/sums/genome_plus/n4/seed1/generation_3"
    assert {path.name for path in run.iterdir() if not path.name.startswith(".")} == {
        "population.json", "evaluations.jsonl", "adapters",
    }  # fmt: skip
    adapters = [path for path in (run / "adapters").iterdir() if path.is_dir()]
    assert len(adapters) == 4
    assert all(
        {file.name for file in path.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
        for path in adapters
    )


def test_generation_logs_best_mean_evaluations_and_seconds(finished):
    log = (finished.folder / "logs/runs/sums/genome_plus/n4/seed1/generation_2.log").read_text().splitlines()
    assert re.search(r"generation 2: best 0\.\d+, mean 0\.\d+, \d+ evaluations spent, \d+\.\d+ s", log[-1])


def test_a_second_run_does_nothing(finished):
    before = finished.times()
    assert "Nothing to be done" in finished.make("results/tables/table2.csv")
    assert finished.times() == before


def test_no_engine_remains_after_the_run(finished):
    assert finished.engines() == []
    assert not list((finished.folder / ".genome").glob("engine-*.json"))


def test_only_test_rules_read_test_data(finished):
    rows = finished.summary("results/tables/table2.csv")
    readers = {row["rule"] for row in rows if "/test.jsonl" in row["input-file(s)"]}
    assert readers == {"prepare_prompts", "answer_test", "score_test"}


def test_fitness_on_two_tasks_is_their_mean(done):
    done.make("results/runs/sums+emotions/genome/n4/seed2/generation_1/population.json")
    best = done.read("results/runs/sums+emotions/genome/n4/seed2/generation_1/population.json")["best"]
    assert best["fitness"] == pytest.approx(sum(best["scores"].values()) / 2)
    assert set(best["scores"]) == {"sums", "emotions"}


def test_evolution_of_a_run_can_be_plotted(done):
    done.make("results/figures/evolution/sums/genome_plus/n4/seed1.svg")
    assert (done.folder / "results/figures/evolution/sums/genome_plus/n4/seed1.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    "variant",
    ["no_initialisation", "no_crossover", "no_mutation", "random_selection", "no_succession", "no_ensemble"],
)
def test_every_ablation_of_table_8_is_a_target(finished, variant):
    plan = finished.planned(f"results/runs/sums/genome_plus-{variant}/n4/seed1/generation_3/population.json")
    generations = [file for file in plan if file.endswith("population.json") and "generation_" in file]
    assert len(generations) == 3
    assert all(f"/genome_plus-{variant}/" in file for file in generations)
