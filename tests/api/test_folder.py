"""A user's folder: its config and task are valid, say why they are as they are, and are never overwritten."""

import pytest
import yaml

import genome
from genome import api
from genome.api.folder import CONFIG, PROFILE, named_experts
from genome.api.outcome import aim_of
from genome.config.values import overlay
from genome.errors import GenomeError
from genome.project import SNAKEFILE, project
from genome.yaml_files import read_yaml


def test_config_and_task_are_valid_and_resolve_to_one_run(given, tmp_path):
    folder = api.init(tmp_path / "out", **given)
    written = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert written == [SNAKEFILE, CONFIG, "config/tasks/sums.yaml", PROFILE]
    aim = aim_of(folder)
    assert (aim.task, aim.method, [*aim.runs]) == (
        "sums",
        "cma_es",
        ["base", "best_single", "validation_lora", "cma_es"],
    )
    assert aim.plan.experts == ["one", "two_words"]
    assert aim.targets[-1] == "results/export/sums/cma_es/n10/seed1/README.md"
    assert aim.plan.variant("cma_es").ensemble_size == 0
    # The task of the same name that comes with GENOME is another one.
    assert aim.plan.definition("sums")["source"] == {"path": str(given["task"])}
    assert aim.plan.config.splits.validation == 30


def test_written_files_say_why(given, tmp_path):
    folder = api.init(tmp_path / "out", **given)
    task = (folder / "config/tasks/sums.yaml").read_text()
    assert "60 rows of sums.jsonl" in task
    assert "kind: number # all answers are numbers" in task
    config = (folder / CONFIG).read_text()
    assert config.count("#") > 8
    assert read_yaml(folder / CONFIG)["bases"]["micro"] is None


def test_snakemake_has_the_projects_options_and_the_config(given, tmp_path):
    folder = api.init(tmp_path / "out", **given)
    profile = yaml.safe_load((folder / PROFILE).read_text())
    assert profile == {"configfile": [CONFIG], **yaml.safe_load((project() / PROFILE).read_text())}


def test_options_of_the_search_are_keys_of_the_config(given, tmp_path):
    settings = {"population_size": 4, "bases": {"own": {"training": {"rank": 4}}}}
    length = {"generations": 20, "budget": "9000 samples"}
    options = {"method": "cma_es-likelihood", "seed": 7, "engine": "http://gpu:8000", "settings": settings, **length}
    config = read_yaml(api.init(tmp_path / "out", **given, **options) / CONFIG)
    assert config["generations"] == 20
    assert config["methods"] == {"cma_es": {"ensemble": False, "budget": "9000 samples"}}
    assert config["seeds"] == [7]
    assert config["engine"] == {"backend": "url", "url": "http://gpu:8000"}
    assert config["table2"]["variants"][-1] == "cma_es-likelihood"
    assert config["population_size"] == 4
    assert config["bases"]["own"]["training"] == {"rank": 4}
    assert {*config["bases"]["own"]} == {"model", "experts", "training"}


def test_a_known_task_needs_no_file(given, tmp_path):
    folder = api.init(tmp_path / "out", **{**given, "task": "gsm8k"})
    assert not (folder / "config/tasks").exists()
    assert read_yaml(folder / CONFIG)["splits"] == {"validation": 200, "test": 1000}


def test_a_task_file_is_taken_over(given, tmp_path):
    definition = {
        "kind": "number",
        "source": {"path": str(given["task"])},
        "prompt": "{{ question }}",
        "reference": "answer",
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(definition))
    folder = api.init(tmp_path / "out", **{**given, "task": tmp_path / "own.yaml"})
    assert read_yaml(folder / "config/tasks/own.yaml") == definition


def test_paths_inside_the_folder_are_relative(given, tmp_path):
    folder = api.init(tmp_path, **{**given, "task": f"mine={given['task']}"})
    assert read_yaml(folder / "config/tasks/mine.yaml")["source"] == {"path": "rows/sums.jsonl"}
    assert read_yaml(folder / CONFIG)["bases"]["own"]["model"] == {"path": "base"}


def test_the_same_call_changes_nothing_and_another_is_refused(given, tmp_path):
    folder = api.init(tmp_path / "out", **given)
    config = folder / CONFIG
    config.write_text(config.read_text() + "\n# mine\n")
    api.init(folder, **given)
    assert config.read_text().endswith("# mine\n")
    with pytest.raises(GenomeError, match=r"config\.yaml is there and says something else"):
        api.init(folder, **given, seed=2)
    assert config.read_text().endswith("# mine\n")
    assert api.init(folder) == folder
    with pytest.raises(GenomeError, match="says how to search: change it there"):
        api.init(folder, seed=2)


