"""Any adapter of any generation, from the population file that names it, or of an export from its genotype.json."""

import tempfile
from pathlib import Path

import numpy as np

from genome.adapters import materialise
from genome.errors import GenomeError
from genome.experts import load_experts
from genome.files import read_json, replacing_directory
from genome.population import read_individuals
from genome.products import compress


def rebuild(population_file: Path, member: str, experts_folder: Path, out: Path, rank: int | None = None) -> float:
    """Write the PEFT folder of individual `member` (or `best`, the best ever) of a population file.

    With `rank`, a wider adapter, as mixtures of products are, is compressed to it. Returns what that has lost: the
    relative Frobenius norm of the difference (`genome.products.compress`), 0 where nothing was compressed.

    Raises GenomeError when the experts are not those of the run, when there is no such individual, when `out` exists,
    or when noise would be drawn by another numpy than the run's: its streams may differ between versions.
    """
    individuals, recorded = read_individuals(population_file), read_json(population_file)
    if not {"experts", "versions"} <= recorded.keys():
        raise GenomeError(f"{population_file}: does not say what it was made from; expected a file of the workflow")
    if out.exists():
        raise GenomeError(f"{out}: exists already; choose another folder or remove it")
    if member not in individuals:
        raise GenomeError(f"{population_file}: no individual {member!r}; it has {', '.join(individuals)}")
    genotype = individuals[member].genotype
    experts = load_experts(experts_folder / entry["name"] for entry in recorded["experts"])
    for expert, entry in zip(experts, recorded["experts"], strict=True):
        if expert.sha256 != entry["sha256"]:
            raise GenomeError(f"{expert.path}: not the expert of this run (another SHA-256); restore that version")
    if genotype.noise:
        check_numpy(population_file)
    if rank is None:
        with replacing_directory(out) as folder:
            folder.rmdir()
            materialise([genotype], experts, [folder])
        return 0.0
    with tempfile.TemporaryDirectory() as temporary:
        materialise([genotype], experts, [Path(temporary) / "whole"])
        return compress(Path(temporary) / "whole", rank, out)


def check_numpy(population_file: Path | str) -> None:
    """Raise GenomeError when this numpy is not the one that drew a population's noise: its streams may differ."""
    version = read_json(population_file)["versions"]["numpy"]
    if version != np.__version__:
        raise GenomeError(
            f"{population_file}: noise was drawn by numpy {version}, this is {np.__version__}; install that version"
        )
