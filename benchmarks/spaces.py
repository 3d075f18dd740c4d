"""Time and memory of a joint basis of gemma-2-2b's size, and of adapters in it: `python benchmarks/spaces.py [RANK …]`.

It writes ten experts of rank 64 on all linear layers of 26 layers in bfloat16, of which half of the change is in a
subspace of rank 64 that all share. Then it makes a basis of each rank (64 and 128 if none is given), and writes one and
ten members in it.
"""

import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from genome.experts.expert import Expert, Factors, write_expert
from genome.experts.tensors import from_float32, to_float32
from genome.genotype import mixture, shared
from genome.lora.materialise import materialise
from genome.lora.shared import write_basis

EXPERTS, LAYERS, RANK = 10, 26, 64
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


def factors(number: int, outputs: int, inputs: int, common: np.random.Generator) -> Factors:
    """Return B and A of one expert in one layer: the first half of the rank from a subspace of all experts."""
    own = np.random.default_rng([number, outputs, inputs])
    half = RANK // 2
    b, a = common.standard_normal((outputs, RANK), np.float32), common.standard_normal((RANK, inputs), np.float32)
    within = own.standard_normal((2, RANK, half), np.float32) / np.sqrt(RANK)
    mixed_b = np.hstack([b @ within[0], own.standard_normal((outputs, half), np.float32)])
    mixed_a = np.vstack([within[1].T @ a, own.standard_normal((half, inputs), np.float32)])
    return (rounded(mixed_b), rounded(mixed_a))


def rounded(values: np.ndarray) -> np.ndarray:
    """Return float32 values that bfloat16 represents."""
    return to_float32(from_float32(values.astype(np.float32), "BF16"), "BF16")


def make_expert(folder: Path, number: int) -> Expert:
    """Write one expert, with the same common subspace in each layer of a kind."""
    of_kinds = {
        module: factors(number, *size, np.random.default_rng(kind))
        for kind, (module, size) in enumerate(MODULES.items())
    }
    return write_expert(
        folder / f"expert{number}.safetensors",
        f"expert{number}",
        {f"model.layers.{layer}.{module}": each for layer in range(LAYERS) for module, each in of_kinds.items()},
        alpha=RANK,
        dtype="BF16",
        target_modules=sorted(module.partition(".")[2] for module in MODULES),
        base_model="gemma-2-2b",
        provenance={"kind": "LoRA", "source": "random"},
    )


def measured(name: str, started: tuple[float, float]) -> None:
    """Print what has passed since `started`, and the peak memory of this process."""
    wall, processor = time.perf_counter() - started[0], time.process_time() - started[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name}: {wall:.1f} s, {processor:.1f} s of processor time, peak {peak:.0f} MiB", flush=True)


def now() -> tuple[float, float]:
    """Return the clocks of the wall and of the processor."""
    return time.perf_counter(), time.process_time()


def main() -> None:
    """Print a line for each case."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        started = now()
        experts = [make_expert(folder, number) for number in range(EXPERTS)]
        measured(f"{EXPERTS} experts of rank {RANK}", started)
        for rank in [int(text) for text in sys.argv[1:]] or [64, 128]:
            basis, started = folder / f"basis{rank}.safetensors", now()
            losses = write_basis(experts, rank, basis)
            measured(f"basis of rank {rank} ({basis.stat().st_size / 1e6:.0f} MB)", started)
            print(f"lost of all experts: {100 * losses.total:.2f} %")
            for count in (1, 10):
                generator = np.random.default_rng(count)
                members = [mixture(generator.dirichlet(np.ones(EXPERTS)), shared(rank)) for _ in range(count)]
                folders, started = [folder / f"out{number}" for number in range(count)], now()
                materialise(members, experts, folders, basis=basis)
                measured(f"members of rank {rank}: {count}", started)
                for each in folders:
                    shutil.rmtree(each)


if __name__ == "__main__":
    main()
