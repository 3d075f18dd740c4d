"""Experts as people have them: a LoRA of rank 4, an rsLoRA of rank 8, a DoRA and a full fine-tune, in every space."""

import shutil
from pathlib import Path

import pytest
import yaml

from genome.experts.expert import read_expert
from genome.experts.tensors import open_tensors
from genome.search.records import read_population
from workflow.conftest import SMALL, Project, made_once, new_project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

KINDS = {
    "plain": {"kind": "lora", "rank": 4, "alpha": 4},
    "stable": {"kind": "rslora", "rank": 8},
    "directed": {"kind": "dora", "rank": 4},
    "whole": {"kind": "full", "rank": 12},
}
CORPORA = dict(zip(KINDS, ("add", "sub", "es", "fr"), strict=True))
SHARED = {"shared": {"rank": 10}}
VARIANTS = {"genome": None, "genome-factors": "factors", "genome-product": "product", "genome-shared": SHARED}
MANIFEST, BASIS = "results/experts/mixed.json", "results/experts/mixed_shared-10"
RUN = "n4/seed1"


def population(variant: str, generation: int = 2) -> str:
    return f"results/runs/sums/{variant}/{RUN}/generation_{generation}/population.json"


def initial(space: str) -> str:
    return f"results/runs/sums/initial-{'-'.join(filter(None, ['pairs', space]))}/{RUN}/population.json"


def train(folder: Path) -> None:
    """Train the micro base and four fine-tunes of it, and name them by path as if they were a user's."""
    project = new_project(folder)
    corpora = {name: f"resources/datasets/micro/experts/{corpus}.jsonl" for name, corpus in CORPORA.items()}
    default = yaml.safe_load((folder / "config.yaml").read_text())["bases"]["micro"]["experts"]
    experts = {name: {"corpus": corpora[name], "training": {"epochs": 1, **KINDS[name]}} for name in KINDS}
    settings = SMALL | {"generations": 2, "bases": {"micro": {"experts": dict.fromkeys(default) | experts}}}
    (folder / "small.yaml").write_text(yaml.safe_dump(settings))
    project.make(*(f"resources/experts/{name}.safetensors" for name in KINDS))
    for name in KINDS:
        shutil.copytree(folder / "resources/experts" / name, folder / "mine" / name)
    shutil.copytree(folder / "resources/models/micro", folder / "mine/base")
    theirs = {f"their_{name}": {"path": f"mine/{name}"} for name in KINDS}
    variants = {name: {"method": "genome", "merge_space": space} for name, space in VARIANTS.items() if space}
    project.configure(
        base="mixed",
        bases={"mixed": {"model": {"path": "mine/base"}, "experts": theirs}},
        variants=variants,
        table2={"tasks": ["sums"], "variants": ["best_single", *VARIANTS]},
    )


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Project:
    """A project that has evolved mixed experts in every space."""

    def make(folder):
        train(folder)
        project = Project(folder)
        (folder / "said.txt").write_text(project.make(*map(population, VARIANTS)))

    return made_once(tmp_path_factory, "mixed", make)


def test_trained_fine_tunes_are_imported_as_their_folders_are(mixed):
    for name, training in KINDS.items():
        ours = read_expert(mixed.folder / f"resources/experts/{name}.safetensors")
        theirs = read_expert(mixed.folder / f"resources/experts/their_{name}.safetensors")
        assert ours.provenance["training"]["kind"] == training["kind"]
        assert ours.provenance["kind"] == theirs.provenance["kind"]
        assert ours.provenance["source"] == f"resources/datasets/micro/experts/{CORPORA[name]}.jsonl"
        assert theirs.provenance["source"] == {"path": f"mine/{name}"}
        if training["kind"] != "full":  # trained here, its rank is that of `training`
            one, other = (open_tensors(each.path) for each in (ours, theirs))
            assert {key: value.tobytes() for key, value in one.items()} == {
                key: value.tobytes() for key, value in other.items()
            }
    assert read_expert(mixed.folder / "resources/experts/whole.safetensors").rank == KINDS["whole"]["rank"]


