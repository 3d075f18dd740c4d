"""The shared space: a joint basis of all experts, for sets whose ranks add up to more than an engine serves.

Each layer has a basis U [outputs, R] and V [R, inputs], and each expert a core C_k [R, R] in it, such that the sum of
`|B_k A_k - U C_k V|^2` over the experts is as small as the rank R allows. A mixture `sum_k c_k C_k` of cores is then an
adapter of rank R: A = V and B = U times the mixture. What is lost is known before anything runs.

The basis is a Tucker decomposition of the stacked updates: the higher-order singular value decomposition (De Lathauwer
et al. 2000, doi:10.1137/S0895479896305696), then higher-order orthogonal iteration (doi:10.1137/S0895479898346995). No
update is ever formed: all of it is done in coordinates of the experts' own factors, whose number is the sum of their
ranks. The arithmetic is in float64, and the file in float32.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genome import fields
from genome.errors import GenomeError
from genome.experts.expert import METADATA, Expert, Factors
from genome.experts.tensors import TensorFile, header_bytes, open_tensors
from genome.files import REMAKE, parse_json, replacing, write_csv
from genome.limits import usable_cores
from genome.lora.layers import factor_names, factors_of, layer_of, padded, union_of

ALTERNATIONS = 8
"""The most alternations between U and V."""

GAIN = 1e-3
"""Alternations end when one lowers the squared error by less than this share of it."""

THREADS = min(4, usable_cores())
"""Layers at the same time; each needs separate memory."""

LOST, NORMS = "lost", "norms"
"""Tensors [layers, experts] of a basis: the norms of what is lost of the updates, and of the updates."""


@dataclass(frozen=True)
class Losses:
    """What a basis loses of each expert, by name, and of all: the norm of the differences over that of the updates.

    Norms are Frobenius norms over all layers.
    """

    experts: Mapping[str, float]
    total: float


@dataclass(frozen=True)
class Basis:
    """A joint basis; `tensors` has `LAYER.U`, `LAYER.V` and `LAYER.cores` [experts, R, R] for each layer.

    rank: as the config asks for
    width: the highest rank of a layer, which is lower if the ranks of the experts add up to less
    experts: the SHA-256 of the experts' files, in the order of the cores
    """

    rank: int
    width: int
    experts: tuple[str, ...]
    losses: Losses
    tensors: TensorFile

    def rows(self, tensor: str) -> np.ndarray:
        """Return V in the layer of a factor in float32, which is A of all mixtures, with zeros up to the width."""
        v = self.tensors[f"{layer_of(tensor)}.V"]
        return padded(v, (self.width, v.shape[1]))

    def columns(self, tensor: str, mixtures: Sequence[Sequence[float]]) -> list[np.ndarray]:
        """Return U times each mixture of cores in the layer of a factor, which is its B, with zeros up to the width.

        Values are computed in float64, each mixture alone so that others do not change its last bits, and returned in
        float32.
        """
        layer = layer_of(tensor)
        u, cores = (self.tensors[f"{layer}.{part}"].astype(np.float64) for part in ("U", "cores"))
        columns = [u @ np.einsum("k,kij->ij", np.array(mixture), cores) for mixture in mixtures]
        return [padded(each.astype(np.float32), (len(u), self.width)) for each in columns]


def write_basis(experts: Sequence[Expert], rank: int, path: Path | str) -> Losses:
    """Write the joint basis of `rank` of the experts as a safetensors file, and return what it loses.

    A layer has a lower rank if it has fewer outputs or inputs, or if the ranks of all experts in it add up to less.
    Memory use: for each of up to four layers at a time, the factors of all experts in float64, and matrices whose sides
    are the sum of their ranks.
    """
    from threadpoolctl import threadpool_limits  # only this function needs it

    layers = union_of(experts)
    opened = [open_tensors(expert.path) for expert in experts]
    shapes = {name: shape for layer in layers for name, shape in _shapes(layer, layers[layer], opened, rank).items()}
    shapes |= dict.fromkeys((LOST, NORMS), (len(layers), len(experts)))
    known = {"rank": rank, "experts": [{"name": each.name, "sha256": each.sha256} for each in experts]}
    header = header_bytes(dict.fromkeys(shapes, "F32"), shapes, {METADATA: json.dumps(known, ensure_ascii=False)})
    lost, norms = np.zeros(shapes[LOST]), np.zeros(shapes[NORMS])

    def of_layer(layer: str) -> tuple[list[int], list[np.ndarray], tuple[np.ndarray, np.ndarray]]:
        having = [k for k, tensors in enumerate(opened) if factor_names(layer)[0] in tensors]
        u, v, cores, *squares = joint_basis([factors_of(opened[k], layer) for k in having], rank)
        everyone = np.zeros(shapes[f"{layer}.cores"])
        everyone[having] = cores
        return having, [values.astype("<f4") for values in (u, v, everyone)], (np.sqrt(squares[0]), np.sqrt(squares[1]))

    # A thread for each layer: threads within a small matrix wait for each other, thirty times as long on busy cores.
    with (
        threadpool_limits(1, "blas"),
        ThreadPoolExecutor(THREADS) as pool,
        replacing(path) as temporary,
        temporary.open("wb") as file,
    ):
        file.write(header)
        for number, (having, tensors, of_norms) in enumerate(pool.map(of_layer, layers)):
            lost[number, having], norms[number, having] = of_norms
            for values in tensors:
                file.write(values.tobytes())
        for values in (lost, norms):
            file.write(values.astype("<f4").tobytes())
    return _losses([expert.name for expert in experts], lost, norms)


def read_basis(path: Path | str, experts: Sequence[Expert]) -> Basis:
    """Open the joint basis of `experts`; GenomeError if the file is not one, or is one of other experts."""
    tensors = open_tensors(path)
    if METADATA not in tensors.metadata or LOST not in tensors:
        raise GenomeError(f"{path}: not a joint basis of experts; {REMAKE}")
    known = parse_json(tensors.metadata[METADATA], f"{path}: metadata", REMAKE)
    with fields.reading(path):
        entries = fields.sequence(fields.mapping(known, "metadata")["experts"], "experts", 1)
        names, digests = zip(*((entry["name"], entry["sha256"]) for entry in entries), strict=True)
        rank = fields.whole(known["rank"], "rank", 1)
    if digests != tuple(expert.sha256 for expert in experts):
        raise GenomeError(f"{path}: the joint basis of other experts ({', '.join(names)}); {REMAKE}")
    width = max(info.shape[0] for name, info in tensors.tensors.items() if name.endswith(".V"))
    return Basis(rank, width, digests, _losses(names, tensors[LOST], tensors[NORMS]), tensors)


def write_losses(losses: Losses, path: Path | str) -> None:
    """Write the loss of each expert, and of all together, as a CSV table."""
    rows = [*losses.experts.items(), ("all experts", losses.total)]
    write_csv(path, [("expert", "loss"), *((name, f"{loss:.6g}") for name, loss in rows)])


def joint_basis(
    factors: Sequence[Factors], rank: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return U, V and the experts' cores for one layer, and the squared norms of what is lost and of the updates.

    `factors` are (B, A) of each expert, of any ranks. U has at most `rank` columns and V at most `rank` rows, fewer if
    outputs, inputs or the sum of the experts' ranks are fewer. All are in float64.
    """
    stacked_b = np.hstack([b for b, _ in factors]).astype(np.float64)
    stacked_a = np.vstack([a for _, a in factors]).astype(np.float64)
    total = len(stacked_a)
    # Each update in coordinates of the stacked factors: B_k A_k = Q_b (b_k a_k') Q_a'.
    to_q_b, r_b = _coordinates(stacked_b)
    to_q_a, r_a = _coordinates(stacked_a.T)
    ends = np.cumsum([len(a) for _, a in factors])[:-1]
    updates = list(zip(np.split(r_b, ends, axis=1), np.split(r_a, ends, axis=1), strict=True))
    left, right = _alternate(updates, rank)
    cores = np.stack([(left.T @ b) @ (right.T @ a).T for b, a in updates])
    lost = [np.square(b @ a.T - left @ core @ right.T).sum() for (b, a), core in zip(updates, cores, strict=True)]
    norms = [_squared_norm(b, a) for b, a in updates]
    u, v = stacked_b @ (to_q_b @ left), (stacked_a.T @ (to_q_a @ right)).T
    return (
        *_grown(u, v, cores, min(rank, total, len(u)), min(rank, total, v.shape[1])),
        np.array(lost),
        np.array(norms),
    )


