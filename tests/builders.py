"""Builders of small inputs: real formats, nothing downloaded."""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from genome.experts import expert
from genome.experts.expert import PREFIX, Expert, is_mixed
from genome.experts.tensors import from_float32, header_bytes, open_tensors, to_float32
from genome.files import write_json
from genome.genotype import Genotype, identity
from genome.search import driver
from genome.search.method import read_settings
from genome.search.methods import METHODS, read_method
from genome.search.population import Fitness, Individual, Population, new_population
from genome.search.settings import InitialSettings
from genome.tasks import Task, parse_task

TARGETS = {"self_attn.q_proj": (12, 8), "mlp.down_proj": (8, 20)}
"""Linear layers of the made-up base: (outputs, inputs)."""

TARGET_NAMES = sorted(module.rpartition(".")[2] for module in TARGETS)


def random_factors(seed: int, rank: int = 4, layers: int = 2) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return random factors (B, A) in float32 of each layer of the made-up base."""
    generator = np.random.default_rng(seed)
    factors = {}
    for layer in range(layers):
        for module, (outputs, inputs) in TARGETS.items():
            a, b = (generator.normal(size=shape).astype("f4") for shape in ((rank, inputs), (outputs, rank)))
            factors[f"model.layers.{layer}.{module}"] = b, a
    return factors


def write_adapter(
    folder: Path, seed: int, rank: int = 4, dtype: str = "F32", layers: int = 2, alpha: float = 8
) -> Path:
    """Write a PEFT folder of random weights, as people bring them."""
    folder.mkdir(parents=True)
    tensors = {
        f"{PREFIX}{layer}.lora_{side}.weight": from_float32(matrix, dtype)
        for layer, (b, a) in random_factors(seed, rank, layers).items()
        for side, matrix in (("A", a), ("B", b))
    }
    header = header_bytes(dict.fromkeys(tensors, dtype), {name: tensor.shape for name, tensor in tensors.items()})
    (folder / "adapter_model.safetensors").write_bytes(header + b"".join(each.tobytes() for each in tensors.values()))
    config = {"peft_type": "LORA", "base_model_name_or_path": "tiny", "r": rank, "lora_alpha": alpha}
    write_json(folder / "adapter_config.json", {**config, "target_modules": TARGET_NAMES})
    return folder


def write_base(folder: Path, layers: int = 2, dtype: str = "F32") -> Path:
    """Write the made-up base whose linear layers are TARGETS: weights, embeddings, norms and a config."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(99)
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (32, 8), "model.norm.weight": (8,)}
    for layer in range(layers):
        shapes |= {f"model.layers.{layer}.{module}.weight": shape for module, shape in TARGETS.items()}
        shapes[f"model.layers.{layer}.input_layernorm.weight"] = (8,)
    tensors = {name: from_float32(generator.normal(size=shape).astype("f4"), dtype) for name, shape in shapes.items()}
    header = header_bytes(dict.fromkeys(shapes, dtype), shapes)
    (folder / "model.safetensors").write_bytes(header + b"".join(each.tobytes() for each in tensors.values()))
    write_json(folder / "config.json", {"model_type": "llama", "hidden_size": 8, "vocab_size": 32})
    return folder


def write_expert(
    path: Path,
    seed: int,
    rank: int = 4,
    dtype: str = "F32",
    layers: int = 2,
    alpha: float = 8,
    missing: Sequence[str] = (),
) -> Expert:
    """Write the adapter of `write_adapter` as an expert, to `path` with the ending of experts, and return it.

    The expert does not change the layers `missing`.
    """
    scaled = {
        layer: (np.float32(alpha / rank) * _rounded(b, dtype), _rounded(a, dtype))
        for layer, (b, a) in random_factors(seed, rank, layers).items()
        if layer not in missing
    }
    return expert.write_expert(
        path.with_name(f"{path.name}{expert.ENDING}"),
        path.name,
        scaled,
        alpha=alpha,
        dtype=dtype,
        target_modules=TARGET_NAMES,
        base_model="tiny",
        provenance={"kind": "LoRA", "source": "test", "revision": None},
    )


