"""Scores in long form, and tables as csv files."""

import pandas as pd
import pytest

from builders import score_row
from genome.errors import GenomeError
from genome.files import write_json
from genome.report.tables import collect, write_csv


def test_scores_are_collected_in_percent_and_sorted(tmp_path):
    write_json(tmp_path / "b.json", [score_row("b", score=0.4, seed=2), score_row("b", score=0.5, seed=1)])
    write_json(tmp_path / "a.json", [score_row("a", score=0.3, seed=None, population_size=None)])
    scores = collect([tmp_path / "b.json", tmp_path / "a.json"])
    assert list(scores.columns[:1]) == ["method"]
    assert {"tasks", "test_task", "seed", "score", "n", "standard_error", "unparsed", "run"} <= set(scores.columns)
    assert scores["score"].tolist() == [30.0, 50.0, 40.0]
    assert scores["standard_error"].tolist() == [1.5] * 3
    assert scores["seed"].isna().tolist() == [True, False, False]
    pd.testing.assert_frame_equal(scores, collect([tmp_path / "a.json", tmp_path / "b.json"]))
    write_csv(scores, tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_text().splitlines() == [
        "method,report,population_size,tasks,test_task,seed,score,n,standard_error,unparsed,run,engine,handed_out,folder",
        f'a,best,,t,t,,30.00,1000,1.50,3,results/runs/t/a,"transformers 5.0, dtype float32",,{tmp_path}',
        f'b,best,10,t,t,1,50.00,1000,1.50,3,results/runs/t/b,"transformers 5.0, dtype float32",,{tmp_path}',
        f'b,best,10,t,t,2,40.00,1000,1.50,3,results/runs/t/b,"transformers 5.0, dtype float32",,{tmp_path}',
    ]


def test_a_row_without_a_field_names_file_and_field(tmp_path):
    broken = score_row()
    del broken["score"]
    write_json(tmp_path / "scores.json", [broken])
    with pytest.raises(GenomeError, match=r"scores\.json: a row has no field 'score'"):
        collect([tmp_path / "scores.json"])


def test_write_csv_writes_a_tiny_loss_as_zero(tmp_path):
    write_csv(pd.DataFrame({"method": ["x"], "t": [-0.001]}), tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == "method,t\nx,0.00\n"