def test_manifest_and_terminal_say_that_the_set_is_mixed(mixed):
    manifest = mixed.read(MANIFEST)
    assert manifest["mixed"] is True
    kinds = {entry["name"].removeprefix("their_"): entry["kind"] for entry in manifest["experts"]}
    assert kinds == {"plain": "LoRA", "stable": "rsLoRA", "directed": "DoRA", "whole": "full fine-tune"}
    ranks = {entry["name"]: entry["rank"] for entry in manifest["experts"]}
    assert (ranks["their_plain"], ranks["their_stable"]) == (4, 8)
    said = [line for line in (mixed.folder / "said.txt").read_text().splitlines() if "different ranks" in line]
    assert len(said) == 1
    assert said[0].startswith("warning: ")
    assert "cosines between experts" in said[0]


@pytest.mark.parametrize(
    ("variant", "space"),
    [
        ("genome", "product"),
        ("genome-factors", "factors"),
        ("genome-product", "product"),
        ("genome-shared", "shared-10"),
    ],
)
def test_runs_merge_experts_in_their_space(mixed, variant, space):
    evolved = read_population(mixed.folder / population(variant))
    assert evolved.generation == 2
    assert {member.genotype.space for member in evolved.members} == {space}
    manifest = mixed.read(MANIFEST)
    most = {"product": sum(manifest["ranks"]), "factors": manifest["rank"], "shared-10": 10}[space]
    folders = [each.parent for each in (mixed.folder / population(variant)).parent.glob("adapters/*/*.json")]
    assert len(folders) == 4
    for folder in folders:
        config = mixed.read(str((folder / "adapter_config.json").relative_to(mixed.folder)))
        assert config["r"] <= most


def test_experts_decide_as_a_named_space_does(mixed):
    """Null and `product` differ in the names of files alone."""
    ours, theirs = (read_population(mixed.folder / path) for path in (initial(""), initial("product")))
    assert [each.genotype for each in ours.members] == [each.genotype for each in theirs.members]
    assert mixed.files("results/runs/sums/genome/**/evaluations.jsonl").keys()
    assert list(mixed.files("results/runs/sums/genome/**/adapters/**/*.safetensors").values()) == list(
        mixed.files("results/runs/sums/genome-product/**/adapters/**/*.safetensors").values()
    )


def test_finished_run_is_not_made_again_and_its_basis_is_an_input(mixed, tmp_path):
    project = mixed.copy(tmp_path / "project")
    assert project.planned(*map(population, VARIANTS)) == []
    rows = (project.folder / f"{BASIS}.csv").read_text().splitlines()
    assert len(rows) > 4
    (project.folder / f"{BASIS}.safetensors").write_text("another one")
    planned = project.planned(population("genome-shared"))
    assert {initial("shared-10"), population("genome-shared", 1), population("genome-shared")} <= {*planned}
    assert project.planned(*(population(variant) for variant in VARIANTS if variant != "genome-shared")) == []


def test_tests_exports_and_figures_of_a_shared_space_are_made(mixed, tmp_path):
    project = mixed.copy(tmp_path / "project")
    run = f"sums/genome-shared/{RUN}"
    figure = f"results/figures/diversity/{run}.csv"
    project.make("results/tables/table2.csv", f"results/export/{run}/README.md", figure)
    assert project.read(f"results/export/{run}/adapter_config.json")["r"] <= 10
    served = open_tensors(project.folder / f"results/export/{run}/adapter_model.safetensors")
    assert all(tensor.size for tensor in served.values())
    assert len((project.folder / figure).read_text().splitlines()) == 1 + 3


def test_changed_full_fine_tune_remakes_what_depends_on_it(mixed, tmp_path):
    project = mixed.copy(tmp_path / "project")
    shutil.copyfile(project.folder / "mine/base/model.safetensors", project.folder / "mine/whole/model.safetensors")
    planned = project.planned(population("genome"))
    assert {"resources/experts/their_whole.safetensors", MANIFEST, population("genome")} <= {*planned}
    assert "resources/experts/their_plain.safetensors" not in planned
