"""A written mixture changes each weight by `sum c_k * dW_k`, whatever its experts are and on whatever architecture.

The truth is PEFT's: an adapter's change is what merging it into the base adds to a weight.
"""

import copy
from pathlib import Path

import pytest
import torch
from peft import LoHaConfig, LoKrConfig, LoraConfig, PeftModel, get_peft_model
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from genome.experts.expert import PREFIX
from genome.experts.importing import import_expert
from genome.experts.tensors import open_tensors
from genome.genotype import PRODUCT, mixture
from genome.lora.materialise import materialise
from genome.lora.shared import write_basis

SHAPE = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.3,
}
ARCHITECTURES = ("llama", "qwen2", "qwen3", "mistral", "gemma2", "gemma3_text", "phi3", "smollm3", "olmo2")
SLOW = pytest.mark.slow
COEFFICIENTS = (0.7, -0.4, 0.25, 1.3, 0.5, -0.9, 0.35, 0.6)
"""One for each of the kinds below."""


def linear_names(model) -> list[str]:
    head = model.get_output_embeddings()
    return [name for name, each in model.named_modules() if isinstance(each, torch.nn.Linear) and each is not head]


def adapters(names: list[str]) -> dict[str, LoraConfig | LoHaConfig | LoKrConfig]:
    """Return PEFT configs of every kind: they differ in rank, scaling and in the layers that they change."""
    suffixes = sorted({name.rpartition(".")[2] for name in names})
    return {
        "lora": LoraConfig(r=4, lora_alpha=8, target_modules=suffixes),
        "lora_few": LoraConfig(r=2, lora_alpha=3, target_modules=r".*layers\.1\..*(o_proj|down_proj)"),
        "rslora": LoraConfig(r=3, lora_alpha=5, use_rslora=True, target_modules="all-linear"),
        "pattern": LoraConfig(
            r=2,
            lora_alpha=7,
            target_modules=suffixes,
            rank_pattern={"down_proj": 5},
            alpha_pattern={"layers.0.self_attn.o_proj": 3},
        ),
        "dora": LoraConfig(r=3, lora_alpha=6, use_dora=True, target_modules=suffixes),
        "loha": LoHaConfig(r=2, alpha=4, target_modules=suffixes),
        "lokr": LoKrConfig(r=2, alpha=4, target_modules=suffixes),
    }


def build(architecture: str, folder: Path):
    torch.manual_seed(0)
    config = CONFIG_MAPPING[architecture](**SHAPE)
    model = AutoModelForCausalLM.from_config(config).eval()
    model.save_pretrained(folder)
    return model


def weights(model) -> dict[str, torch.Tensor]:
    names = linear_names(model)
    return {name: model.get_submodule(name).weight.detach().double().clone() for name in names}


def make_sources(base, folder: Path) -> tuple[dict[str, Path], dict[str, dict[str, torch.Tensor]]]:
    """Write an adapter of every kind and a full fine-tune; return their folders and the changes of the weights."""
    before, sources, changes = weights(base), {}, {}
    for seed, (kind, config) in enumerate(adapters(list(before)).items()):
        torch.manual_seed(seed + 1)
        adapted = get_peft_model(copy.deepcopy(base), config)
        for name, parameter in adapted.named_parameters():
            if parameter.requires_grad:
                shift = 0.1 if "magnitude" in name else 0.3
                parameter.data += shift * torch.randn_like(parameter)
        adapted.save_pretrained(str(folder / kind))
        merged = weights(adapted.merge_and_unload())
        sources[kind] = folder / kind
        changes[kind] = {name: merged[name] - before[name] for name in before}
    torch.manual_seed(99)
    tuned = copy.deepcopy(base)
    for name in before:
        tuned.get_submodule(name).weight.data += 0.1 * torch.randn_like(tuned.get_submodule(name).weight)
    tuned.save_pretrained(folder / "full")
    after = weights(tuned)
    sources["full"] = folder / "full"
    changes["full"] = {name: after[name] - before[name] for name in before}
    return sources, changes


@pytest.fixture(
    scope="module", params=[each if each == "llama" else pytest.param(each, marks=SLOW) for each in ARCHITECTURES]
)
def world(request, tmp_path_factory):
    """Return the base, its folder, the imported experts and the changes that they stand for, by kind."""
    root = tmp_path_factory.mktemp(request.param)
    base = build(request.param, root / "base")
    sources, changes = make_sources(base, root)
    experts = [
        import_expert(kind, {"path": str(source)}, root / "base", root / "experts" / f"{kind}.safetensors")
        for kind, source in sources.items()
    ]
    return base, root, experts, list(changes.values())


