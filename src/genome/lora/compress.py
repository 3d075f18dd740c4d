"""Compression of a PEFT folder: the nearest adapter of a lower rank, by the singular values of its factors.

Mixtures of products have the sum of their experts' ranks, and mixtures of mixed experts are padded to the highest one.
Engines serve ranks up to a limit, and a smaller file loads faster.
"""

from pathlib import Path
from typing import Any

import numpy as np

from genome.errors import GenomeError
from genome.experts.adapter_files import CONFIG, WEIGHTS
from genome.experts.expert import Factors
from genome.experts.tensors import TensorFile, from_float32, header_bytes, open_tensors
from genome.files import copy_file, read_json, replacing_directory, write_json
from genome.lora.layers import factor_names, factors_of, layers_of


def compress(source: Path, rank: int, out: Path) -> float:
    """Write the adapter in PEFT folder `source` to `out` with a rank of at most `rank`, and return the loss.

    `out` must not exist. Each layer gets the best approximation of that rank (Eckart and Young): QR of B and of A',
    then the singular value decomposition of the small matrix between them; no update is ever formed. The scaling
    alpha / r does not change. The loss is that of `lost`.
    """
    if out.exists():
        raise GenomeError(f"{out}: exists already; choose another folder or remove it")
    check_rank(rank)
    tensors, config = open_tensors(source / WEIGHTS), read_json(source / CONFIG)
    with replacing_directory(out) as folder:
        if rank >= config["r"]:
            for name in (CONFIG, WEIGHTS):
                copy_file(source / name, folder / name)
            return 0.0
        alpha = config["lora_alpha"] * rank / config["r"]
        shortened = {"r": rank, "lora_alpha": int(alpha) if alpha.is_integer() else alpha}
        write_json(folder / CONFIG, config | shortened)
        dtypes = {name: info.dtype for name, info in tensors.tensors.items()}
        stored: dict[str, np.ndarray] = {}
        for layer in layers_of(dtypes):
            b, a = truncate(_exact(tensors, layer), rank)
            for name, values in zip(factor_names(layer), (a, b), strict=True):
                stored[name] = from_float32(values.astype(np.float32), dtypes[name])
        with (folder / WEIGHTS).open("wb") as file:
            file.write(header_bytes(dtypes, {name: stored[name].shape for name in dtypes}))
            for name in dtypes:
                file.write(stored[name].tobytes())
        return lost(source, folder)


def lost(exact: Path, folder: Path) -> float:
    """Return how far the adapter in one PEFT folder is from an exact one: `|new - old| / |old|`.

    The norm is the Frobenius norm over the updates of all layers, from the weights as written (with rounding). Both
    folders must have the same layers.
    """
    tensors = [open_tensors(each / WEIGHTS) for each in (exact, folder)]
    configs = [read_json(each / CONFIG) for each in (exact, folder)]
    old_scale, new_scale = (config["lora_alpha"] / config["r"] for config in configs)
    missing, total = 0.0, 0.0
    for layer in layers_of(tensors[0]):
        (old_b, old_a), (new_b, new_a) = (_exact(each, layer) for each in tensors)
        missing += _norm((np.hstack([old_scale * old_b, -new_scale * new_b]), np.vstack([old_a, new_a]))) ** 2
        total += _norm((old_scale * old_b, old_a)) ** 2
    return float(np.sqrt(missing / total)) if total else 0.0


def check_rank(rank: int) -> None:
    """Raise GenomeError unless an adapter can have this rank."""
    if rank < 1:
        raise GenomeError(f"rank {rank}: the rank of an adapter must be at least 1")


def truncate(factors: Factors, rank: int) -> Factors:
    """Return factors of `rank` whose product is nearest to the product of `factors`, with singular values split evenly.

    If a layer is narrower than `rank`, its factors are padded with zeros.
    """
    (q_b, r_b), (q_a, r_a) = np.linalg.qr(factors[0]), np.linalg.qr(factors[1].T)
    u, values, v = np.linalg.svd(r_b @ r_a.T, full_matrices=False)
    roots = np.sqrt(values[:rank])
    b, a = q_b @ (u[:, :rank] * roots), (roots[:, None] * v[:rank]) @ q_a.T
    missing = (0, rank - len(roots))
    return np.pad(b, ((0, 0), missing)), np.pad(a, (missing, (0, 0)))


def _exact(tensors: TensorFile, layer: str) -> Factors:
    """Return B and A of a layer in float64."""
    b, a = factors_of(tensors, layer)
    return b.astype(np.float64), a.astype(np.float64)


def _norm(factors: Factors) -> float:
    """Return the Frobenius norm of the product of `factors`."""
    return float(np.linalg.norm(_triangle(factors[0]) @ _triangle(factors[1].T).T))


def _triangle(matrix: np.ndarray) -> np.ndarray:
    """Return R of the matrix's QR decomposition."""
    r: Any = np.linalg.qr(matrix, mode="r")  # numpy's own types leave this mode out
    return r
