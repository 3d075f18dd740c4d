"""The summary of Table 2: its numbers are Table 2's, and its page says who is best and how sure that is."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest

from builders import score_row
from genome.files import write_json, write_jsonl
from genome.report import summary as module
from genome.report.comparison import comparison
from genome.report.layout import STYLES
from genome.report.summary import spent, summary
from genome.report.summary_page import answer, page
from genome.report.tables import collect
from genome.report.uncertainty import uncertainty

LABELS = {
    "base": "Base",
    "best_single": "Best Single",
    "validation_lora": "Validation LoRA",
    "model_swarms": "Model Swarms",
    "genome": "GENOME <1>",
    "uniform": "Uniform",
}
METHODS = [
    {"name": name, "variant": name, "label": label, "short": label, "shown": label, "report": "best", "group": "paper"}
    for name, label in LABELS.items()
]
COLUMNS = [{"name": task, "tasks": task, "test_task": task, "metric": "accuracy"} for task in ("sums", "facts")]
SEEDS = [1, 2]
SHARES = {  # the shares of right answers on each task; GENOME and Model Swarms have two seeds
    "base": ((0.1, 0.1),),
    "best_single": ((0.5, 0.4),),
    "validation_lora": ((0.55, 0.7),),
    "model_swarms": ((0.78, 0.8), (0.8, 0.79)),
    "genome": ((0.8, 0.81), (0.81, 0.82)),
    "uniform": ((0.3, 0.2),),
}
STAGES = {"sums/best_single": ["sums/experts"]} | {
    f"{task}/genome/seed{seed}": [f"{task}/experts", f"{task}/genome/seed{seed}"]
    for task in ("sums", "facts")
    for seed in SEEDS
}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Return the score files of all runs, with their answers, and the records of their jobs."""
    monkeypatch.chdir(tmp_path)
    scores = []
    for method, by_seed in SHARES.items():
        for seed, shares in zip(SEEDS if len(by_seed) > 1 else [None], by_seed, strict=True):
            for task, share in zip(("sums", "facts"), shares, strict=True):
                place = f"{task}/{method}" + (f"/seed{seed}" if seed else "")
                folder, right = Path("results/test", task, place), round(200 * share)
                fields = {"seed": seed, "population_size": None, "n": 200, "run": f"results/runs/{place}"}
                write_json(folder / "scores.json", [score_row(method, task, share, **fields)])
                rows = [{"report": "best", "sample": i, "answer": "x", "score": float(i < right)} for i in range(200)]
                write_jsonl(folder / "answers.jsonl", rows)
                scores.append(str(folder / "scores.json"))
    records = {}
    for stage in {stage for stages in STAGES.values() for stage in stages}:
        number = 1 + ("genome" in stage)
        record = {"machine": None, "samples": 100 * number, "prompt_tokens": 1000 * number, "response_tokens": number}
        write_json(f"results/benchmarks/runs/{stage}.json", record)
        records[stage] = f"results/benchmarks/runs/{stage}.json"
    return {"scores": scores, "records": list(records.values())}


@pytest.fixture
def table(files):
    return summary(collect(files["scores"]), spent(files["records"], STAGES), METHODS, COLUMNS, SEEDS)


def test_numbers_are_those_of_table_2(files, table):
    scores = collect(files["scores"])
    layout = METHODS, COLUMNS, SEEDS, STYLES["table2"]
    means = comparison(scores, *layout).set_index("method")["mean"]
    sure = uncertainty(scores, *layout).set_index(["method", "versus", "test"])
    for row in table.itertuples():
        assert row.score == pytest.approx(means[row.method])
        found = sure.loc[(row.method, "", "mean")]
        assert (row.low, row.high) == pytest.approx((found["low"], found["high"]))
        if row.name != "best_single":
            gain = sure.loc[(row.method, "Best Single", "mean")]
            assert (row.best_single, row.best_single_low) == pytest.approx((gain["value"], gain["low"]))
            assert row.best_single_holds == gain["holds"]
            like = sure.loc[(row.method, "Best Single", "mean of tasks like these")]
            assert row.best_single_like_high == pytest.approx(like["high"])
        assert row.base == pytest.approx(means[row.method] - means["Base"]) or row.name == "base"


