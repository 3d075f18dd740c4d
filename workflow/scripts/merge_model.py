"""Merge an exported adapter into the base model."""

from genome.jobs import job
from genome.jobs.export import merge_model

with job(snakemake.log[0]):
    merge_model(base=snakemake.input.base, config=snakemake.input.config, out=snakemake.output[0])
