"""Advance a run by one generation."""

from genome.jobs import job
from genome.jobs.evolution import generation
from genome.jobs.site import Outputs, Site

with job(snakemake.log[0]):
    last = int(snakemake.wildcards.generation) == snakemake.config["generations"]
    generation(
        Site(snakemake.input.base, snakemake.input.experts, snakemake.config["engine"], snakemake.input.basis),
        settings=snakemake.params.settings,
        prompts=snakemake.input.prompts,
        previous=snakemake.input.previous,
        records=snakemake.input.records,
        seed=int(snakemake.wildcards.seed),
        keep_adapters=snakemake.config["adapters"] == "all" or (snakemake.config["adapters"] == "final" and last),
        adapters=snakemake.output.adapters,
        out=Outputs(snakemake.output.population, snakemake.output.evaluations, snakemake.output.record),
    )