def test_methods_are_sorted_by_score(table):
    assert list(table["name"]) == ["genome", "model_swarms", "validation_lora", "best_single", "uniform", "base"]
    lead = table.set_index("name")["best"]
    assert lead["model_swarms"] == pytest.approx(79.25 - 81)
    assert np.isnan(lead["genome"])


def test_costs_are_medians_over_runs_and_missing_without_a_search(table):
    costs = table.set_index("name")[["samples", "tokens"]]
    assert costs.loc["genome"].tolist() == [300, 3003]
    assert costs.loc["best_single"].tolist() == [100, 1001]
    assert costs.loc["uniform"].isna().all()


def test_method_without_a_score_on_some_task_comes_last(files):
    blank = [{**row, "blanks": {"facts": "why"} if row["name"] == "genome" else {}} for row in METHODS]
    table = summary(collect(files["scores"]), {}, blank, COLUMNS, SEEDS)
    assert table.iloc[-1]["name"] == "genome"
    assert table.iloc[-1][["score", "base", "tokens"]].isna().all()
    assert table.iloc[0]["name"] == "model_swarms"


def test_answer_names_the_best_its_gains_and_its_rivals(table):
    text = re.sub("<[^>]*>", "", answer(table, 2))
    row = table.iloc[0]
    assert text.startswith("GENOME &lt;1&gt; has the highest mean test score of 6 methods on 2 tasks: 81.00 %")
    assert f"71.00 points above the base model [+{row.base_low:.2f}, +{row.base_high:.2f}]" in text
    assert "36.00 points above the best expert" in text
    assert "18.50 points above the Validation LoRA" in text
    assert "Not shown to be lower on these tasks: Model Swarms." in text
    assert "Intervals on other tasks like these" in text


def test_answer_says_that_a_gain_does_not_hold(table):
    doubted = table.assign(validation_lora_holds="no", best_holds="yes")
    assert "over the Validation LoRA" in answer(doubted, 2)
    assert answer(doubted, 2).count("a difference that does not hold") == 1
    assert "All other methods are shown to be lower." in answer(doubted, 2)


def test_answer_of_one_task_speaks_of_no_mean_and_no_other_tasks(files):
    table = summary(collect(files["scores"]), {}, METHODS, COLUMNS[:1], SEEDS)
    assert "has the highest test score of 6 methods: " in answer(table, 1)
    assert "tasks like these" not in answer(table, 1)


def test_answer_without_any_mean(table):
    assert "No method has a score on every task" in answer(table.assign(score=np.nan), 2)


def test_page_contains_pictures_and_all_rows_and_loads_nothing(table):
    pictures = [b"<svg>1</svg>", b"<svg>2</svg>"]
    text = page(table, pictures, 2, SEEDS, [200, 200])
    shown = re.findall(r'<img alt="[^"]+" src="data:image/svg\+xml;base64,([^"]+)">', text)
    assert [base64.b64decode(each) for each in shown] == pictures
    assert text.count("<tr") == 1 + len(METHODS)
    assert "http" not in text
    assert "200 test samples" in text
    assert text.index("<img") < text.index("<table>")
    rules = re.search("<style>(.*?)</style>", text, re.DOTALL)[1]
    assert all(rule.strip().startswith(".summary") for rule in re.findall(r"([^{}]+){", rules))


def test_summary_is_written_in_the_same_bytes_twice(files, tmp_path):
    settings = {"methods": METHODS, "columns": COLUMNS, "seeds": SEEDS, "stages": STAGES}
    names = {"table": "summary.csv", "scores": "scores.svg", "cost": "cost.svg", "page": "summary.html"}
    made = []
    for folder in ("one", "two"):
        outputs = {name: str(tmp_path / folder / file) for name, file in names.items()}
        (tmp_path / folder).mkdir()
        module.write(json.loads(json.dumps(settings)), files, outputs)
        made.append({name: Path(path).read_bytes() for name, path in outputs.items()})
    assert made[0] == made[1]
    assert made[0]["table"].decode().startswith("method,name,short,shown,score,low,high,samples,tokens,base,")
