"""Approximate the experts in a joint basis."""

from genome.jobs import job
from genome.jobs.experts import shared_basis

with job(snakemake.log[0]):
    shared_basis(
        manifest=snakemake.input[0],
        rank=int(snakemake.wildcards.rank),
        basis=snakemake.output.basis,
        losses=snakemake.output.losses,
    )
