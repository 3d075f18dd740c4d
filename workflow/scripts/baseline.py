"""Run a method of one stage."""

from genome.jobs import job
from genome.jobs.evolution import Site, run_baseline

with job(snakemake.log[0]):
    run_baseline(
        Site(snakemake.input.base, snakemake.input.experts, snakemake.config["engine"]),
        settings=snakemake.params.settings,
        prompts=snakemake.input.prompts,
        scored_experts=snakemake.input.scored_experts,
        seed=int(snakemake.wildcards.get("seed", 0)),
        population=snakemake.output.population,
        evaluations=snakemake.output.evaluations,
        record=snakemake.output.record,
    )