def served(base, folder: Path) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return the changes of the weights and the logits of the base with a written adapter, as PEFT loads it."""
    adapted = PeftModel.from_pretrained(copy.deepcopy(base), str(folder)).eval()
    tokens = torch.arange(3, 19)[None]
    with torch.no_grad():
        logits = adapted(input_ids=tokens).logits
    before, merged = weights(base), weights(adapted.merge_and_unload())
    return {name: merged[name] - before[name] for name in before}, logits


def expected_logits(base, change: dict[str, torch.Tensor]) -> torch.Tensor:
    changed = copy.deepcopy(base)
    for name, delta in change.items():
        weight = changed.get_submodule(name).weight
        weight.data = (weight.data.double() + delta).float()
    with torch.no_grad():
        return changed(input_ids=torch.arange(3, 19)[None]).logits


def mixed(changes, coefficients) -> dict[str, torch.Tensor]:
    return {name: sum(c * change[name] for c, change in zip(coefficients, changes, strict=True)) for name in changes[0]}


def relative(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    """Return the largest relative error of a layer's change, in the Frobenius norm."""
    return max(float((found[name] - delta).norm() / delta.norm()) for name, delta in expected.items())


def test_a_product_of_all_kinds_is_the_sum_of_their_changes(world, tmp_path):
    base, _, experts, changes = world
    materialise([mixture(COEFFICIENTS, PRODUCT)], experts, [tmp_path / "mix"])
    found, logits = served(base, tmp_path / "mix")
    expected = mixed(changes, COEFFICIENTS)
    # Merging rounds W0 + dW to float32, which is an error in W - W0 as well.
    assert relative(found, expected) < 1e-5
    torch.testing.assert_close(logits, expected_logits(base, expected), atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", range(len(COEFFICIENTS)))
def test_each_kind_alone_is_its_own_change(world, kind, tmp_path):
    base, _, experts, changes = world
    alone = [float(k == kind) for k in range(len(experts))]
    materialise([mixture(alone, PRODUCT)], experts, [tmp_path / "one"])
    found, _ = served(base, tmp_path / "one")
    touched = {name: delta for name, delta in changes[kind].items() if delta.norm() > 0}
    assert relative(found, touched) < 1e-5
    assert all(found[name].norm() == 0 for name in found.keys() - touched.keys())


def test_a_full_rank_shared_basis_loses_nothing(world, tmp_path):
    base, _, experts, changes = world
    write_basis(experts, 96, tmp_path / "basis.safetensors")
    genotype = mixture(COEFFICIENTS, "shared-96")
    materialise([genotype], experts, [tmp_path / "mix"], basis=tmp_path / "basis.safetensors")
    found, _ = served(base, tmp_path / "mix")
    assert relative(found, mixed(changes, COEFFICIENTS)) < 1e-5


def test_import_at_a_low_rank_loses_what_a_truncated_svd_loses(world, tmp_path):
    _, root, experts, changes = world
    by_kind = {expert.name: change for expert, change in zip(experts, changes, strict=True)}
    for kind in ("dora", "loha", "lokr", "full"):
        source = {"path": str(root / kind), "rank": 6}
        small = import_expert(kind, source, root / "base", tmp_path / f"{kind}.safetensors")
        factors = open_tensors(small.path)
        for layer, described in small.provenance["layers"].items():
            delta = by_kind[kind][layer]
            b, a = (torch.tensor(factors[f"{PREFIX}{layer}.lora_{side}.weight"]).double() for side in "BA")
            norm = delta.norm()
            optimum = torch.linalg.svdvals(delta)[6:].norm() / norm
            assert (b @ a - delta).norm() / norm <= 1.01 * optimum + 1e-5, (kind, layer)
            assert described["kept"] == pytest.approx(float((b @ a).norm() / norm), abs=1e-5)
            assert described["norm"] == pytest.approx(float(norm), rel=1e-4)


def test_a_shared_basis_loses_little_more_than_any_basis_must(world, tmp_path):
    _, _, experts, changes = world
    write_basis(experts, 8, tmp_path / "basis.safetensors")
    alone = [mixture([float(k == j) for k in range(len(experts))], "shared-8") for j in range(len(experts))]
    folders = [tmp_path / expert.name for expert in experts]
    materialise(alone, experts, folders, basis=tmp_path / "basis.safetensors")
    written = [open_tensors(folder / "adapter_model.safetensors") for folder in folders]
    for layer in changes[0]:
        deltas = [change[layer] for change in changes]
        names = [f"{PREFIX}{layer}.lora_{side}.weight" for side in "BA"]
        lost = 0.0
        for delta, factors in zip(deltas, written, strict=True):
            b, a = (torch.tensor(factors[name]).double() for name in names)
            lost += float((b @ a - delta).norm() ** 2)
        # No basis of rank 8 is better than the best one for the columns alone, or for the rows alone.
        tails = [torch.linalg.svdvals(torch.cat(deltas, dim))[8:].norm() ** 2 for dim in (0, 1)]
        assert float(max(tails)) * (1 - 1e-5) <= lost <= float(sum(tails)) * 1.0001
