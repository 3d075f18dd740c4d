"""Time and memory of writing genotypes of gemma-2-2b's size as adapter files: `python benchmarks/materialise.py`.

It writes random experts of rank 8 on all linear layers of 26 layers (10,383,360 parameters) in bfloat16. Then it times
one noise-free member, a population of 15 with 36 distinct noise terms, members of the product space, which are ten
times as wide, and the compression of one of them to the experts' rank. Last comes the largest run that is planned for:
the population of 100 after 50 generations of GENOME+, evolved on a made-up fitness, with the size of its history.
"""

import hashlib
import resource
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from spaces import LAYERS, MODULES

from genome.experts.expert import Expert, write_expert
from genome.experts.tensors import from_float32, to_float32
from genome.genotype import PRODUCT, Genotype, Noise, combine, mixture
from genome.lora.compress import compress
from genome.lora.materialise import materialise
from genome.search.driver import initial_population, next_generation, score_experts
from genome.search.methods import METHODS
from genome.search.population import Fitness, Individual, Population
from genome.search.records import read_population, write_population
from genome.search.settings import InitialSettings

RANK = 8

MEMBERS, GENERATIONS = 100, 50

WHOSE = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def random_expert(path: Path, seed: int) -> Expert:
    """Write one expert of random bfloat16 weights."""
    generator = np.random.default_rng(seed)

    def weights(*shape: int) -> np.ndarray:
        return to_float32(from_float32(generator.standard_normal(shape, dtype=np.float32), "BF16"), "BF16")

    factors = {
        f"model.layers.{layer}.{module}": (weights(outputs, RANK), weights(RANK, inputs))
        for layer in range(LAYERS)
        for module, (outputs, inputs) in MODULES.items()
    }
    return write_expert(
        path,
        path.stem,
        factors,
        alpha=RANK,
        dtype="BF16",
        target_modules=sorted(module.partition(".")[2] for module in MODULES),
        base_model="gemma-2-2b",
        provenance={},
    )


def population(size: int, terms: int, held: int) -> list[Genotype]:
    """Return members of ten experts, each with `held` of `terms` distinct noise terms."""
    generator = np.random.default_rng(1)
    members = []
    for _ in range(size):
        plain = Genotype(tuple(generator.dirichlet(np.ones(10)).tolist()))
        seeds = generator.choice(terms, held, replace=False)
        noise = Genotype((0.0,) * 10, tuple(Noise(int(seed), 0.2, 0.001) for seed in sorted(seeds)))
        members.append(combine([(1.0, plain), (1.0, noise)]))
    return members


def made_up(individuals: Sequence[Individual]) -> list[Fitness]:
    """Return a fitness between 0.5 and 0.7 for each individual, from a hash of its coefficients."""
    digests = [hashlib.sha256(repr(each.genotype.coefficients).encode()).digest() for each in individuals]
    values = [0.5 + 0.2 * int.from_bytes(digest[:4], "little") / 2**32 for digest in digests]
    return [Fitness(value, {"t": value}) for value in values]


def evolve(experts: Sequence[Expert], folder: Path) -> Population:
    """Return the last population of a large run, with its history in a folder."""
    method = METHODS["genome_plus"]
    start = score_experts(experts, made_up)
    evolved = initial_population(experts, start, InitialSettings(), MEMBERS, 1, made_up)
    for generation in range(GENERATIONS + 1):
        path = folder / f"generation_{generation}" / "population.json"
        write_population(path, evolved, experts)
        if generation < GENERATIONS:
            evolved = next_generation(read_population(path, experts), method, method.settings(), 1, experts, made_up)
    return evolved


def peak_mib() -> float:
    """Return the peak memory of this process, or of the largest that it started, in MiB."""
    return max(resource.getrusage(whose).ru_maxrss for whose in WHOSE) / 1024


def processor_seconds() -> float:
    """Return the processor time of this process and of those that it started and that have ended."""
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, WHOSE))


def timed(name: str, members: Sequence[Genotype], experts: Sequence[Expert], folders: Sequence[Path]) -> None:
    """Write members and print what that took; processor seconds are those of all processes together."""
    start, spent = time.perf_counter(), processor_seconds()
    materialise(members, experts, folders)
    wall, processor = time.perf_counter() - start, processor_seconds() - spent
    print(f"{name}: {wall:.2f} s, {processor:.2f} s of processors, peak {peak_mib():.0f} MiB", flush=True)


def main() -> None:
    """Print a line for each case."""
    with tempfile.TemporaryDirectory() as root:
        experts = [random_expert(Path(root) / f"expert{i}.safetensors", i) for i in range(10)]
        size = sum(int(np.prod(info.shape)) for info in experts[0].tensors.values())
        print(f"{len(experts)} experts of {size:,} parameters; {peak_mib():.0f} MiB before")
        products = [mixture(member.coefficients, PRODUCT) for member in population(4, 1, 0)]
        cases = {
            "1 member, no noise": population(1, 1, 0),
            "15 members, 36 noise terms": population(15, 36, 11),
            "1 member of products": products[:1],
            "4 members of products": products,
        }
        for number, (name, members) in enumerate(cases.items()):
            for repeat in range(3):
                folders = [Path(root) / f"out{number}-{repeat}-{i}" for i in range(len(members))]
                timed(name, members, experts, folders)
                if repeat < 2:
                    for folder in folders:
                        shutil.rmtree(folder)
        start = time.perf_counter()
        lost = compress(folders[0], RANK, Path(root) / "narrow")
        print(f"compression of one: {time.perf_counter() - start:.2f} s, {100 * lost:.1f} % lost, {peak_mib():.0f} MiB")
        start, history = time.perf_counter(), Path(root) / "history"
        evolved = evolve(experts, history)
        written = sum(path.stat().st_size for path in history.rglob("population.json"))
        seconds = time.perf_counter() - start
        print(f"{GENERATIONS} generations: {seconds:.0f} s, {written / 1e6:.1f} MB of history", flush=True)
        held = [len(member.genotype.noise) for member in evolved.members]
        terms = {(term.seed, term.density) for member in evolved.members for term in member.genotype.noise}
        name = f"{MEMBERS} members, {len(terms)} noise terms, {np.mean(held):.0f} in each"
        folders = [Path(root) / f"large{i}" for i in range(MEMBERS)]
        timed(name, [member.genotype for member in evolved.members], experts, folders)


if __name__ == "__main__":
    main()