def _grown(
    u: np.ndarray, v: np.ndarray, cores: np.ndarray, left: int, right: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a basis with zeros up to the numbers of columns and rows that it has if no factors depend on others."""
    more_left, more_right = (0, left - u.shape[1]), (0, right - len(v))
    none = (0, 0)
    return np.pad(u, (none, more_left)), np.pad(v, (more_right, none)), np.pad(cores, (none, more_left, more_right))


def _coordinates(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return T and R such that `matrix = Q R` and `Q = matrix T` has orthonormal columns.

    By the eigenvalues of the Gram matrix of the scaled columns: a QR decomposition takes five times as long. Columns
    that are combinations of others to the last digits make Q narrower; what remains of them there is below 1e-7 of
    their norm.
    """
    norms = np.linalg.norm(matrix, axis=0)
    norms[norms == 0] = 1
    scaled = matrix / norms
    values, vectors = np.linalg.eigh(scaled.T @ scaled)  # in ascending order
    kept = values > np.finfo(np.float64).eps * values[-1]
    kept[: -min(matrix.shape)] = False
    roots, vectors = np.sqrt(values[kept]), vectors[:, kept]
    return vectors / norms[:, None] / roots, roots[:, None] * vectors.T * norms


def _alternate(updates: Sequence[Factors], rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Return orthonormal bases of columns and of rows, of `rank`, that keep most of the norm of the updates b a'."""
    rows, columns = (len(side) for side in updates[0])
    if rank >= max(rows, columns):
        return np.eye(rows), np.eye(columns)
    left = _leading(updates, rank)
    right = _leading([(a, left.T @ b) for b, a in updates], rank)
    whole = sum(_squared_norm(b, a) for b, a in updates)
    kept = sum(_squared_norm(left.T @ b, right.T @ a) for b, a in updates)
    for _ in range(ALTERNATIONS):
        before = kept
        left = _leading([(b, right.T @ a) for b, a in updates], rank)
        right = _leading([(a, left.T @ b) for b, a in updates], rank)
        kept = sum(_squared_norm(left.T @ b, right.T @ a) for b, a in updates)
        if kept - before <= GAIN * (whole - before):
            break
    return left, right


def _leading(products: Sequence[Factors], rank: int) -> np.ndarray:
    """Return at most `rank` leading left singular vectors of the matrices x y' next to each other, given (x, y)."""
    gram = sum(x @ (y.T @ y) @ x.T for x, y in products)
    return np.linalg.eigh(gram)[1][:, ::-1][:, :rank]


def _squared_norm(x: np.ndarray, y: np.ndarray) -> float:
    """Return the squared Frobenius norm of x y'."""
    return float(((x.T @ x) * (y.T @ y)).sum())


def _shapes(layer: str, size: tuple[int, int], opened: Sequence[TensorFile], rank: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a layer's tensors in the basis."""
    name, _ = factor_names(layer)
    total = sum(tensors.tensors[name].shape[0] for tensors in opened if name in tensors)
    outputs, inputs = size
    left, right = min(rank, total, outputs), min(rank, total, inputs)
    return {
        f"{layer}.U": (outputs, left),
        f"{layer}.V": (right, inputs),
        f"{layer}.cores": (len(opened), left, right),
    }


def _losses(names: Sequence[str], lost: np.ndarray, norms: np.ndarray) -> Losses:
    """Return the losses over all layers, from norms [layers, experts]."""
    of_lost, of_all = (np.square(values.astype(np.float64)).sum(0) for values in (lost, norms))
    each = [_share(part, whole) for part, whole in zip(of_lost, of_all, strict=True)]
    return Losses(dict(zip(names, each, strict=True)), _share(of_lost.sum(), of_all.sum()))


def _share(lost: float, whole: float) -> float:
    return float(np.sqrt(lost / whole)) if whole else 0.0
