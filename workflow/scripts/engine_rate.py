"""Measure how fast the engine answers for the base model."""

from genome.jobs import job
from genome.jobs.engine_rate import engine_rate

with job(snakemake.log[0]):
    engine_rate(
        snakemake.input.base,
        snakemake.config["engine"],
        settings=snakemake.params.settings,
        prompts=snakemake.input.prompts,
        out=snakemake.output[0],
    )
