"""Builders of small inputs: real formats, nothing downloaded."""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from genome.experts.peft import CONFIG, WEIGHTS, Expert, read_expert, write_provenance
from genome.experts.tensors import from_float32, header_bytes
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
        settings[key] = {**settings[key], **value} if isinstance(value, dict) else value
    return settings


GENERATIONS = [name for name, method in METHODS.items() if method.stage == "generation"]
"""Methods that advance a population by one generation per job."""

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
        return [Fitness(value, {"t": value}) for value in map(self.value, individuals)]

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
