"""Compare the engine with transformers, and two adapters with each other."""

from genome.jobs import job
from genome.jobs.engine_check import engine_check
from genome.jobs.site import Site

with job(snakemake.log[0]):
    engine_check(
        Site(snakemake.input.base, snakemake.input.experts, snakemake.config["engine"]),
        prompts=snakemake.input.prompts,
        report=snakemake.output[0],
    )
