"""Golden runs: parents, operators, survivors and numbers of short runs of every method.

If a test here fails, a method computes other results than before. If that is not intended, it is an error. If it is,
all results of that method are out of date, and a new version makes Snakemake run them again:

1. raise `version` in the method's row, or `initial` in `workflow/internal.yaml` (the message names both);
2. write the new values with `python tests/test_golden.py`, which refuses to if no version has been raised;
3. review the difference of `tests/data/golden.json` as part of the change.

Decisions are compared exactly and numbers to nine digits, since libraries and processors round differently. With the
version of numpy that wrote the file, genotypes are compared to the last bit, except for methods that use linear
algebra, an optimiser or `exp` of a library.
"""

import hashlib
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from builders import (
    BASELINES,
    GENERATIONS,
    fake_experts,
    initial_population,
    next_generation,
    paper_settings,
    run_baseline,
)
from genome.files import canonical_json, read_json, write_json
from genome.genotype import to_json
from genome.lora.noise import unit_noise
from genome.search.driver import score_experts
from genome.search.methods import METHODS
from genome.search.population import Fitness, Individual, Population

FILE = Path(__file__).parent / "data" / "golden.json"
STAGES = Path(__file__).parent.parent / "workflow" / "internal.yaml"

EXPERTS = fake_experts(4)
SIZE, SEED, GENERATION_COUNT = 6, 1, 3
TARGET = (0.6, 0.5, -0.1, 0.2)

EVOLUTION = {
    "initialisation": "pairs",
    "crossover_rate": 0.7,
    "individual_mutation_rate": 0.4,
    "gene_mutation_rate": 0.2,
    "sigma": 0.001,
    "elite_ratio": 0.34,
    "selection": "proportional",
}
SUCCESSION = {
    "phi_self": 0.95,
    "phi_best": 0.2,
    "phi_current": 0.2,
    "phi_worst": 0.1,
    "step": 0.95,
    "attractor": "weights",
    "experience": "difference",
    "keep_best": False,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "genome": {**EVOLUTION, "succession": False},
    "genome_plus": {**EVOLUTION, "succession": SUCCESSION},
    "model_swarms": {
        "initialisation": "populated",
        "inertia": 0.2,
        "cognitive": 0.2,
        "social": 0.2,
        "repel": 0.1,
        "step": 1.0,
        "step_decay": 0.95,
        "step_floor": 0.92,
        "restart": 2,
    },
    "cma_es": {
        "initialisation": "pairs",
        "coefficients": "expert",
        "mean": "uniform",
        "step": 0.15,
        "bounds": [-1.5, 1.5],
    },
    "gauss_newton": {
        "objective": "likelihood",
        "samples": 4,
        "merge_space": "product",
        "initialisation": "uniform",
        "scales": [0, 2],
        "probe": 0.2,
        "damping": [0.25, 1, 4],
        "radius": 0.5,
        "bounds": [-1.5, 1.5],
        "confidence": 1,
        "tolerance": 0.05,
    },
    "lorahub": {"evaluations": 12, "bound": 1.5, "regularisation": 0.05},
    "pack_of_llms_merge": {"tau": 0.1},
    "task_arithmetic": {"scales": [0.1, 0.3, 0.5], "merge_space": "product"},
    "randopt": {"candidates": 12, "sigmas": [0.0005, 0.001, 0.002]},
}
"""Stated here, so that another default does not count as other behaviour."""

ROUNDED = {"cma_es", "gauss_newton", "lorahub", "pack_of_llms_merge"}
"""Methods whose last bits come from a library: of linear algebra, of an optimiser, of exp."""

FIRST = {"lorahub": 7}
"""Points that do not depend on the processor: LoraHub's optimiser then solves linear systems, whose last bits differ
between processors and decide where it goes."""

LORAHUB_WARNS = pytest.mark.filterwarnings("ignore:COBYLA:UserWarning")  # of a tolerance that nevergrad sets


class Evaluation:
    """Scores by the distance from a target and the number of noise terms, with operations that are exact anywhere."""

    def __call__(self, individuals):
        found = []
        for x in individuals:
            losses = tuple((c - t) * (c - t) for c, t in zip(x.genotype.coefficients, TARGET, strict=True))
            value = 1 / (1 + math.fsum(losses) + len(x.genotype.noise) / 64)
            found.append(Fitness(value, {"t": value}, losses))
        return found

    def log_perplexity(self):
        return [1.0, 1.1, 1.3, 1.2]


def run(method: str) -> list[Population]:
    settings, evaluate = paper_settings(method, **SETTINGS.get(method, {})), Evaluation()
    scored = score_experts(EXPERTS, evaluate)
    if method in BASELINES:
        return [run_baseline(scored, settings, SEED, EXPERTS, evaluate)]
    history = [initial_population(EXPERTS, scored, settings, SIZE, SEED, evaluate)]
    for _ in range(GENERATION_COUNT):
        history.append(next_generation(history[-1], settings, SEED, EXPERTS, evaluate))
    return history


