"""Make and score generation 0."""

from genome.jobs import job
from genome.jobs.evolution import initial_population
from genome.jobs.site import Outputs, Site

with job(snakemake.log[0]):
    initial_population(
        Site(snakemake.input.base, snakemake.input.experts, snakemake.config["engine"], snakemake.input.basis),
        settings=snakemake.params.settings,
        prompts=snakemake.input.prompts,
        scored_experts=snakemake.input.scored_experts,
        size=int(snakemake.wildcards.n),
        seed=int(snakemake.wildcards.seed),
        out=Outputs(snakemake.output.population, snakemake.output.evaluations, snakemake.output.record),
    )
