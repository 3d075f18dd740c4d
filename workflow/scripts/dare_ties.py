"""Merge the experts by DARE-TIES."""

from genome.jobs import job
from genome.jobs.baselines import dare_ties

with job(snakemake.log[0]):
    dare_ties(
        settings=snakemake.params.settings,
        manifest=snakemake.input.experts,
        seed=int(snakemake.wildcards.seed),
        out=snakemake.output[0],
    )
