"""Base models and fine-tunes in a config: which sources there are, and what each may say."""

import pytest

from config.conftest import laid_over, read
from genome.config.bases import HubFineTune, LocalFineTune, TrainedAdapter, Training
from genome.experts.importing import RANK

SOURCES = {
    "a": {"hub": "owner/a", "revision": "main", "subfolder": "x", "rank": 8, "drop": ["embeddings", "lm_head"]},
    "b": {"path": "mine/b", "rank": 128, "drop": ["norms"]},
    "c": {"path": "mine/c"},
    "d": {"corpus": "mine/d.jsonl", "training": {"kind": "full", "rank": 16}},
}


def base_of(experts, **more):
    return {"base": "own", "bases": {"own": {"model": {"hub": "owner/base"}, "experts": experts, **more}}}


def test_fine_tunes_have_a_source_a_rank_and_what_is_dropped():
    suite = read(base_of(SOURCES, data_merge=SOURCES["b"])).suite
    kinds = [HubFineTune, LocalFineTune, LocalFineTune, TrainedAdapter]
    assert [type(each) for each in suite.experts.values()] == kinds
    assert {name: each.given() for name, each in suite.experts.items()} == SOURCES
    assert suite.data_merge == suite.experts["b"]
    assert suite.experts["c"].rank == RANK


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"path": "x", "rank": 0}, "rank: expected a whole number of at least 1, found 0"),
        ({"hub": "x", "rank": "8"}, "rank: expected a whole number of at least 1, found '8'"),
        ({"path": "x", "drop": []}, "drop: expected a list of one or more texts, or null, found []"),
        ({"path": "x", "drop": "norms"}, "drop: expected a list of one or more texts, or null, found 'norms'"),
        ({"path": "x", "drop": ["norms", "norms"]}, "drop: 'norms' is listed twice; keep one"),
        ({"path": "x", "subfolder": "y"}, "unknown key 'subfolder'"),
        ({"path": "x", "ranks": 4}, "unknown key 'ranks', did you mean 'rank'?"),
        ({"corpus": "x", "rank": 4}, "unknown key 'rank'"),
        ({"corpus": "x", "training": {"kind": "loha"}}, "kind: expected one of lora, rslora, dora, full, found 'loha'"),
    ],
    ids=str,
)
def test_what_no_fine_tune_has_is_refused(refused, source, message):
    [line] = refused(base_of({"a": source, "b": SOURCES["b"]}))
    assert line.startswith("config.bases.own.experts.a")
    assert message in line


def test_all_refusals_of_all_experts_come_at_once(refused):
    lines = refused(base_of({"a": {"path": "x", "rank": 0}, "b": {"hub": "y", "drop": []}, "c": {"path": ""}}))
    assert [line.partition(":")[0] for line in lines] == [
        "config.bases.own.experts.a.rank",
        "config.bases.own.experts.b.drop",
        "config.bases.own.experts.c.path",
    ]


def test_seed_of_initialisation_may_be_null(refused):
    """A null elsewhere in a base removes a key; here it is a value."""
    assert read({"bases": {"micro": {"training": {"init_seed": None}}}}).suite.training.given()["init_seed"] is None
    assert Training().init_seed == 0
    assert "rank: expected a whole number" in refused({"bases": {"micro": {"training": {"rank": None}}}})[0]
    changes = {"bases": {"micro": {"experts": {"add": {"training": {"init_seed": None}}}}}}
    assert read(changes).suite.experts["add"].given()["training"] == {"init_seed": None}


def test_base_may_be_a_gguf_file(refused):
    for model in ({"path": "mine/base.gguf"}, {"hub": "owner/base-GGUF", "file": "base-q8_0.gguf", "revision": "main"}):
        changes = base_of(SOURCES)
        changes["bases"]["own"]["model"] = model
        assert read(changes).suite.model.given() == model


def test_name_that_ends_as_files_of_experts_is_refused(refused):
    [line] = refused(base_of({"a": SOURCES["a"], "a.safetensors": SOURCES["b"]}))
    assert line == "config.bases.own.experts: 'a.safetensors' ends as the files of experts do; rename the expert"


def test_expert_of_the_default_is_left_out_or_replaced():
    changes = {"bases": {"micro": {"experts": {"add": {"corpus": None, "path": "mine/b", "rank": 4}, "sub": None}}}}
    experts = read(changes).suite.experts
    assert experts["sub"] is None
    assert experts["add"] == LocalFineTune(path="mine/b", rank=4)
    assert "add" in laid_over(changes)["bases"]["micro"]["experts"]
