"""Rebuilds any adapter from the population file that names it, or from the genotype.json of an export."""

import tempfile
from pathlib import Path

from genome import fields
from genome.errors import GenomeError
from genome.experts.peft import load_experts
from genome.files import read_json, replacing_directory
from genome.lora.materialise import materialise
from genome.lora.products import compress
from genome.search.records import check_numpy, experts_of, read_individuals


def rebuild(population_file: Path, member: str, experts_folder: Path, out: Path, rank: int | None = None) -> float:
    """Write the PEFT folder of individual `member` (or `best`, the best ever) of a population file.

    With `rank`, a wider adapter, such as a mixture of products, is compressed to that rank. Returns the loss: the
    relative Frobenius norm of the difference (`genome.lora.products.compress`), 0 if nothing was compressed.

    GenomeError if the experts are not those of the run, if the individual does not exist, if `out` exists, or if noise
    would be drawn by another version of numpy, whose streams may differ.
    """
    recorded = read_json(population_file)
    if not isinstance(recorded, dict) or not {"experts", "versions"} <= recorded.keys():
        raise GenomeError(f"{population_file}: has no experts or versions; expected a file of the workflow")
    if out.exists():
        raise GenomeError(f"{out}: exists already; choose another folder or remove it")
    with fields.reading(population_file):
        entries = experts_of(recorded)
    experts = load_experts(experts_folder / name for name, _ in entries)
    for expert, (_, sha256) in zip(experts, entries, strict=True):
        if expert.sha256 != sha256:
            raise GenomeError(f"{expert.path}: not the expert of this run (another SHA-256); restore that version")
    individuals = read_individuals(population_file)
    if member not in individuals:
        raise GenomeError(f"{population_file}: no individual {member!r}; it has {', '.join(individuals)}")
    genotype = individuals[member].genotype
    if genotype.noise:
        check_numpy(population_file, recorded["versions"])
    if rank is None:
        with replacing_directory(out) as folder:
            folder.rmdir()
            materialise([genotype], experts, [folder], [member])
        return 0.0
    with tempfile.TemporaryDirectory() as temporary:
        materialise([genotype], experts, [Path(temporary) / "whole"], [member])
        return compress(Path(temporary) / "whole", rank, out)
