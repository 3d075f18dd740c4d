"""Time and memory of writing genotypes of gemma-2-2b's size as adapter files: `python benchmarks/materialise.py`.

It writes random experts of rank 8 on all linear layers of 26 layers (10,383,360 parameters) in bfloat16. Then it times
one noise-free member, a population of 15 with 36 distinct noise terms, members of the product space, which are ten
times as wide, and the compression of one of them to the experts' rank.
"""

import resource
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from genome.experts.peft import CONFIG, WEIGHTS, load_experts, write_provenance
from genome.experts.tensors import from_float32, header_bytes
from genome.files import write_json
from genome.genotype import PRODUCT, Genotype, Noise, combine, mixture
from genome.lora.materialise import materialise
from genome.lora.products import compress

LAYERS, RANK = 26, 8
MODULES = {
    "self_attn.q_proj": (2048, 2304),
    "self_attn.k_proj": (1024, 2304),
    "self_attn.v_proj": (1024, 2304),
    "self_attn.o_proj": (2304, 2048),
    "mlp.gate_proj": (9216, 2304),
    "mlp.up_proj": (9216, 2304),
    "mlp.down_proj": (2304, 9216),
}
"""Linear layers of gemma-2-2b: (outputs, inputs)."""


def write_expert(folder: Path, seed: int) -> Path:
    """Write one expert of random bfloat16 weights."""
    folder.mkdir()
    shapes = {
        f"base_model.model.model.layers.{layer}.{module}.lora_{side}.weight": shape
        for layer in range(LAYERS)
        for module, (outputs, inputs) in MODULES.items()
        for side, shape in (("A", (RANK, inputs)), ("B", (outputs, RANK)))
    }
    generator = np.random.default_rng(seed)
    with (folder / WEIGHTS).open("wb") as file:
        file.write(header_bytes(dict.fromkeys(shapes, "BF16"), shapes))
        for shape in shapes.values():
            file.write(from_float32(generator.standard_normal(shape, dtype=np.float32), "BF16").tobytes())
    targets = sorted(module.partition(".")[2] for module in MODULES)
    config = {"peft_type": "LORA", "base_model_name_or_path": "gemma-2-2b", "r": RANK, "lora_alpha": 16}
    write_json(folder / CONFIG, {**config, "target_modules": targets})
    write_provenance(folder, folder.name, "random")
    return folder


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


def peak_mib() -> float:
    """Return the peak memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print a line for each case."""
    with tempfile.TemporaryDirectory() as root:
        experts = load_experts([write_expert(Path(root) / f"expert{i}", i) for i in range(10)])
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
                start = time.perf_counter()
                materialise(members, experts, folders)
                print(f"{name}: {time.perf_counter() - start:.2f} s, peak {peak_mib():.0f} MiB")
                if repeat < 2:
                    for folder in folders:
                        shutil.rmtree(folder)
        start = time.perf_counter()
        lost = compress(folders[0], RANK, Path(root) / "narrow")
        print(f"compression of one: {time.perf_counter() - start:.2f} s, {100 * lost:.1f} % lost, {peak_mib():.0f} MiB")


if __name__ == "__main__":
    main()
