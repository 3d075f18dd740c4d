"""The real libraries, as far as they are installed: runs are begun, gone on with, read back, and grouped."""

import importlib.util
import time
from pathlib import Path

import pytest

from genome.tracking.trackers import TRACKERS, Mlflow, Trackio, Wandb, flattened, working_folder
from tracking.worlds import NAME, run_of

METRICS = {"fitness/best": 0.625, "fitness/mean": 0.5, "evaluations": 10.0}
RUN = run_of()


def needs(library: str):
    """Skip a test without a tracker's library: it is an extra of the package, which tests do not need."""
    absent = importlib.util.find_spec(library) is None
    return pytest.mark.skipif(absent, reason=f"{library} is not installed, see tests/README.md")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in a folder of this test's own, without accounts or a network."""
    monkeypatch.chdir(tmp_path)
    for variable in ("MLFLOW_TRACKING_URI", "WANDB_API_KEY", "WANDB_MODE", "TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
        monkeypatch.delenv(variable, raising=False)


def test_parameters_are_flat():
    nested = {"n": 2, "ensemble": {"k": 3, "of": {"a": None}}}
    assert flattened(nested) == {"n": 2, "ensemble.k": 3, "ensemble.of.a": None}


def test_runs_are_grouped_by_the_working_folder(tmp_path, monkeypatch):
    assert working_folder() == tmp_path.name
    monkeypatch.chdir("/")
    assert working_folder() == "genome"


def test_trackers_have_the_names_of_the_config_s_keys():
    from genome.config.log import Log

    assert {*TRACKERS} == {*Log.model_fields}


@pytest.fixture
def mlflow():
    return Mlflow({"uri": "sqlite:///mlflow.db", "experiment": "mine"})


def history(mlflow, key, name="fitness/best"):
    return [(each.step, each.value) for each in mlflow.client.get_metric_history(key, name)]


@needs("mlflow")
def test_mlflow_keeps_generations_results_and_parameters(mlflow):
    key = mlflow.open(RUN, None)
    mlflow.log(key, 0, METRICS)
    mlflow.close(key, finished=False)
    assert mlflow.client.get_run(key).info.status == "RUNNING"
    again = Mlflow({"uri": "sqlite:///mlflow.db", "experiment": "mine"})
    assert again.open(RUN, key) == key
    again.log(key, 1, {**METRICS, "fitness/best": 0.75})
    again.results(key, 2, {"test/t/best": 0.25})
    again.close(key, finished=True)
    found = again.client.get_run(key)
    assert (found.info.run_name, found.info.status) == (NAME, "FINISHED")
    assert found.data.params == {"method": "genome", "settings.sigma": "0.1", "settings.ensemble.k": "3"}
    assert found.data.tags["genome.group"] == "t/genome"
    assert history(again, key) == [(0, 0.625), (1, 0.75)]
    assert history(again, key, "test/t/best") == [(2, 0.25)]
    [experiment] = [each for each in again.client.search_experiments() if each.name == "mine"]
    assert found.info.experiment_id == experiment.experiment_id


@needs("mlflow")
def test_mlflow_is_not_sent_what_it_has(mlflow):
    key = mlflow.open(RUN, None)
    for _ in range(2):
        mlflow.log(key, 0, METRICS)
        mlflow.results(key, 2, {"test/t/best": 0.25})
    mlflow.results(key, 2, {"test/t/best": 0.5})
    assert history(mlflow, key) == [(0, 0.625)]
    assert history(mlflow, key, "test/t/best") == [(2, 0.25), (2, 0.5)]


@needs("mlflow")
def test_mlflow_begins_a_deleted_run_again(mlflow):
    key = mlflow.open(RUN, None)
    mlflow.client.delete_run(key)
    assert mlflow.open(RUN, key) != key
    assert mlflow.open(RUN, "0" * 32) != "0" * 32


@needs("trackio")
def test_trackio_goes_on_with_a_run(tmp_path, monkeypatch):
    import trackio
    from trackio import sqlite_storage, utils

    for module in (utils, sqlite_storage):
        monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path / "kept")
    first, tracker = Trackio({"project": "mine"}), Trackio({"project": "mine"})
    key = first.open(RUN, None)
    first.log(key, 0, METRICS)
    first.close(key, finished=False)
    assert tracker.open(RUN, key) == key
    tracker.log(key, 1, METRICS)
    tracker.results(key, 1, {"test/t/best": 0.25})
    tracker.close(key, finished=True)
    logs = trackio.SQLiteStorage.get_logs("mine", NAME)
    assert [(row["step"], row.get("fitness/best"), row.get("test/t/best")) for row in logs] == [
        (0, 0.625, None),
        (1, 0.625, None),
        (1, None, 0.25),
    ]


@needs("trackio")
def test_trackio_begins_a_run_again_that_is_not_there(tmp_path, monkeypatch):
    from trackio import sqlite_storage, utils

    for module in (utils, sqlite_storage):
        monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path / "kept")
    tracker = Trackio({})
    assert tracker.open(RUN, "absent") != "absent"


@needs("wandb")
def test_wandb_writes_runs_side_by_side_without_a_network():
    tracker, other = Wandb({"project": "mine", "mode": "offline"}), run_of(name="t/genome/n2/seed2")
    keys = [tracker.open(RUN, None), tracker.open(other, None)]
    for step in range(2):
        for key in keys:
            tracker.log(key, step, {"fitness/best": 0.625 + step / 16})
    for key in keys:
        assert tracker.open(RUN, key) == key
        tracker.results(key, 1, {"test/t/best": 0.8125})
        tracker.close(key, finished=True)
    assert not tracker.runs
    for key, name in zip(keys, (NAME, other.name), strict=True):
        [file] = Path("wandb").glob(f"offline-run-*-{key}/run-{key}.wandb")
        written = (name, "mine", "t/genome", "settings.ensemble.k", "0.625", "0.6875", "test/t/best", "0.8125")
        end = time.monotonic() + 60
        while missing := [text for text in written if text.encode() not in file.read_bytes()]:
            assert time.monotonic() < end, missing  # W&B's own process writes the last of it
            time.sleep(0.05)
