"""From genotypes to PEFT folders: `w = sum c_k * expert_k + sum d_j * noise_j`.

Sums run in float32 in a fixed order (experts as given, then noise by seed) and are cast to the experts' type at the
end, so that a genotype always gives the same bytes. A population is written tensor by tensor: each distinct noise
term is drawn once per tensor for all members, and memory holds one tensor of every expert and member at a time.
Genotypes of the product space become wider adapters (`genome.lora.products`). If a genotype has coefficients per group
of layers, each tensor uses the coefficients of its group (`genome.lora.layers`).
"""

import hashlib
import math
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from genome.errors import GenomeError
from genome.experts.peft import CONFIG, WEIGHTS, Expert, stored_types
from genome.experts.tensors import from_float32, header_bytes, open_tensors
from genome.files import canonical_json
from genome.genotype import PRODUCT, Genotype, by_group
from genome.lora.layers import layer_groups
from genome.lora.products import stack, stacked_shape, used, write_config


def unit_noise(seed: int, density: float, tensor: str, size: int) -> np.ndarray:
    """Return float32 noise of `size` weights: standard normal on a random share `density`, zero elsewhere (Eq. 4).

    A counter-based generator keyed by (seed, tensor name) makes the noise independent of the order of tensors, of
    threads and of the machine. Random numbers are drawn for the chosen positions only: the gaps between them are
    geometric, drawn as floored exponentials.
    """
    key = hashlib.sha256(f"{seed}/{tensor}".encode()).digest()[:16]
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
    if density == 1.0:
        return generator.standard_normal(size, dtype=np.float32)
    expected = size * density
    count = int(expected + 6 * math.sqrt(expected) + 16)
    rate = -math.log1p(-density)
    blocks: list[np.ndarray] = []
    last = -1
    while last < size:
        gaps = (generator.standard_exponential(count) / rate).astype(np.int64) + 1
        blocks.append(last + np.cumsum(gaps))
        last = int(blocks[-1][-1])
    positions = np.concatenate(blocks)
    positions = positions[: np.searchsorted(positions, size)]
    noise = np.zeros(size, np.float32)
    noise[positions] = generator.standard_normal(len(positions), dtype=np.float32)
    return noise


def materialise(
    genotypes: Sequence[Genotype], experts: Sequence[Expert], folders: Sequence[Path], names: Sequence[str] = ()
) -> list[str]:
    """Write each genotype as a PEFT folder and return the folders' adapter ids.

    The folders must not exist. Experts must agree in tensor names and shapes (`genome.experts.peft.check_experts`).
    If their types differ, a tensor is written in the widest type. An adapter id is the SHA-256 of the weights file as
    served, with rank, alpha and target modules. `names` has one name per genotype. If weights are not finite in the
    type, GenomeError gives the genotype's name and the tensor.
    """
    first = experts[0]
    dtypes = stored_types(experts)
    counts = [len(used(x.coefficients, len(experts))) if x.space == PRODUCT else 1 for x in genotypes]
    digests = []
    with ExitStack() as opened:
        files = []
        for folder, count in zip(folders, counts, strict=True):
            folder.mkdir(parents=True)
            if count == 1:
                shutil.copyfile(first.path / CONFIG, folder / CONFIG)
            else:
                write_config(first.path, folder, first.rank * count)
            shapes = {name: stacked_shape(name, info.shape, count) for name, info in first.tensors.items()}
            header = header_bytes(dtypes, shapes)
            files.append(opened.enter_context((folder / WEIGHTS).open("wb")))
            files[-1].write(header)
            digests.append(hashlib.sha256(header))
        for name, tensor in zip(dtypes, tensors_of(genotypes, experts, dtypes), strict=True):
            for member, values in enumerate(tensor):
                if not _finite(values, dtypes[name]):
                    raise GenomeError(
                        f"{names[member] if names else f'genotype {member}'}: tensor {name} is not finite as "
                        f"{dtypes[name]}; its coefficients are too large, or an expert's weights are not finite"
                    )
                stored = values.tobytes()
                files[member].write(stored)
                digests[member].update(stored)
    forms = [replace(first, rank=first.rank * count, alpha=first.alpha * count) for count in counts]
    return [adapter_id(digest.hexdigest(), form) for digest, form in zip(digests, forms, strict=True)]


def _finite(stored: np.ndarray, dtype: str) -> bool:
    """Return whether all stored values are finite: the exponent bits of such a value are not all ones."""
    if dtype == "BF16":
        return bool(((stored & 0x7F80) != 0x7F80).all())
    return bool(np.isfinite(stored).all())


def tensors_of(
    genotypes: Sequence[Genotype], experts: Sequence[Expert], names: Iterable[str]
) -> Iterator[list[np.ndarray]]:
    """Yield each named tensor of every genotype, stored in the experts' type, as it is written and served."""
    weights = [open_tensors(expert.path / WEIGHTS) for expert in experts]
    groups, dtypes = layer_groups(experts[0].tensors), stored_types(experts)
    terms = sorted({(term.seed, term.density) for genotype in genotypes for term in genotype.noise})
    for name in names:
        with np.errstate(over="ignore", invalid="ignore"):  # the values are checked afterwards
            values = _tensor(name, groups[name], genotypes, [tensors[name] for tensors in weights], terms)
            stored = [from_float32(each, dtypes[name]) for each in values]
        yield stored


def _tensor(
    name: str,
    group: int,
    genotypes: Sequence[Genotype],
    sources: Sequence[np.ndarray],
    terms: Sequence[tuple[int, float]],
) -> list[np.ndarray]:
    """Return tensor `name` of every genotype, computed from the experts' tensors and the noise in `terms`.

    `group` is the number of the tensor's group of layers.
    """
    shape, size, n = sources[0].shape, sources[0].size, len(sources)
    product = np.empty(size, np.float32)
    totals = [None if genotype.space == PRODUCT else np.zeros(size, np.float32) for genotype in genotypes]
    mixtures = [_in_group(by_group(genotype.coefficients, n), group) for genotype in genotypes]
    for mixture, total in zip(mixtures, totals, strict=True):
        if total is None:
            continue
        for coefficient, source in zip(mixture, sources, strict=True):
            if coefficient:
                np.multiply(source.reshape(-1), np.float32(coefficient), out=product)
                total += product
    held = [{(term.seed, term.density): term.coefficient for term in genotype.noise} for genotype in genotypes]
    for term in terms:
        noise = unit_noise(*term, name, size)
        for coefficients, total in zip(held, totals, strict=True):
            if total is not None and term in coefficients:  # products hold no noise
                np.multiply(noise, np.float32(coefficients[term]), out=product)
                total += product
    return [
        stack(name, mixture, used(genotype.coefficients, n), sources) if total is None else total.reshape(shape)
        for genotype, mixture, total in zip(genotypes, mixtures, totals, strict=True)
    ]


def _in_group(mixtures: Sequence[tuple[float, ...]], group: int) -> tuple[float, ...]:
    """Return the coefficients of a group of layers; a single mixture applies to all groups."""
    return mixtures[group] if len(mixtures) > 1 else mixtures[0]


def adapter_id(digest: str, expert: Expert) -> str:
    """Return the id of an adapter: the SHA-256 of its weights' `digest`, rank, alpha and target modules."""
    settings = canonical_json([digest, expert.rank, expert.alpha, list(expert.target_modules)])
    return hashlib.sha256(settings.encode()).hexdigest()
