"""Tables against the paper's own Table 2 and Table 8, and their rules one by one."""

import numpy as np
import pandas as pd
import pytest

from genome.errors import GenomeError
from genome.files import write_json
from genome.report.tables import ablations, caption, collect, markdown, reachable, table2, write_csv

PAPER_TASKS = [
    "mmlu",
    "mmlu_pro",
    "gsm8k",
    "math",
    "mgsm",
    "flores37",
    "arc_c",
    "csqa",
    "bbh",
    "drop",
    "emorynlp",
    "mbpp",
]
PAPER = {
    "Best Single": [52.90, 26.57, 40.80, 14.30, 30.22, 21.51, 57.34, 64.30, 30.22, 30.40, 32.53, 31.78],
    "Model Swarms": [55.91, 27.77, 45.82, 15.06, 33.15, 21.76, 68.53, 68.76, 38.80, 34.52, 33.98, 42.56],
    "GENOME": [56.66, 27.77, 49.34, 15.72, 37.19, 22.78, 70.69, 68.22, 40.00, 35.28, 34.97, 43.60],
    "GENOME+": [56.44, 30.98, 51.24, 16.41, 39.55, 23.38, 74.38, 69.89, 41.10, 47.06, 38.81, 43.54],
}


VARIANTS = {"Best Single": "best_single", "Model Swarms": "model_swarms", "GENOME": "genome", "GENOME+": "genome_plus"}


def row(method, task, score, seed=1, **fields):
    """Return one row of a score file; `score` in percent."""
    return {
        "method": VARIANTS.get(method, method),
        "report": "best",
        "tasks": task,
        "test_task": task,
        "seed": seed,
        "population_size": 10,
        "score": score / 100,
        "n": 1000,
        "standard_error": 0.015,
        "unparsed": 3,
        "run": f"results/runs/{task}/{method}",
    } | fields


@pytest.fixture
def scores_of(tmp_path):
    """Return a function that writes rows to a score file and collects it."""

    def scores(rows):
        write_json(tmp_path / "scores.json", rows)
        return collect([tmp_path / "scores.json"])

    return scores


def methods(*labels, report="best"):
    return [{"variant": VARIANTS.get(label, label), "label": label, "report": report} for label in labels]


def test_the_papers_gains_follow_from_its_scores(scores_of):
    """Golden: the paper's comparison rows, which we compute from its (rounded) scores."""
    rows = [
        row(label, task, score) for label, line in PAPER.items() for task, score in zip(PAPER_TASKS, line, strict=True)
    ]
    table = table2(scores_of(rows), methods(*PAPER), PAPER_TASKS, [1]).set_index("method")
    assert list(table.index) == [
        "Best Single",
        "Model Swarms",
        "GENOME",
        "GENOME vs Best Single",
        "GENOME vs Model Swarms",
        "GENOME+",
        "GENOME+ vs Best Single",
        "GENOME+ vs Model Swarms",
    ]
    single = table.loc["GENOME+ vs Best Single"]
    printed = [6.69, 16.60, 25.59, 14.76, 30.87, 8.69, 29.72, 8.69, 36.00, 54.80, 19.31, 37.00, 24.06]
    np.testing.assert_allclose(single, printed, atol=0.011)
    swarms = table.loc["GENOME+ vs Model Swarms"]
    printed = [0.95, 11.56, 11.83, 8.96, 19.31, 7.44, 8.54, 1.64, 5.93, 36.33, 14.21, 2.30, 10.75]
    np.testing.assert_allclose(swarms, printed, atol=0.011)
    assert table.loc["GENOME vs Model Swarms", "mmlu_pro"] == 0


def test_table8_follows_from_its_scores(scores_of):
    """Golden: the paper's mean changes without initialisation and without the ensemble."""
    paper = {
        "GENOME+": [30.98, 51.24, 47.06],
        "no_initial": [29.72, 46.02, 42.70],
        "no_ensemble": [28.81, 48.46, 37.00],
    }
    tasks = ["mmlu_pro", "gsm8k", "drop"]
    rows = [row(label, task, score) for label, line in paper.items() for task, score in zip(tasks, line, strict=True)]
    full, *without = methods(*paper)
    table = ablations(scores_of(rows), full, without, tasks, [1]).set_index("method")
    np.testing.assert_allclose(table["change"], [np.nan, -7.84, -11.27], atol=0.01)
    assert table.loc["no_initial", "mean"] == pytest.approx(np.mean(paper["no_initial"]))