def test_another_workflow_is_not_overwritten(given, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / SNAKEFILE).write_text("mine")
    with pytest.raises(GenomeError, match="a Snakefile of another workflow"):
        api.init(tmp_path / "out", **given)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [SNAKEFILE]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base": None}, "give a base, two experts or more, and a task"),
        ({"experts": ["x"]}, "give a base, two experts or more, and a task"),
        ({"base": "no/such/folder"}, "no such folder"),
        ({"task": "gms8k"}, "--task gms8k: no such file of rows, and no task of this name .did you mean 'gsm8k'"),
        ({"method": "ties"}, "--method ties: not a search for a mixture of experts"),
        ({"method": "cma-es"}, "did you mean 'cma_es'"),
        ({"engine": "vlm"}, "--engine vlm: no file vlm; give `transformers`"),
        ({"engine": "vllm"}, "no file .vllm/bin/python; make its environment, conda env create -f envs/vllm.yaml"),
        ({"settings": {"poplation_size": 4}}, "unknown key 'poplation_size', did you mean 'population_size'"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_written(given, tmp_path, changes, words):
    with pytest.raises(GenomeError, match=words):
        api.init(tmp_path / "out", **{**given, **changes})
    assert not (tmp_path / "out").exists()


def test_sources_are_looked_at_before_anything_is_written(given, tmp_path):
    with pytest.raises(GenomeError, match=r"expert rows: folder .*/rows lacks adapter_config\.json"):
        api.init(tmp_path / "out", **{**given, "experts": [*given["experts"], tmp_path / "rows"]})
    assert not (tmp_path / "out").exists()
    # Relative to the folder, also if that is not the working folder.
    assert api.init(tmp_path, **given)


def test_a_folder_without_a_config_is_refused(tmp_path):
    with pytest.raises(GenomeError, match="give --base, --expert and --task"):
        api.init(tmp_path)


def test_names_of_experts(tmp_path):
    assert named_experts(["a/b c", "sums=a/x", "owner/lora@main:math"]) == {
        "b_c": "a/b c",
        "sums": "a/x",
        "math": "owner/lora@main:math",
    }
    with pytest.raises(GenomeError, match="two experts are named 'x'"):
        named_experts(["x=a", "x=b"])


def test_a_base_that_is_null_is_no_longer_there():
    from genome.config.values import settled

    config = overlay({"bases": {"micro": {"model": 1}}}, {"bases": {"micro": None, "own": {"model": 2}}})
    assert settled(config)["bases"] == {"own": {"model": 2}}


def test_evolve_is_an_attribute_of_the_package():
    assert genome.evolve is api.evolve
    assert genome.Evolved is api.Evolved
    with pytest.raises(AttributeError, match="has no attribute 'evlove'"):
        genome.evlove  # noqa: B018


def test_paths_of_a_task_in_the_folder_may_start_at_its_file(given, tmp_path):
    folder = api.init(tmp_path / "out", **given)
    task = folder / "config/tasks/sums.yaml"
    task.write_text(task.read_text().replace(str(given["task"]), "../../../rows/sums.jsonl"))
    assert aim_of(folder).plan.definition("sums")["source"] == {"path": "../rows/sums.jsonl"}
    config = folder / CONFIG
    config.write_text(config.read_text().replace(str(given["base"]), "../base"))
    assert aim_of(folder).plan.suite.model.given() == {"path": "../base"}


def test_paths_of_a_task_file_are_those_of_the_caller(given, tmp_path, monkeypatch):
    (tmp_path / "tasks").mkdir()
    monkeypatch.chdir(tmp_path)
    for name, path in (("a", "rows/sums.jsonl"), ("b", "../rows/sums.jsonl")):
        definition = {"kind": "number", "source": {"path": path}, "prompt": "{{ question }}", "reference": "answer"}
        (tmp_path / f"tasks/{name}.yaml").write_text(yaml.safe_dump(definition))
        folder = api.init(tmp_path / f"out_{name}", **{**given, "task": f"tasks/{name}.yaml"})
        found = read_yaml(folder / f"config/tasks/{name}.yaml")["source"]["path"]
        assert (tmp_path / found).resolve() == given["task"].resolve()
