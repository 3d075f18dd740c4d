"""Merge the experts by TIES."""

from genome.jobs import job
from genome.jobs.baselines import ties

with job(snakemake.log[0]):
    ties(settings=snakemake.params.settings, manifest=snakemake.input.experts, out=snakemake.output[0])
