"""The presets of the micro suite give the plans that their names say."""

import pytest

from genome.workflow import settings, sources
from genome.yaml_files import read_yaml
from plan.plans import PROJECT, plan_of


def preset(name: str):
    return plan_of(**read_yaml(PROJECT / f"config/{name}.yaml"))


def trainings(plan) -> dict:
    """Return how the experts of a plan are trained, without Data Merge and oracles."""
    return {name: settings.of_training(plan, name)["training"] for name in plan.suite.experts}


@pytest.mark.parametrize(("name", "seed"), [("shared_init", 0), (None, None)])
def test_experts_share_an_initialisation_in_one_preset_only(name, seed):
    plan = preset(name) if name else plan_of()
    assert {training["init_seed"] for training in trainings(plan).values()} == {seed}
    assert len(trainings(plan)) == 10


def test_mixed_experts_differ_in_rank_scale_and_kind_but_not_in_corpora():
    plan, default = preset("mixed"), plan_of()
    found = trainings(plan)
    assert len(found) == 10
    assert {training["rank"] for training in found.values()} >= {4, 8, 16}
    assert len({training["alpha"] / training["rank"] for training in found.values()}) > 3
    kinds = [training.get("kind", "lora") for training in found.values()]
    assert {kind: kinds.count(kind) for kind in kinds} == {"lora": 7, "rslora": 1, "dora": 1, "full": 1}
    (full,) = (training for training in found.values() if training.get("kind") == "full")
    assert full["rank"] <= 64
    corpora = [sources.corpora_of(plan, name) for name in found]
    assert sorted(corpora) == sorted(sources.corpora_of(default, name) for name in trainings(default))
    assert sorted(sources.corpora_of(plan, "data_merge")) == sorted(corpus for corpora in corpora for corpus in corpora)
    assert found.keys().isdisjoint(trainings(default))
