"""Fetch or train the base model."""

from genome.jobs import job
from genome.jobs.data import make_base

with job(snakemake.log[0]):
    make_base(snakemake.params.settings, out=snakemake.output[0])