def expert_of(folder: Path, path: Path) -> Expert:
    """Write a PEFT folder of plain LoRA as an expert, to `path` with the ending of experts, and return it."""
    tensors = open_tensors(folder / "adapter_model.safetensors")
    config = json.loads((folder / "adapter_config.json").read_text())
    scale = np.float32(config["lora_alpha"] / config["r"])
    stems = [name.removesuffix(".lora_A.weight") for name in tensors if name.endswith(".lora_A.weight")]
    return expert.write_expert(
        path.with_name(f"{path.name}{expert.ENDING}"),
        path.name,
        {
            stem.removeprefix(PREFIX): (scale * tensors[f"{stem}.lora_B.weight"], tensors[f"{stem}.lora_A.weight"])
            for stem in stems
        },
        alpha=config["lora_alpha"],
        dtype=next(iter(tensors.tensors.values())).dtype,
        target_modules=sorted(config["target_modules"]),
        base_model=config["base_model_name_or_path"],
        provenance={"kind": "LoRA", "source": "test", "revision": None},
    )


def updates_of(expert: Expert) -> dict[str, np.ndarray]:
    """Return the change BA of each layer of an expert in float64, by the layer's name in its tensors."""
    tensors = open_tensors(expert.path)
    stems = [name.removesuffix(".lora_A.weight") for name in tensors if name.endswith(".lora_A.weight")]
    return {
        stem: tensors[f"{stem}.lora_B.weight"].astype("f8") @ tensors[f"{stem}.lora_A.weight"].astype("f8")
        for stem in stems
    }


def update_of(folder: Path) -> dict[str, np.ndarray]:
    """Return the update of each layer of a PEFT folder, alpha/r * BA, in float64."""
    tensors = open_tensors(folder / "adapter_model.safetensors")
    config = json.loads((folder / "adapter_config.json").read_text())
    scale = config["lora_alpha"] / config["r"]
    stems = [name.removesuffix(".lora_A.weight") for name in tensors if name.endswith(".lora_A.weight")]
    return {
        stem: scale * tensors[f"{stem}.lora_B.weight"].astype("f8") @ tensors[f"{stem}.lora_A.weight"].astype("f8")
        for stem in stems
    }


def _rounded(matrix: np.ndarray, dtype: str) -> np.ndarray:
    return to_float32(from_float32(matrix, dtype), dtype)


def write_manifest(path: Path | str, experts: Sequence[Expert]) -> None:
    """Write the list of checked experts."""
    entries = [
        {"name": each.name, "path": str(each.path), "sha256": each.sha256, "rank": each.rank} for each in experts
    ]
    write_json(path, {"mixed": is_mixed(experts), "experts": entries})


def fake_experts(n: int) -> list[Expert]:
    """Return n experts without files: only names and hashes."""
    return [Expert(f"e{i}", Path(f"e{i}"), "tiny", 4, 8.0, ("q_proj",), f"{i:064x}", {}) for i in range(n)]


ENGINE = {"backend": "transformers", "version": "5.0", "dtype": "float32", "quantization": None}
"""An engine's fingerprint."""


def scored(population: Population, experts: Sequence[Expert]) -> Population:
    """Return a population with the fitness of all its individuals in `scored`, as a run has it."""
    digests = [each.sha256 for each in experts]
    individuals = (
        *population.members,
        *population.created,
        *population.state.get("personal_bests", ()),
        population.best,
        population.worst,
    )
    return replace(population, scored={identity(x.genotype, digests): x.fitness for x in individuals}, engine=ENGINE)


def make_task(kind: str, name: str = "t", **fields: Any) -> Task:
    """Return a task of a kind, with the fields that every task must have."""
    return parse_task(
        name, {"category": "c", "source": {"path": "x"}, "prompt": "p", "reference": "r", "kind": kind, **fields}
    )


def score_row(method: str = "genome", task: str = "t", score: float = 0.5, **fields: Any) -> dict[str, Any]:
    """Return a row of a scores.json: the best individual of a run on the task that it is tested on, or `fields`."""
    return {
        "method": method,
        "report": "best",
        "population_size": 10,
        "tasks": task,
        "test_task": task,
        "seed": 1,
        "score": score,
        "n": 1000,
        "standard_error": 0.015,
        "unparsed": 3,
        "run": f"results/runs/{task}/{method}",
        "engine": ENGINE,
    } | fields


