"""Builders of small inputs: real formats, nothing downloaded."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from genome.experts.peft import CONFIG, WEIGHTS, Expert, read_expert, write_provenance
from genome.experts.tensors import from_float32, header_bytes
from genome.files import write_json
from genome.genotype import identity
from genome.search.population import Population

TARGETS = {"self_attn.q_proj": (12, 8), "mlp.down_proj": (8, 20)}
"""Linear layers of the made-up base: (outputs, inputs)."""


def write_expert(folder: Path, seed: int, rank: int = 4, dtype: str = "F32", layers: int = 2) -> Expert:
    """Write a PEFT folder of random weights and return it as an expert."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    shapes = {
        f"base_model.model.model.layers.{layer}.{module}.lora_{side}.weight": shape
        for layer in range(layers)
        for module, (outputs, inputs) in TARGETS.items()
        for side, shape in (("A", (rank, inputs)), ("B", (outputs, rank)))
    }
    tensors = {name: from_float32(generator.normal(size=shape).astype("f4"), dtype) for name, shape in shapes.items()}
    header = header_bytes(dict.fromkeys(shapes, dtype), shapes)
    (folder / WEIGHTS).write_bytes(header + b"".join(tensor.tobytes() for tensor in tensors.values()))
    targets = sorted(module.rpartition(".")[2] for module in TARGETS)
    config = {"peft_type": "LORA", "base_model_name_or_path": "tiny", "r": rank, "lora_alpha": 8}
    write_json(folder / CONFIG, {**config, "target_modules": targets})
    write_provenance(folder, folder.name, "test")
    return read_expert(folder)


def fake_experts(n: int) -> list[Expert]:
    """Return n experts without files: only names and hashes."""
    return [Expert(f"e{i}", Path(f"e{i}"), "tiny", 4, 8.0, ("q_proj",), f"{i:064x}", {}) for i in range(n)]


ENGINE = {"backend": "transformers", "version": "5.0", "dtype": "float32", "quantization": None}
"""An engine's fingerprint."""


def scored(population: Population, experts: Sequence[Expert]) -> Population:
    """Return a population with known fitness of all its individuals, like the population of a run."""
    digests = [each.sha256 for each in experts]
    everybody = (
        *population.members,
        *population.created,
        *population.personal_bests,
        population.best,
        population.worst,
    )
    return replace(population, scored={identity(x.genotype, digests): x.fitness for x in everybody}, engine=ENGINE)


def paper_settings(method: str, **changes) -> dict[str, Any]:
    """Return a method's settings in `config.yaml`, with changes laid over them (mappings are merged)."""
    config = yaml.safe_load((Path(__file__).parent.parent / "config.yaml").read_text())
    settings = {"method": method, **config["methods"][method]}
    for key, value in changes.items():
        settings[key] = {**settings[key], **value} if isinstance(value, dict) else value
    return settings


def tokenizer_in(folder: Path, template: str | dict[str, str] | None, habit: bool = False) -> Path:
    """Save a word-level tokenizer; with `habit` it adds a BOS before every text, as Gemma's does."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<unk>", "<bos>", "user", "model", "what", "is", "two"]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if habit:
        core.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    fast = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>", bos_token="<bos>")
    fast.chat_template = template
    fast.save_pretrained(folder)
    return folder
