"""Writes adapters from the files that define them: populations, the genotype.json of an export, and experts."""

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from genome import fields
from genome.errors import GenomeError
from genome.experts.expert import ENDING, Expert, read_expert
from genome.files import read_json, replacing_directory
from genome.genotype import Genotype, expert, shared_rank
from genome.lora.compress import check_rank, compress
from genome.lora.materialise import materialise
from genome.lora.shared import read_basis
from genome.scoring.manifest import read_manifest
from genome.search.records import check_numpy, experts_of, read_individuals


def rebuild(
    source: Path, member: str, experts_folder: Path, out: Path, rank: int | None = None, basis: Path | None = None
) -> float:
    """Write the PEFT folder of individual `member` (or `best`, the best ever) of a population file.

    The source may also be the file of an expert, which has no members. With `rank`, a wider adapter is compressed to
    that rank. Returns the loss: the relative Frobenius norm of the difference (`genome.lora.compress`), 0 if nothing
    was compressed. `basis` is the joint basis of a shared space; without it, the basis of the project that the
    population is in.

    GenomeError if the experts are not those of the run, if the individual does not exist, if `out` exists, or if noise
    would be drawn by another version of numpy, whose streams may differ.
    """
    if rank is not None:
        check_rank(rank)
    if source.suffix == ENDING:
        experts, genotype = [read_expert(source)], expert(0, 1)
        member = experts[0].name
    else:
        experts, genotype = _individual(source, member, experts_folder)
        basis = basis or basis_of(source, genotype.space, experts)
    if out.exists():
        raise GenomeError(f"{out}: exists already; choose another folder or remove it")
    if rank is None:
        with replacing_directory(out) as folder:
            folder.rmdir()
            materialise([genotype], experts, [folder], [member], basis)
        return 0.0
    with tempfile.TemporaryDirectory() as temporary:
        materialise([genotype], experts, [Path(temporary) / "whole"], [member], basis)
        return compress(Path(temporary) / "whole", rank, out)


def _individual(source: Path, member: str, folder: Path) -> tuple[list[Expert], Genotype]:
    """Return the experts of a population file and the genotype of one of its individuals."""
    recorded = read_json(source)
    if not isinstance(recorded, dict) or not {"experts", "versions"} <= recorded.keys():
        raise GenomeError(f"{source}: has no experts or versions; expected a file of the workflow")
    with fields.reading(source):
        entries = experts_of(recorded)
    experts = _made_experts(source, entries) or [read_expert(folder / f"{name}{ENDING}") for name, _ in entries]
    for each, (_, sha256) in zip(experts, entries, strict=True):
        if each.sha256 != sha256:
            raise GenomeError(f"{each.path}: not the expert of this run (another SHA-256); restore that version")
    individuals = read_individuals(source)
    if member not in individuals:
        raise GenomeError(f"{source}: no individual {member!r}; it has {', '.join(individuals)}")
    genotype = individuals[member].genotype
    if genotype.noise:
        check_numpy(source, recorded["versions"])
    return experts, genotype


def _made_experts(source: Path, entries: Sequence[tuple[str, str]]) -> list[Expert]:
    """Return the experts of a file of results if they are a set that its project has made; none otherwise.

    Such a set, of random experts or with a Validation LoRA, has its files in several folders, which its manifest lists.
    """
    results = results_of(source)
    for path in sorted((results / "experts").glob("*/**/*.json")):
        files = read_manifest(path).files
        if [digest for _, digest in files] == [digest for _, digest in entries]:
            return [read_expert(results.parent / file) for file, _ in files]
    return []


def results_of(source: Path) -> Path:
    """Return the folder of results that a file is in."""
    return next((folder for folder in source.resolve().parents if folder.name == "results"), source.parent)


def basis_of(source: Path, space: str, experts: Sequence[Expert]) -> Path | None:
    """Return the joint basis of a shared space in the project that a file of results is in; None for other spaces.

    GenomeError names the option `--basis` unless the project has a basis of these experts.
    """
    if shared_rank(space) is None:
        return None
    results = results_of(source)
    for path in sorted((results / "experts").glob(f"**/*_{space}{ENDING}")):
        with suppress(GenomeError):
            read_basis(path, experts)
            return path
    raise GenomeError(
        f"{source}: merged in a joint basis of rank {shared_rank(space)}, and {results / 'experts'} has none of these "
        "experts; name its file with --basis"
    )