def paper_settings(method: str, **changes) -> dict[str, Any]:
    """Return a method's default settings as JSON has them, with changes laid over (mappings merged)."""
    settings = {"method": method, **json.loads(json.dumps(asdict(METHODS[method].settings())))}
    for key, value in changes.items():
        settings[key] = {**(settings[key] or {}), **value} if isinstance(value, dict) else value
    return settings


GENERATIONS = [name for name, method in METHODS.items() if method.stage == "generation"]
"""Methods that advance a population by one generation per job."""

SIZED = [name for name in GENERATIONS if name != "gauss_newton"]
"""Those whose populations have as many members as the config says."""

BASELINES = [name for name, method in METHODS.items() if method.stage == "baseline"]
"""Methods that run in one job, from the scored experts."""


def individual(name: str, score: float, *coefficients: float, operator: str = "mutation", **fields: Any) -> Individual:
    """Return an individual that has been scored on one task, `t`."""
    fitness = fields.pop("fitness", Fitness(score, {"t": score}))
    return Individual(name, Genotype(coefficients or (score, 1.0)), operator, fitness=fitness, **fields)


def population(*scores: float) -> Population:
    """Return generation 0 with members x0, x1, … of these scores."""
    return new_population([individual(f"x{i}", score, float(i), 1.0) for i, score in enumerate(scores)])


class Landscape:
    """A fitness of coefficients alone, 1 at `target`, that keeps the identity of each genotype it has scored."""

    target = (0.6, 0.5, -0.1, 0.2)

    def __init__(self, experts: Sequence[Expert]):
        self.asked: list[str] = []
        self.digests = [expert.sha256 for expert in experts]

    def __call__(self, individuals: Sequence[Individual]) -> list[Fitness]:
        self.asked += [identity(x.genotype, self.digests) for x in individuals]
        return [Fitness(self.value(each), {"t": self.value(each)}, self.losses(each)) for each in individuals]

    def losses(self, individual: Individual) -> tuple[float, ...]:
        """Return a loss for each coefficient; -log of the fitness is their mean."""
        squares = (np.array(individual.genotype.coefficients) - self.target) ** 2
        return tuple((2 * len(squares) * squares).tolist())

    def value(self, individual: Individual) -> float:
        """Return exp(-2 d^2), d the distance of the coefficients from the target."""
        return float(np.exp(-2 * np.sum((np.array(individual.genotype.coefficients) - self.target) ** 2)))

    def log_perplexity(self) -> list[float]:
        """Return log-perplexities of four experts."""
        return [1.0, 1.1, 1.3, 1.2]


def initial_population(experts, scored_experts, settings, size, seed, evaluate) -> Population:
    """Return generation 0 for the settings of a method as a mapping."""
    names = [each.name for each in fields(InitialSettings)]
    chosen = read_settings(InitialSettings, {name: settings[name] for name in names if name in settings}, "initial")
    return driver.initial_population(experts, scored_experts, chosen, size, seed, evaluate)


def next_generation(population, settings, seed, experts, evaluate, course=None) -> Population:
    """Return the population after one more generation of `settings["method"]` with the other settings."""
    return driver.next_generation(population, *read_method(settings), seed, experts, evaluate, course)


def run_baseline(scored_experts, settings, seed, experts, evaluate) -> Population:
    """Return the result of the baseline `settings["method"]` with the other settings."""
    return driver.run_baseline(scored_experts, *read_method(settings), seed, experts, evaluate)


def evolve(settings, generations=10, size=10, seed=1, experts=None) -> tuple[list[Population], Landscape]:
    """Return the populations of a run on a landscape, from generation 0 on, and the landscape."""
    experts = experts or fake_experts(4)
    landscape = Landscape(experts)
    start = driver.score_experts(experts, landscape)
    history = [initial_population(experts, start, settings, size, seed, landscape)]
    for _ in range(generations):
        history.append(next_generation(history[-1], settings, seed, experts, landscape))
    return history, landscape


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
