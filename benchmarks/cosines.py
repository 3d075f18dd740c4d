"""Time and memory of the cosines of ten random experts of gemma-2-2b's shape: `python benchmarks/cosines.py`."""

import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from spaces import LAYERS, MODULES

from genome.experts.expert import Expert, write_expert
from genome.experts.tensors import from_float32, to_float32
from genome.lora.geometry import write_cosines

EXPERTS, RANK = 10, 8


def make_expert(folder: Path, seed: int, dtype: str) -> Expert:
    """Write random weights of a type as an expert."""
    generator = np.random.default_rng(seed)

    def drawn(*shape: int) -> np.ndarray:
        return to_float32(from_float32(generator.standard_normal(shape, dtype=np.float32), dtype), dtype)

    return write_expert(
        folder / f"e{seed}.safetensors",
        f"e{seed}",
        {
            f"model.layers.{layer}.{module}": (drawn(outputs, RANK), drawn(RANK, inputs))
            for layer in range(LAYERS)
            for module, (outputs, inputs) in MODULES.items()
        },
        alpha=RANK,
        dtype=dtype,
        target_modules=sorted(module.partition(".")[2] for module in MODULES),
        provenance={"kind": "LoRA", "source": "random"},
    )


def main() -> None:
    """Print the figures for weights in float32 and in bfloat16."""
    for dtype in ("F32", "BF16"):
        with tempfile.TemporaryDirectory() as temporary:
            experts = [make_expert(Path(temporary), seed, dtype) for seed in range(EXPERTS)]
            start = time.perf_counter()
            write_cosines(experts, Path(temporary) / "cosines.csv")
            seconds = time.perf_counter() - start
            size = sum(np.prod(info.shape) for info in experts[0].tensors.values()) / 1e6
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{EXPERTS} experts of {size:.1f} M parameters, {dtype}: {seconds:.1f} s, peak {peak:.0f} MiB")


if __name__ == "__main__":
    main()
