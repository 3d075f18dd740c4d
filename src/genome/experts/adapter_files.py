"""The files of a PEFT adapter, and the check of their weights."""

from pathlib import Path

import numpy as np

from genome.errors import GenomeError
from genome.experts.tensors import open_tensors

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PICKLED = "adapter_model.bin"


def check_weights(path: Path | str) -> None:
    """Read a whole safetensors file; GenomeError if a weight is NaN or infinite, or if bytes are missing."""
    for name, values in open_tensors(path).items():
        check_finite(path, name, values)


def check_finite(path: Path | str, name: str, values: np.ndarray) -> None:
    """Raise GenomeError if a weight of the tensor `name` of the file `path` is NaN or infinite."""
    wrong = values.size - np.count_nonzero(np.isfinite(values))
    if wrong:
        raise GenomeError(
            f"{path}: {wrong} of {values.size} weights of tensor {name} are NaN or infinite; "
            "train the adapter again or fetch an intact copy"
        )
