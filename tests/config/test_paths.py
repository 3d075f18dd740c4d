"""Paths of a config: none is where the workflow writes, and every source exists."""

import os
import shutil
from pathlib import Path

import pytest

from builders import write_adapter, write_base
from config.conftest import TASK_FILES, read
from genome.config.paths import base_files, corpora_of, fingerprint, require_files, resolved
from genome.errors import GenomeError

MOVE = "which removes what is there; move or copy it to a place outside of resources/ and results/, and name that"
TASK = {"kind": "number", "prompt": "{{ q }}", "reference": "a"}


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """Work in an empty folder, with a user's things in `mine`."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_adapter(folder / "mine/one", 1)
    write_adapter(folder / "mine/two", 2)
    write_base(folder / "mine/base")
    return folder


def base_of(experts=None, model="mine/base", **more):
    """Return changes of the default config: a base of the user's own with experts, by default two by path."""
    experts = experts or {"one": {"path": "mine/one"}, "two": {"path": "mine/two"}}
    return {"base": "own", "bases": {"own": {"model": {"path": model}, "experts": experts, **more}}}


def expert(path):
    return base_of({"one": {"path": str(path)}, "two": {"path": "mine/two"}})


def test_source_in_another_folder_is_accepted(refused, project):
    assert refused(base_of(), files=True) == []
    assert refused(expert(project / "mine/one"), files=True) == []
    Path("link").symlink_to(project / "mine/one")
    assert refused(expert("link"), files=True) == []
    write_adapter(project / "resources_of_mine/one", 3)
    assert refused(expert("resources_of_mine/one"), files=True) == []


@pytest.mark.parametrize(
    "path",
    [
        "resources/experts/one",
        "./resources/experts/one/",
        "mine/../resources/experts/one",
        "resources/experts/one/deeper",
        "resources/experts/two",
        "resources/experts/two.safetensors",
        "resources/experts/oracle_sums",
        "results/export/sums/genome/n10/seed1",
        "logs/x",
        "resources/models/own",
        "resources/models/micro/adapter",
        "resources/experts",
        ".",
        "..",
    ],
)
def test_expert_in_a_folder_of_the_workflow_is_refused(refused, project, path):
    for given in (path, str(project / path)):
        [line] = refused(expert(given), files=True)
        assert line.startswith(f"config.bases.own.experts.one.path: {given} is where this workflow writes (")
        assert line.endswith(MOVE)


def test_link_into_a_folder_of_the_workflow_is_refused(refused, project, tmp_path):
    write_adapter(project / "resources/experts/one", 3)
    Path("link").symlink_to(project / "resources/experts/one")
    assert "link is where this workflow writes (resources/experts/one)" in refused(expert("link"), files=True)[0]
    # A folder of the user with links to files of the workflow.
    (project / "links").mkdir()
    for file in (project / "resources/experts/one").iterdir():
        (project / "links" / file.name).symlink_to(file)
    assert "links is where this workflow writes (resources/experts/one)" in refused(expert("links"), files=True)[0]
    # A folder of the workflow is itself a link to a folder of the user.
    (project / "resources/experts/two").symlink_to(project / "mine/two")
    assert "mine/two is where this workflow writes (resources/experts/two)" in refused(base_of(), files=True)[0]


def test_a_folder_of_results_that_is_a_link_is_followed(refused, project, tmp_path):
    write_adapter(tmp_path / "disk/experts/one", 3)
    (project / "resources").symlink_to(tmp_path / "disk")
    [line] = refused(expert(tmp_path / "disk/experts/one"), files=True)
    assert "is where this workflow writes (resources/experts/one)" in line


def test_all_paths_in_folders_of_the_workflow_are_refused_at_once(refused, project):
    changes = base_of(
        {"one": {"path": "resources/experts/one"}, "two": {"corpus": ["results/a.jsonl"]}},
        model="resources/models/own",
        data_merge={"corpus": "logs/b.jsonl"},
    )
    (project / "results/data").mkdir(parents=True)
    lines = refused(
        changes
        | {
            "data_dir": "results/data",
            "tasks": {"till": {**TASK, "source": {"path": "results/rows/*.jsonl"}}},
            "across": {"tasks": ["sums"], "variant": "genome_plus", "beside": {"other": "results"}},
            "table7": {"beside": ["results/tables/table7.csv"]},
        },
        files=True,
    )
    assert {line.partition(": ")[0] for line in lines} == {
        "config.bases.own.model.path",
        "config.bases.own.experts.one.path",
        "config.bases.own.experts.two.corpus",
        "config.bases.own.data_merge.corpus",
        "config.data_dir",
        "task till",
        "config.across.beside.other",
        "config.table7.beside",
    }
    assert all(line.endswith(MOVE) for line in lines)


