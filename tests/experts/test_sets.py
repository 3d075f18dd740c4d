"""Sets of experts: what prevents a merge, and what users should know."""

from dataclasses import replace

import pytest

from builders import write_base, write_expert
from genome.errors import GenomeError
from genome.experts.expert import Expert
from genome.experts.importing import check_set, set_warnings
from genome.experts.sets import model_name
from genome.experts.tensors import TensorInfo
from genome.files import read_json, write_json
from genome.lora.geometry import cosines

SAME_BASE = (
    "google/gemma-2-2b-it",
    "gemma-2-2b-it",
    "Google/Gemma-2-2b-IT",
    "/data/models/gemma-2-2b-it/",
    "D:\\models\\gemma-2-2b-it",
    "/home/user/.cache/huggingface/hub/models--google--gemma-2-2b-it/snapshots/299a8560bedf22ed1c72a8a11e7dce4a7f9f51f8",
    "unsloth/gemma-2-2b-it-bnb-4bit",
    "unsloth/gemma-2-2b-it-unsloth-bnb-4bit",
    "owner/gemma-2-2b-it-GGUF",
    "owner/gemma-2-2b-it-GPTQ-Int4",
)


def named(experts: list[Expert], *bases: str | None) -> list[Expert]:
    return [replace(expert, base_model=base) for expert, base in zip(experts, bases, strict=True)]


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_are_refused(make_experts, count):
    with pytest.raises(GenomeError, match=f"{count} expert.* given, at least 2 are needed"):
        check_set(make_experts(count))


def test_ranks_and_layers_may_differ(tmp_path, make_experts):
    experts = [*make_experts(2), write_expert(tmp_path / "x", 5, rank=2, layers=1, alpha=3)]
    check_set(experts)
    assert [expert.rank for expert in experts] == [4, 4, 2]


def test_layers_of_other_sizes_are_refused_all_at_once(make_experts):
    first, *others = make_experts(4)
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    wide = [replace(each, tensors={**each.tensors, name: TensorInfo("F32", (4, 9), 0, 144)}) for each in others[:2]]
    with pytest.raises(GenomeError) as error:
        check_set([first, *wide, others[2]])
    assert str(error.value) == (
        "experts expert0 and expert1 cannot be merged: 1 tensor(s) differ, first "
        "model.layers.0.self_attn.q_proj.lora_A.weight has size 8 and 9; experts expert0 and expert2 cannot be merged: "
        "1 tensor(s) differ, first model.layers.0.self_attn.q_proj.lora_A.weight has size 8 and 9; they are fine-tunes "
        "of different bases: import them for one base"
    )


def test_model_name_is_the_same_for_every_place(make_experts):
    assert {model_name(name) for name in SAME_BASE} == {"gemma-2-2b-it"}
    assert set_warnings(named(make_experts(len(SAME_BASE)), *SAME_BASE), "google/gemma-2-2b-it") == []


@pytest.mark.parametrize("other", ["google/gemma-2-2b", "google/gemma-2-9b-it", "google/gemma-2b-it"])
def test_model_name_differs_for_other_models(other):
    assert model_name(other) != model_name(SAME_BASE[0])


def test_an_expert_of_another_name_is_a_warning(make_experts):
    experts = named(make_experts(3), "org/tiny", None, "org/other")
    assert set_warnings(experts, "/models/tiny") == [
        "1 of 3 experts name another base than /models/tiny: expert2 (org/other); they are merged, because their "
        "shapes fit"
    ]


def test_experts_that_all_name_another_base_are_a_loud_warning(make_experts):
    (line,) = set_warnings(named(make_experts(2), "org/other", "org/other-4bit"), "org/tiny")
    assert line.startswith("WRONG BASE? all 2 experts name another base than the configured one (org/tiny): org/other")


UNKNOWN = ("base", "models/base", "mine/of/base", "~/base", "./base", "/data/base", "C:\\base", "base.gguf")


@pytest.mark.parametrize("base", UNKNOWN)
def test_the_name_of_a_folder_says_nothing_of_its_model(make_experts, tmp_path, monkeypatch, base):
    monkeypatch.chdir(tmp_path)
    write_base(tmp_path / "models" / "base")
    (tmp_path / "base").symlink_to("models/base")
    (tmp_path / "base.gguf").write_text("GGUF")
    assert set_warnings(named(make_experts(3), "org/tiny", "org/tiny-bnb-4bit", None), base) == []
    (line,) = set_warnings(named(make_experts(3), "org/tiny", "org/other", None), base)
    assert line == (
        "experts name different bases: expert0 (org/tiny), expert1 (org/other); they are merged, because their shapes "
        f"fit {base}"
    )


@pytest.mark.parametrize(("known", "loud"), [("org/other", True), ("org/tiny", False), ("/run/step-9", False)])
def test_the_config_of_a_folder_may_name_its_model(make_experts, tmp_path, known, loud):
    base = write_base(tmp_path / "base")
    write_json(base / "config.json", {**read_json(base / "config.json"), "_name_or_path": known})
    lines = set_warnings(named(make_experts(2), "org/tiny", "org/tiny"), str(base))
    assert [line.partition(" (")[0] for line in lines] == [
        "WRONG BASE? all 2 experts name another base than the configured one"
    ] * loud
    assert all(f"({base}, org/other in its config.json): org/tiny. " in line for line in lines)


def test_a_folder_in_the_hubs_cache_is_known_by_its_repository(make_experts, tmp_path):
    snapshot = write_base(tmp_path / "models--org--tiny" / "snapshots" / "0123456789abcdef")
    (tmp_path / "base").symlink_to(snapshot)
    for base in (snapshot, tmp_path / "base"):
        assert set_warnings(named(make_experts(2), "org/tiny", "org/tiny"), str(base)) == []
        (line,) = set_warnings(named(make_experts(2), "org/other", "org/other"), str(base))
        assert line.startswith(f"WRONG BASE? all 2 experts name another base than the configured one ({base}): ")


def test_experts_that_name_no_base_are_none_of_another(make_experts):
    assert set_warnings(named(make_experts(2), None, None), "org/tiny") == []


def test_mixed_ranks_and_unrelated_factors_are_one_warning_with_the_cosines(tmp_path, make_experts):
    experts = [*make_experts(2), write_expert(tmp_path / "small", 7, rank=2)]
    (line,) = set_warnings(experts, "tiny", cosines(experts))
    assert "different ranks (expert0: 4, expert1: 4, small: 2) and unrelated factors" in line
    assert "cosines between experts: of A " in line
    assert "`merge_space: product`, the default for mixed ranks, is exact" in line
    (line,) = set_warnings(experts[:2], "tiny", cosines(experts[:2]))
    assert line.startswith("the experts have unrelated factors; cosines")
    assert line.endswith("`merge_space: product` is exact")


def test_experts_of_one_start_give_no_warning(tmp_path):
    experts = [write_expert(tmp_path / name, 3) for name in ("a", "b")]
    assert set_warnings(experts, "tiny", cosines(experts)) == []