def test_scores_are_collected_in_percent_and_sorted(tmp_path):
    write_json(tmp_path / "b.json", [row("b", "t", 40.0, seed=2), row("b", "t", 50.0, seed=1)])
    write_json(tmp_path / "a.json", [row("a", "t", 30.0, seed=None, population_size=None)])
    scores = collect([tmp_path / "b.json", tmp_path / "a.json"])
    assert list(scores.columns[:1]) == ["method"]
    assert {"tasks", "test_task", "seed", "score", "n", "standard_error", "unparsed", "run"} <= set(scores.columns)
    assert scores["score"].tolist() == [30.0, 50.0, 40.0]
    assert scores["standard_error"].tolist() == [1.5] * 3
    assert scores["seed"].isna().tolist() == [True, False, False]
    pd.testing.assert_frame_equal(scores, collect([tmp_path / "a.json", tmp_path / "b.json"]))
    write_csv(scores, tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_text().splitlines() == [
        "method,report,population_size,tasks,test_task,seed,score,n,standard_error,unparsed,run",
        "a,best,,t,t,,30.00,1000,1.50,3,results/runs/t/a",
        "b,best,10,t,t,1,50.00,1000,1.50,3,results/runs/t/b",
        "b,best,10,t,t,2,40.00,1000,1.50,3,results/runs/t/b",
    ]


def test_seeds_are_averaged_and_gains_are_those_of_the_means(scores_of):
    rows = [
        row("Best Single", "t", 20.0, seed=None),
        row("GENOME", "t", 30.0, seed=1),
        row("GENOME", "t", 50.0, seed=2),
    ]
    table = table2(scores_of(rows), methods("Best Single", "GENOME"), ["t"], [1, 2]).set_index("method")
    assert table["t"].tolist() == pytest.approx([20.0, 40.0, 100.0])
    assert list(table.index) == ["Best Single", "GENOME", "GENOME vs Best Single"]


def test_the_mean_gain_is_the_mean_of_the_tasks_gains(scores_of):
    values = {"Best Single": (10.0, 80.0), "GENOME": (20.0, 80.0)}
    rows = [row(name, task, score) for name, line in values.items() for task, score in zip("ab", line, strict=True)]
    table = table2(scores_of(rows), methods(*values), ["a", "b"], [1]).set_index("method")
    assert table.loc["GENOME vs Best Single"].tolist() == pytest.approx([100.0, 0.0, 50.0])
    assert table.loc["GENOME", "mean"] == pytest.approx(50.0)


def test_a_gain_over_nothing_is_blank_and_left_out_of_the_mean(scores_of, tmp_path):
    values = {"Best Single": (0.0, 50.0), "GENOME": (20.0, 60.0)}
    rows = [row(name, task, score) for name, line in values.items() for task, score in zip("ab", line, strict=True)]
    table = table2(scores_of(rows), methods(*values), ["a", "b"], [1])
    write_csv(table, tmp_path / "table2.csv")
    assert (tmp_path / "table2.csv").read_text() == (
        "method,a,b,mean\nBest Single,0.00,50.00,25.00\nGENOME,20.00,60.00,40.00\nGENOME vs Best Single,,20.00,20.00\n"
    )


def test_a_missing_seed_or_task_is_blank_and_so_is_the_mean(scores_of):
    rows = [row("GENOME", "a", 30.0, seed=1), row("GENOME", "b", 30.0, seed=1), row("GENOME", "b", 40.0, seed=2)]
    table = table2(scores_of(rows), methods("GENOME"), ["a", "b"], [1, 2]).set_index("method")
    assert np.isnan(table.loc["GENOME", "a"])
    assert table.loc["GENOME", "b"] == pytest.approx(35.0)
    assert np.isnan(table.loc["GENOME", "mean"])


def test_a_row_shows_its_own_kind_of_run_only(scores_of):
    """Ensembles, transfer to another task, runs on two tasks and other seeds stay out of a row on best individuals."""
    rows = [
        row("GENOME", "t", 30.0),
        row("GENOME", "t", 90.0, report="ensemble"),
        row("GENOME", "t", 91.0, tasks="t+u"),
        row("GENOME", "u", 92.0, test_task="t"),
        row("GENOME", "t", 93.0, seed=2),
        row("genome_plus", "t", 94.0),
    ]
    scores = scores_of(rows)
    assert table2(scores, methods("GENOME"), ["t"], [1])["t"].tolist() == pytest.approx([30.0])
    ensemble = [{"variant": "genome", "label": "voted", "report": "ensemble"}]
    assert table2(scores, ensemble, ["t"], [1])["t"].tolist() == pytest.approx([90.0])


def test_a_merge_that_looked_at_no_task_has_a_score_on_each(scores_of):
    method = {"variant": "data_merge", "label": "Data Merge", "report": "best"}
    rows = [
        row("data_merge", "a", 40.0, tasks="static", seed=None),
        row("data_merge", "b", 60.0, tasks="static", seed=None),
    ]
    assert table2(scores_of(rows), [method], ["a", "b"], [1, 2]).loc[0].tolist() == ["Data Merge", 40.0, 60.0, 50.0]


def test_data_merge_is_compared_with_what_is_reachable(scores_of):
    rows = [
        row(method, task, score, tasks="static", seed=None, population_size=None)
        for task, merged, oracle in (("a", 45.0, 50.0), ("b", 90.0, 90.0))
        for method, score in (("data_merge", merged), (f"oracle_{task}", oracle))
    ]
    table = reachable(scores_of(rows)).set_index("task")
    assert table.loc["a"].tolist() == [45.0, 50.0, 90.0]
    assert table.loc["mean", "share"] == pytest.approx(100 * 67.5 / 70)


def test_two_population_sizes_in_one_cell_are_refused(scores_of):
    scores = scores_of([row("GENOME", "t", 30.0), row("GENOME", "t", 40.0, population_size=20)])
    with pytest.raises(
        GenomeError, match="GENOME, task t: 2 scores where 1 belong; give the table one population size"
    ):
        table2(scores, methods("GENOME"), ["t"], [1])


def test_a_row_without_a_field_names_file_and_field(tmp_path):
    broken = row("GENOME", "t", 30.0)
    del broken["score"]
    write_json(tmp_path / "scores.json", [broken])
    with pytest.raises(GenomeError, match=r"scores\.json: a row has no field 'score'"):
        collect([tmp_path / "scores.json"])


def test_a_tiny_loss_is_no_negative_zero(tmp_path):
    write_csv(pd.DataFrame({"method": ["x"], "t": [-0.001]}), tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == "method,t\nx,0.00\n"


def test_markdown_marks_best_second_ties_signs_and_blanks():
    table = pd.DataFrame(
        {
            "method": ["A", "B", "GENOME", "GENOME vs A", "GENOME vs B"],
            "t": [40.0, 50.001, 50.0, 25.0, 0.0],
            "u": [90.0, 0.0, 45.0, -50.0, np.nan],
            "mean": [65.0, 25.0, 47.5, -12.5, 0.0],
        }
    )
    assert markdown(table, "Said so.") == (
        "| Method   |         t |         u |      mean |\n"
        "|:---------|----------:|----------:|----------:|\n"
        "| A        |   *40.00* | **90.00** | **65.00** |\n"
        "| B        | **50.00** |      0.00 |     25.00 |\n"
        "| GENOME   | **50.00** |   *45.00* |   *47.50* |\n"
        "| – vs A   |   +25.00% |   −50.00% |   −12.50% |\n"
        "| – vs B   |         — |           |         — |\n"
        "\nSaid so.\n"
    )


def test_the_caption_says_seeds_and_samples(scores_of):
    rows = [row("GENOME", "a", 30.0, n=1000), row("GENOME", "b", 30.0, n=697, standard_error=0.0175)]
    rows += [row("other", "a", 30.0, n=5, standard_error=0.3)]
    text = caption(scores_of(rows), methods("GENOME"), ["a", "b"], [1, 2])
    assert "mean over seeds 1, 2 " in text
    assert "test samples: a 1000, b 697;" in text
    assert "at most 1.8 points" in text
    assert "1000 test samples a task" in caption(scores_of(rows[:1]), methods("GENOME"), ["a"], [1])
