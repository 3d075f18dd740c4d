"""From genotypes to PEFT folders: `w = sum c_k * expert_k + sum d_j * noise_j`.

A folder has all layers that any of the experts changes, padded with zeros to one rank: in the space of factors the
highest of the experts, for products the sum over the experts that a genotype uses (`genome.lora.products`), in a shared
space that of the basis (`genome.lora.shared`). Factors are written in the scaling that all experts have, if they have
the same: B is divided by it, and lora_alpha contains it.

Sums run in float32 in a fixed order (experts as given, then noise by seed) and are cast to the experts' type at the
end, so that a genotype always gives the same bytes. A population is written tensor by tensor: each distinct noise
term is drawn once per tensor for all members, and memory holds one tensor of every expert and member at a time. Large
populations are written by several processes, each with one tensor at a time (`genome.lora.processes`). If a genotype
has coefficients per group of layers, each tensor uses the coefficients of its group (`genome.lora.layers`).
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from genome.errors import GenomeError
from genome.experts.adapter_files import CONFIG, WEIGHTS
from genome.experts.expert import Expert, common_scale, stored_type
from genome.experts.tensors import TensorFile, from_float32, header_bytes, open_tensors, to_float32
from genome.files import canonical_json, write_json
from genome.genotype import FACTORS, PRODUCT, Genotype, by_group, shared, shared_rank
from genome.lora.layers import factor_names, is_a, layer_groups, padded, shape_of, target_modules, union_of
from genome.lora.processes import PROCESSES, in_processes
from genome.lora.products import stack, used
from genome.lora.shared import Basis, read_basis
from genome.lora.sums import NoiseTable, tabulate, weighted_sums

LARGE = 2**31
"""From how many weights times noise terms of members on several processes are faster: about two seconds for one."""


def materialise(
    genotypes: Sequence[Genotype],
    experts: Sequence[Expert],
    folders: Sequence[Path],
    names: Sequence[str] = (),
    basis: Path | None = None,
) -> list[str]:
    """Write each genotype as a PEFT folder and return the folders' adapter ids.

    The folders must not exist. `basis` is the file of the joint basis, which genotypes of a shared space need. An
    adapter id is the SHA-256 of the weights file as served, with rank, alpha and target modules. `names` has one name
    per genotype. If weights are not finite in the experts' type, GenomeError gives the genotype's name and the tensor.
    """
    joint = basis_of(genotypes, experts, basis)
    dtype, targets = stored_type(experts), target_modules(experts)
    sizes = {name: size for layer, size in union_of(experts).items() for name in factor_names(layer)}
    ranks = [_rank(genotype, experts, joint) for genotype in genotypes]
    alphas = [_alpha(rank, experts) for rank in ranks]
    digests = []
    with ExitStack() as opened:
        files = []
        for folder, rank, alpha in zip(folders, ranks, alphas, strict=True):
            folder.mkdir(parents=True)
            write_json(folder / CONFIG, adapter_config(experts[0].base_model, rank, alpha, targets))
            header = header_bytes(
                dict.fromkeys(sizes, dtype), {name: shape_of(name, size, rank) for name, size in sizes.items()}
            )
            files.append(opened.enter_context((folder / WEIGHTS).open("wb")))
            files[-1].write(header)
            digests.append(hashlib.sha256(header))
        for name, tensor in tensors_of(genotypes, experts, joint):
            for member, values in enumerate(tensor):
                if not _finite(values, dtype):
                    raise GenomeError(
                        f"{names[member] if names else f'genotype {member}'}: tensor {name} is not finite as "
                        f"{dtype}; its coefficients are too large, or an expert's weights are not finite"
                    )
                stored = values.tobytes()
                files[member].write(stored)
                digests[member].update(stored)
    return [
        adapter_id(digest.hexdigest(), rank, alpha, targets)
        for digest, rank, alpha in zip(digests, ranks, alphas, strict=True)
    ]


def basis_of(genotypes: Sequence[Genotype], experts: Sequence[Expert], basis: Path | None) -> Basis | None:
    """Open the joint basis that genotypes of a shared space need; None if there are no such genotypes.

    Raises GenomeError for the basis of other experts or of another rank.
    """
    spaces = {genotype.space for genotype in genotypes if shared_rank(genotype.space) is not None}
    if not spaces:
        return None
    if basis is None:
        raise ValueError(f"genotypes of the space {', '.join(sorted(spaces))} without a basis")
    joint = read_basis(basis, experts)
    if others := spaces - {shared(joint.rank)}:
        raise GenomeError(f"{basis}: a joint basis of rank {joint.rank}, not of the space {', '.join(sorted(others))}")
    return joint


def tensors_of(
    genotypes: Sequence[Genotype], experts: Sequence[Expert], joint: Basis | None = None
) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Yield the name of each tensor and its values for every genotype, in the experts' type, as written and served.

    A and B of a layer follow each other. `joint` is the basis of genotypes of a shared space.
    """
    opened = [open_tensors(expert.path) for expert in experts]
    layers, dtype, scale = union_of(experts), stored_type(experts), common_scale(experts)
    groups = layer_groups(name for layer in layers for name in factor_names(layer))
    noise = tabulate([genotype.noise for genotype in genotypes if genotype.space == FACTORS])
    only_cores = all(shared_rank(genotype.space) is not None for genotype in genotypes)
    names = {name: size for layer, size in layers.items() for name in factor_names(layer)}

    def values(name: str) -> list[np.ndarray]:
        mixtures = [_in_group(by_group(x.coefficients, len(experts)), groups[name]) for x in genotypes]
        sources = [
            padded(unscaled(each, tensors, name, scale), shape_of(name, names[name], each.rank))
            for each, tensors in zip(experts, opened, strict=True)
            if not only_cores
        ]
        with np.errstate(over="ignore", invalid="ignore"):  # the values are checked afterwards
            mixed = _mixed(name, genotypes, mixtures, sources, noise)
            if joint is not None:
                mixed |= _in_basis(name, genotypes, mixtures, joint, scale)
            return [from_float32(mixed[member], dtype) for member in range(len(genotypes))]

    weights = sum(map(sum, layers.values())) * max(expert.rank for expert in experts)
    large = np.count_nonzero(noise.coefficients) * weights > LARGE
    yield from zip(names, in_processes(values, names) if large and PROCESSES > 1 else map(values, names), strict=True)