def test_results_of_the_workflow_are_accepted_as_sources(refused, project):
    assert refused({}, files=True) == []
    write_base(project / "resources/models/micro")
    write_adapter(project / "resources/experts/add", 4)
    # As in docs/own.md: the base and the experts of the micro suite as the user's.
    experts = {"sums": {"path": "resources/experts/add"}, "two": {"path": "mine/two"}}
    assert refused(base_of(experts, model="resources/models/micro"), files=True) == []
    beside = {"across": {"tasks": ["sums"], "variant": "genome_plus", "beside": {"other": "../other/results"}}}
    assert refused(beside, files=True) == []


def test_bases_that_are_copies_of_each_other_are_refused(refused, project):
    changes = base_of(model="resources/models/theirs")
    changes["bases"]["theirs"] = {"model": {"path": "resources/models/own"}, "experts": {}}
    assert len(refused(changes, files=True)) == 2


def test_all_missing_sources_are_refused_with_existing_ones(refused, project):
    (project / "mine/empty").mkdir()
    lines = refused(
        base_of(
            {"one": {"path": "mine/on"}, "two": {"corpus": "mine/rows.jsonl"}, "three": {"path": "mine/empty"}},
            model="mine/bse",
            data_merge={"path": "nowhere"},
        ),
        files=True,
    )
    assert lines[:2] == [
        "config.bases.own.model.path: mine/bse is not a folder; correct it",
        "expert one: mine/on is not a folder; adapters next to it: one, two; correct `path` of this expert",
    ]
    assert lines[2].startswith("expert three: folder mine/empty lacks adapter_config.json or adapter_model.safetensors")
    assert lines[3] == "expert data_merge: nowhere is not a folder; correct `path` of this expert"
    assert len(lines) == 5
    assert lines[-1].startswith("config.bases.own.experts.two.corpus: no file mine/rows.jsonl; ")


def test_misspelt_corpus_of_the_project_gets_the_nearest_name(refused):
    lines = refused(
        {"bases": {"micro": {"experts": {"add": {"corpus": "resources/datasets/micro/experts/ad.jsonl"}}}}}, files=True
    )
    assert lines == [
        "config.bases.micro.experts.add.corpus: no file resources/datasets/micro/experts/ad.jsonl; did you mean "
        "'resources/datasets/micro/experts/add.jsonl'?"
    ]  # fmt: skip


def test_experts_may_have_any_rank(refused, project):
    write_adapter(project / "mine/wide", 3, rank=2)
    write_base(project / "mine/full")
    experts = {"one": {"path": "mine/one"}, "wide": {"path": "mine/wide"}, "full": {"path": "mine/full", "rank": 3}}
    assert refused(base_of(experts), files=True) == []


def test_all_experts_that_do_not_fit_the_base_are_refused_at_once(refused, project):
    write_adapter(project / "mine/deep", 3, layers=3)
    write_adapter(project / "mine/deeper", 4, layers=4)
    (project / "mine/two/adapter_model.safetensors").write_bytes(b"half")
    experts = {name: {"path": f"mine/{name}"} for name in ("one", "two", "deep", "deeper")}
    lines = refused(base_of(experts), files=True)
    assert [line.partition(":")[0] for line in lines] == ["expert deep", "expert deeper", "expert two"]
    assert "model.layers.2.mlp.down_proj" in lines[0]
    assert "mine/two/adapter_model.safetensors" in lines[2]


def test_only_the_chosen_base_has_to_exist(refused):
    assert refused({"bases": {"own": base_of(model="nowhere")["bases"]["own"]}}, files=True) == []
    with pytest.raises(GenomeError, match="nowhere is not a folder"):
        base_files("config.bases.own", {"path": "nowhere"})


def test_data_folder_is_the_first_that_exists():
    with pytest.raises(GenomeError, match=r"^config\.data_dir: no folder a or b; correct it, or set it to null"):
        _ = read({"data_dir": ["a", "b"]}).data_folder
    assert read({"data_dir": ["a", "mine", "b"]}).data_folder == "mine"
    assert read({"data_dir": None}).data_folder is None


def test_resolved_returns_an_absolute_path_without_dots(project):
    assert resolved("mine/../resources/x") == str(project / "resources/x")


