"""Time and memory of the cosines of ten random adapters of gemma-2-2b's shape: `python benchmarks/cosines.py`."""

import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from materialise import LAYERS, MODULES, RANK

from genome.experts.peft import CONFIG, WEIGHTS, read_expert
from genome.experts.tensors import from_float32, header_bytes
from genome.files import write_json
from genome.lora.geometry import write_cosines

EXPERTS = 10
SHAPES = {
    f"base_model.model.model.layers.{layer}.{module}.lora_{side}.weight": shape
    for layer in range(LAYERS)
    for module, (outputs, inputs) in MODULES.items()
    for side, shape in (("A", (RANK, inputs)), ("B", (outputs, RANK)))
}


def write_adapter(folder: Path, seed: int, dtype: str) -> Path:
    """Write random weights as an expert, without the checks that a fetched one passes."""
    folder.mkdir()
    generator = np.random.default_rng(seed)
    with (folder / WEIGHTS).open("wb") as file:
        file.write(header_bytes(dict.fromkeys(SHAPES, dtype), SHAPES))
        for shape in SHAPES.values():
            file.write(from_float32(generator.standard_normal(shape, dtype=np.float32), dtype).tobytes())
    config = {"peft_type": "LORA", "base_model_name_or_path": "gemma-2-2b-it", "r": RANK, "lora_alpha": 16}
    write_json(folder / CONFIG, {**config, "target_modules": ["all-linear"]})
    write_json(folder / "provenance.json", {"name": folder.name, "sha256": f"{seed:064x}"})
    return folder


def main() -> None:
    """Print the figures for weights in float32 and in bfloat16."""
    for dtype in ("F32", "BF16"):
        with tempfile.TemporaryDirectory() as temporary:
            folders = [write_adapter(Path(temporary) / f"e{seed}", seed, dtype) for seed in range(EXPERTS)]
            experts = [read_expert(folder) for folder in folders]
            start = time.perf_counter()
            write_cosines(experts, Path(temporary) / "cosines.csv")
            seconds = time.perf_counter() - start
            size = sum(np.prod(shape) for shape in SHAPES.values()) / 1e6
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{EXPERTS} adapters of {size:.1f} M parameters, {dtype}: {seconds:.1f} s, peak {peak:.0f} MiB")


if __name__ == "__main__":
    main()
