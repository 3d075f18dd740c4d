"""Run a method of one stage."""

from genome.jobs import job
from genome.jobs.baselines import baseline
from genome.jobs.site import Outputs, Site

with job(snakemake.log[0]):
    baseline(
        Site(snakemake.input.base, snakemake.input.experts, snakemake.config["engine"], snakemake.input.basis),
        settings=snakemake.params.settings,
        prompts=snakemake.input.prompts,
        scored_experts=snakemake.input.scored_experts,
        seed=int(snakemake.wildcards.get("seed", 0)),
        out=Outputs(snakemake.output.population, snakemake.output.evaluations, snakemake.output.record),
    )