def test_corpora_of_returns_a_list_of_paths():
    assert corpora_of({"corpus": "a"}) == ["a"]
    assert corpora_of({"corpus": ["a", "b"]}) == ["a", "b"]
    assert corpora_of({"hub": "a"}) == []


def test_replaced_file_changes_the_fingerprint_even_if_it_is_older(project):
    file = project / "mine/base/config.json"
    before = fingerprint([file])
    os.utime(file)
    assert fingerprint([file]) == before
    written = file.stat()
    file.write_text("[]")
    os.utime(file, ns=(written.st_atime_ns - 10**9, written.st_mtime_ns - 10**9))
    assert fingerprint([file]) != before
    with (project / "large").open("wb") as large:
        large.truncate(2_000_000)
    before = fingerprint([project / "large"])
    os.utime(project / "large", ns=(1, 1))
    assert fingerprint([project / "large"]) != before


def test_missing_files_of_other_workflows_are_refused(project):
    shutil.copy(project / "mine/base/config.json", "there.csv")
    assert require_files("config.table7.beside", ["results/x", "there.csv"]) == ["results/x", "there.csv"]
    with pytest.raises(GenomeError, match=r"^config\.table7\.beside: 1 of 2 files are missing, first away\.csv; "):
        require_files("config.table7.beside", ["results/x", "there.csv", "away.csv"])


def test_tasks_of_the_micro_suite_have_no_paths():
    assert all("path" not in TASK_FILES[name]["source"] for name in ("sums", "emotions"))


@pytest.mark.parametrize("path", ["x" * 300, "x/" * 3000, "~nobody_of_that_name/x", "mine/one/adapter_config.json"])
def test_impossible_path_is_refused_in_one_line(refused, path):
    for changes in (expert(path), base_of(model=path), base_of(data_merge={"corpus": ["mine"]}), {"data_dir": path}):
        [line] = refused(changes, files=True)
        assert "\n" not in line
    changes = {"tasks": {"till": {**TASK, "source": {"path": path}}}, "table7": {"beside": [path]}}
    assert len(refused(changes, files=True)) in (0, 2)  # those that cannot be are refused, the others where asked for


def test_chat_template_of_the_user_is_read_when_the_config_is(refused, project):
    Path("chat.jinja").write_text("{{ messages[0].content }}")
    assert refused(base_of(chat={"template_file": "chat.jinja"}), files=True) == []
    Path("chat.jinja").write_text(" ")
    [line] = refused(base_of(chat={"template_file": "chat.jinja"}), files=True)
    assert line.startswith("chat.jinja: an empty chat template")
    [line] = refused(base_of(chat={"template_file": "away.jinja"}), files=True)
    assert "away.jinja" in line
    [line] = refused(base_of(chat={"template_file": "results/x.jinja"}), files=True)
    assert line.startswith("config.bases.own.chat.template_file: results/x.jinja is where this workflow writes (")
    Path("chat.jinja").write_text("{{ messages[0].content }}")
    [line] = refused(base_of(chat={"template_file": "chat.jinja", "template": "default"}), files=True)
    assert line.startswith("config.bases.own.chat: template names one of the tokenizer's own templates")


def test_chat_template_of_a_task_is_read_when_the_config_is(refused, project):
    def task_of(file):
        return base_of() | {"tasks": {"sums": {"chat": {"template_file": file}}}}

    Path("chat.jinja").write_text("{{ messages[0].content }}")
    assert refused(task_of("chat.jinja"), files=True) == []
    [line] = refused(task_of("away.jinja"), files=True)
    assert line.startswith("away.jinja: no such file")
    [line] = refused(task_of("results/x.jinja"), files=True)
    assert line.startswith("task sums: chat.template_file: results/x.jinja is where this workflow writes (")


def test_chat_of_a_task_must_fit_the_base(refused, project):
    said = refused(base_of(chat="plain") | {"tasks": {"sums": {"chat": {"system": "Be brief."}}}})
    assert said == ["task sums: chat, over the base's: plain means no template; remove system"]
    assert refused(base_of(chat="plain") | {"tasks": {"sums": {"chat": {"assistant_prefix": "A:"}}}}) == []


def test_old_name_of_template_arguments_is_refused_with_the_new_one(refused, project):
    [line] = refused(base_of(chat={"arguments": {"enable_thinking": False}}))
    assert line == "config.bases.own.chat: unknown key 'arguments', did you mean 'template_arguments'?"
