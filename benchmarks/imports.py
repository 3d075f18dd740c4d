"""Time and memory of importing experts of real sizes: `python benchmarks/imports.py [REPETITIONS]`.

It writes random models and adapters of the shapes of gemma-2-2b and SmolLM2-135M in bfloat16, and imports each in a
separate process: a LoRA adapter of rank 64 on all linear layers of gemma-2-2b (factors, exactly), and a full
fine-tune of SmolLM2-135M (its difference to the base, truncated to rank 64). Times include the import of libraries.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from spaces import MODULES

from genome.experts.importing import import_expert
from genome.experts.tensors import from_float32, header_bytes
from genome.files import write_json

RANK = 64

SMOLLM = {
    "self_attn.q_proj": (576, 576),
    "self_attn.k_proj": (192, 576),
    "self_attn.v_proj": (192, 576),
    "self_attn.o_proj": (576, 576),
    "mlp.gate_proj": (1536, 576),
    "mlp.up_proj": (1536, 576),
    "mlp.down_proj": (576, 1536),
}
"""Linear layers of SmolLM2-135M: (outputs, inputs)."""

Shapes = dict[str, tuple[int, ...]]


def model_shapes(layers: int, modules: dict[str, tuple[int, int]], vocabulary: int, width: int) -> Shapes:
    """Return the shapes of all tensors of a model whose output layer is tied."""
    linear = {f"model.layers.{i}.{module}.weight": shape for i in range(layers) for module, shape in modules.items()}
    norms = {f"model.layers.{i}.input_layernorm.weight": (width,) for i in range(layers)}
    return {"model.embed_tokens.weight": (vocabulary, width), **linear, **norms}


def write_tensors(path: Path, shapes: Shapes, seed: int | None, added: float = 0.0) -> None:
    """Write random bfloat16 tensors; of the linear layers, `added` times other random numbers are added.

    Without a seed the file has a header only and zeros that take no room on the disk.
    """
    header = header_bytes(dict.fromkeys(shapes, "BF16"), shapes)
    with path.open("wb") as file:
        file.write(header)
        if seed is None:
            file.truncate(len(header) + 2 * sum(int(np.prod(shape)) for shape in shapes.values()))
            return
        generator, other = np.random.default_rng(seed), np.random.default_rng(seed + 1)
        for name, shape in shapes.items():
            values = 0.02 * generator.standard_normal(shape, dtype=np.float32)
            if added and "_proj" in name:
                values += added * other.standard_normal(shape, dtype=np.float32)
            file.write(from_float32(values, "BF16").tobytes())


def write_base(folder: Path, shapes: Shapes, seed: int | None, added: float = 0.0) -> Path:
    """Write a model's folder."""
    folder.mkdir()
    write_json(folder / "config.json", {"model_type": "llama"})
    write_tensors(folder / "model.safetensors", shapes, seed, added)
    return folder


def write_adapter(folder: Path) -> Path:
    """Write a LoRA adapter on all linear layers of gemma-2-2b."""
    folder.mkdir()
    shapes = {
        f"base_model.model.model.layers.{i}.{module}.lora_{side}.weight": shape
        for i in range(26)
        for module, (outputs, inputs) in MODULES.items()
        for side, shape in (("A", (RANK, inputs)), ("B", (outputs, RANK)))
    }
    write_tensors(folder / "adapter_model.safetensors", shapes, 0)
    config = {"peft_type": "LORA", "base_model_name_or_path": "gemma-2-2b", "r": RANK, "lora_alpha": 2 * RANK}
    write_json(folder / "adapter_config.json", {**config, "target_modules": sorted(m.split(".")[1] for m in MODULES)})
    return folder


def peak() -> float:
    """Return the peak memory of this process in MiB; getrusage would count the process that started it."""
    return int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) / 1024


def measure(source: Path, base: Path, out: Path) -> None:
    """Import an expert in this process and print what it took."""
    before = peak()
    wall, processor = time.perf_counter(), time.process_time()
    expert = import_expert("expert", {"path": str(source), "rank": RANK}, base, out)
    print(
        json.dumps(
            {
                "wall": time.perf_counter() - wall,
                "processor": time.process_time() - processor,
                "before": before,
                "peak": peak(),
                "size": out.stat().st_size / 2**20,
                "kept": min(layer["kept"] for layer in expert.provenance["layers"].values()),
            }
        )
    )


def main(repetitions: int) -> None:
    """Print a line for each import."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        gemma = write_base(root / "gemma", model_shapes(26, MODULES, 256000, 2304), None)
        shapes = model_shapes(30, SMOLLM, 49152, 576)
        smollm = write_base(root / "smollm", shapes, 0)
        cases = {
            "LoRA of rank 64, gemma-2-2b": (write_adapter(root / "adapter"), gemma),
            "full fine-tune, SmolLM2-135M": (write_base(root / "tuned", shapes, 0, 0.002), smollm),
        }
        for case, (source, base) in cases.items():
            for _ in range(repetitions):
                command = [sys.executable, __file__, str(source), str(base), str(root / "out.safetensors")]
                found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
                print(
                    f"{case}: {found['wall']:.1f} s, {found['processor']:.1f} s of processor time, "
                    f"{found['peak']:.0f} MiB ({found['before']:.0f} before), file {found['size']:.0f} MiB, "
                    f"keeps at least {100 * found['kept']:.1f} % of a layer",
                    flush=True,
                )


if __name__ == "__main__":
    if len(sys.argv) == 4:
        measure(*map(Path, sys.argv[1:]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) == 2 else 3)