def _mixed(
    name: str,
    genotypes: Sequence[Genotype],
    mixtures: Sequence[Sequence[float]],
    sources: Sequence[np.ndarray],
    noise: NoiseTable,
) -> dict[int, np.ndarray]:
    """Return a tensor of the genotypes in the spaces of factors and of products in float32, by their numbers.

    `mixtures` has the coefficients of each genotype in this layer. `sources` are the experts' tensors, each of the
    expert's rank, `noise` has the terms of the genotypes in the space of factors.
    """
    summed = [member for member, genotype in enumerate(genotypes) if genotype.space == FACTORS]
    values = {
        member: stack(name, mixtures[member], used(genotype.coefficients, len(sources)), sources)
        for member, genotype in enumerate(genotypes)
        if genotype.space == PRODUCT
    }
    if summed:
        widest = max(source.shape for source in sources)
        mixed = [mixtures[member] for member in summed]
        sums = weighted_sums(name, [padded(source, widest) for source in sources], mixed, noise)
        values |= zip(summed, sums, strict=True)
    return values


def _in_basis(
    name: str, genotypes: Sequence[Genotype], mixtures: Sequence[Sequence[float]], joint: Basis, scale: float
) -> dict[int, np.ndarray]:
    """Return a tensor of the genotypes of the shared space in float32, by their numbers."""
    members = [member for member, genotype in enumerate(genotypes) if shared_rank(genotype.space) is not None]
    if is_a(name):
        return dict.fromkeys(members, joint.rows(name))
    mixed = [[coefficient / scale for coefficient in mixtures[member]] for member in members]
    return dict(zip(members, joint.columns(name, mixed), strict=True))


def unscaled(expert: Expert, tensors: TensorFile, name: str, scale: float) -> np.ndarray | None:
    """Return an expert's tensor, B without a scaling of the expert; None if the expert lacks the layer."""
    if name not in tensors:
        return None
    if is_a(name) or scale == 1:
        return tensors[name]
    factor = tensors[name] / np.float32(scale)
    if math.frexp(scale)[0] == 0.5:
        return factor  # a power of two, which changes no digits
    # The adapter had this factor in the expert's type, whose values a scaling such as 8/3 has left.
    return to_float32(from_float32(factor, expert.dtype), expert.dtype)


def _in_group(mixtures: Sequence[tuple[float, ...]], group: int) -> tuple[float, ...]:
    """Return the coefficients of a group of layers; a single mixture applies to all groups."""
    return mixtures[group] if len(mixtures) > 1 else mixtures[0]


def _finite(stored: np.ndarray, dtype: str) -> bool:
    """Return whether all stored values are finite: the exponent bits of such a value are not all ones."""
    if dtype == "BF16":
        return bool(((stored & 0x7F80) != 0x7F80).all())
    return bool(np.isfinite(stored).all())


def _rank(genotype: Genotype, experts: Sequence[Expert], joint: Basis | None) -> int:
    """Return the rank of the adapter of a genotype."""
    if genotype.space == FACTORS:
        return max(expert.rank for expert in experts)
    if genotype.space == PRODUCT:
        return sum(experts[k].rank for k in used(genotype.coefficients, len(experts)))
    assert joint is not None, "checked by basis_of"
    return joint.width


def _alpha(rank: int, experts: Sequence[Expert]) -> float:
    """Return lora_alpha: in the scaling that all experts have, or 1 times the rank."""
    first = experts[0]
    return first.alpha * rank / first.rank if common_scale(experts) == first.scale else float(rank)


def adapter_config(base_model: str | None, rank: int, alpha: float, targets: Sequence[str]) -> dict[str, Any]:
    """Return the adapter_config.json of a plain LoRA adapter."""
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_model,
        "r": rank,
        "lora_alpha": int(alpha) if alpha.is_integer() else alpha,
        "target_modules": list(targets),
        "bias": "none",
    }


def adapter_id(digest: str, rank: int, alpha: float, targets: Sequence[str]) -> str:
    """Return the id of an adapter: the SHA-256 of its weights' `digest`, rank, alpha and target modules."""
    return hashlib.sha256(canonical_json([digest, rank, alpha, list(targets)]).encode()).hexdigest()
