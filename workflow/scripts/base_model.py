"""Fetch or train the base model."""

from genome.jobs import job
from genome.jobs.experts import base_model

with job(snakemake.log[0]):
    base_model(snakemake.params.settings, out=snakemake.output[0])