def decisions(population: Population) -> dict[str, Any]:
    return {
        "created": [[x.name, x.operator, *x.parents] for x in population.created],
        "members": [x.name for x in population.members],
        "personal_bests": [x.name for x in population.state.get("personal_bests", ())],
        "best": population.best.name,
        "worst": population.worst.name,
        "stalled": population.stalled,
    }


def seeds(population: Population) -> list[list[int]]:
    return [[term.seed for term in x.genotype.noise] for x in population.created]


def numbers(population: Population) -> list[list[float]]:
    return [[x.score, *x.genotype.coefficients] for x in population.created]


def bits(history: list[Population]) -> str:
    """Return a digest of all genotypes, experiences and scores."""

    def value(x: Individual) -> list:
        return [x.name, x.score, to_json(x.genotype), x.experience and to_json(x.experience)]

    everyone = [value(x) for population in history for x in (*population.created, *population.members)]
    return hashlib.sha256(canonical_json(everyone).encode()).hexdigest()


def described(method: str) -> dict[str, Any]:
    """Return the part of the file that describes a method's run."""
    history = run(method)
    return {
        "decisions": list(map(decisions, history)),
        "seeds": list(map(seeds, history)),
        "numbers": list(map(numbers, history)),
        "bits": None if method in ROUNDED else bits(history),
    }


def versions(method: str) -> dict[str, int]:
    """Return the versions that the results of a method depend on: of its row, and of generation 0 if it evolves."""
    stages = yaml.safe_load(STAGES.read_text())["versions"]
    initial = {"initial": stages["initial"]} if method in GENERATIONS else {}
    return {**initial, method: METHODS[method].version}


def noise_bits() -> str:
    """Return a digest of noise: sparse as in mutation, and dense as in Gaussian experience."""
    drawn = [unit_noise(2**53 - 1, density, "layers.0.lora_A.weight", 5000) for density in (0.2, 1.0)]
    return hashlib.sha256(b"".join(values.astype("<f4").tobytes() for values in drawn)).hexdigest()


def moved(method: str, found: dict[str, Any], pinned: dict[str, Any], *, every_bit: bool) -> list[str]:
    """Return the parts of a run that differ from the pinned ones."""
    first = FIRST.get(method)
    parts = [part for part in ("decisions", "seeds") if found[part] != pinned[part] and first is None]
    rows = [[row for rows in each["numbers"] for row in rows] for each in (found, pinned)]
    same = len(rows[0]) == len(rows[1]) and all(
        len(a) == len(b) and np.allclose(a, b, rtol=1e-9, atol=1e-9)
        for a, b in zip(rows[0][:first], rows[1][:first], strict=True)
    )
    parts += [] if same else ["numbers"]
    return parts + (["bits"] if every_bit and found["bits"] != pinned["bits"] else [])


@LORAHUB_WARNS
@pytest.mark.parametrize("method", [*GENERATIONS, *BASELINES])
def test_run_is_as_pinned(method):
    golden = read_json(FILE)
    pinned = golden["methods"][method]
    names = " or ".join(f"`{name}`" for name in versions(method))
    parts = moved(method, described(method), pinned, every_bit=golden["numpy"] == np.__version__)
    assert not parts, (
        f"{method} computes other {', '.join(parts)} than before. If that is intended, raise the version of {names} "
        "and run `python tests/test_golden.py`; see the docstring of this file."
    )
    assert versions(method) == pinned["versions"], (
        f"the version of {names} is not the one that {FILE.name} was written with: run `python tests/test_golden.py`"
    )


def test_noise_is_as_pinned():
    golden = read_json(FILE)
    if golden["numpy"] == np.__version__:
        assert noise_bits() == golden["noise"], (
            "noise draws other numbers: individuals cannot be rebuilt from their files"
        )


def test_golden_run_has_all_operators_and_mutants_of_children():
    created = [x for population in run("genome_plus")[1:] for x in population.created]
    assert {x.operator for x in created} == {"crossover", "mutation", "succession"}
    children = {x.name for x in created if x.operator == "crossover"}
    assert any(x.operator == "mutation" and x.parents[0] in children for x in created)


def renew() -> None:
    """Write the file again; refuse if a run has changed and no version has."""
    golden = read_json(FILE) if FILE.exists() else {"methods": {}, "numpy": None}
    methods = {}
    for method in (*GENERATIONS, *BASELINES):
        found, pinned = described(method), golden["methods"].get(method)
        parts = moved(method, found, pinned, every_bit=golden["numpy"] == np.__version__) if pinned else []
        if parts and versions(method) == pinned["versions"]:
            sys.exit(
                f"{method} computes other {', '.join(parts)} than before, and no version of "
                f"{', '.join(versions(method))} has been raised: raise one first (if only the runs in this test have "
                f"changed, delete {FILE})"
            )
        methods[method] = {"versions": versions(method), **found}
    write_json(FILE, {"numpy": np.__version__, "noise": noise_bits(), "methods": methods})


if __name__ == "__main__":
    renew()
