"""Mixtures of products: `sum_k c_k * B_k A_k`, represented exactly by one adapter that has the sum of the ranks.

Merging A and B separately (Section 2.1 of arXiv 2503.01155) gives `(sum c_k B_k)(sum c_k A_k)`, whose cross terms
`B_j A_k` belong to no expert. Here the A are stacked and the B concatenated, each B times its coefficient. The scaling
alpha/r does not change, so alpha grows with the rank. A coefficient is rounded into B only: A is copied bit for bit,
and a product has one rounding instead of two.

`compress` reduces an adapter to the nearest one of a lower rank, by the singular values of its factors.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genome.errors import GenomeError
from genome.experts.peft import CONFIG, WEIGHTS
from genome.experts.tensors import from_float32, header_bytes, open_tensors, to_float32
from genome.files import copy_file, read_json, replacing_directory, write_json
from genome.lora.layers import layers_of

Factors = tuple[np.ndarray, np.ndarray]
"""B (outputs, rank) and A (rank, inputs)."""


def used(coefficients: Sequence[float], n: int) -> list[int]:
    """Return which of `n` experts a mixture uses in any layer; [0] if none, since an adapter cannot have rank 0."""
    return [k for k in range(n) if any(coefficients[k::n])] or [0]


def stacked_shape(name: str, shape: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Return the shape of tensor `name` for `count` experts whose tensors each have `shape`."""
    first, second = shape
    return (first * count, second) if _is_a(name) else (first, second * count)


def stack(name: str, coefficients: Sequence[float], chosen: Sequence[int], sources: Sequence[np.ndarray]) -> np.ndarray:
    """Return tensor `name` of a mixture of the `chosen` experts in float32; `sources` holds every expert's tensor."""
    if _is_a(name):
        return np.concatenate([sources[k] for k in chosen])
    return np.concatenate([np.float32(coefficients[k]) * sources[k] for k in chosen], axis=1)


def write_config(source: Path, target: Path, rank: int) -> None:
    """Write the adapter_config.json of folder `source` to `target` for another rank, with the same scaling."""
    config = read_json(source / CONFIG)
    alpha = config["lora_alpha"] * rank / config["r"]
    write_json(target / CONFIG, {**config, "r": rank, "lora_alpha": int(alpha) if alpha.is_integer() else alpha})


def compress(source: Path, rank: int, out: Path) -> float:
    """Write the adapter in PEFT folder `source` to `out` with a rank of at most `rank`, and return the loss.

    `out` must not exist. Each layer gets the best approximation of that rank (Eckart and Young): QR of B and of A',
    then the singular value decomposition of the small matrix between them; no update is ever formed. The loss is
    `|new - old| / |old|`, the Frobenius norm over all updates, computed from the weights as written (with rounding).
    """
    if out.exists():
        raise GenomeError(f"{out}: exists already; choose another folder or remove it")
    tensors = open_tensors(source / WEIGHTS)
    if rank < 1:
        raise GenomeError(f"rank {rank}: the rank of an adapter must be at least 1")
    with replacing_directory(out) as folder:
        if rank >= read_json(source / CONFIG)["r"]:
            for name in (CONFIG, WEIGHTS):
                copy_file(source / name, folder / name)
            return 0.0
        write_config(source, folder, rank)
        dtypes = {name: info.dtype for name, info in tensors.tensors.items()}
        stored, lost, whole = {}, 0.0, 0.0
        for module in layers_of(dtypes):
            names = f"{module}.lora_B.weight", f"{module}.lora_A.weight"
            old = tensors[names[0]].astype(np.float64), tensors[names[1]].astype(np.float64)
            new = truncate(old, rank)
            for name, values in zip(names, new, strict=True):
                stored[name] = from_float32(values.astype(np.float32), dtypes[name])
            written = [to_float32(stored[name], dtypes[name]) for name in names]
            lost += _norm((np.hstack([old[0], -written[0]]), np.vstack([old[1], written[1]]))) ** 2
            whole += _norm(old) ** 2
        header = header_bytes(dtypes, {name: stored[name].shape for name in dtypes})
        (folder / WEIGHTS).write_bytes(header + b"".join(stored[name].tobytes() for name in dtypes))
    return float(np.sqrt(lost / whole)) if whole else 0.0


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


def _norm(factors: Factors) -> float:
    """Return the Frobenius norm of the product of `factors`."""
    return float(np.linalg.norm(_triangle(factors[0]) @ _triangle(factors[1].T).T))


def _triangle(matrix: np.ndarray) -> np.ndarray:
    """Return R of the matrix's QR decomposition."""
    r: Any = np.linalg.qr(matrix, mode="r")  # numpy's own types leave this mode out
    return r


def _is_a(name: str) -> bool:
    return name.endswith("lora_A.weight")
