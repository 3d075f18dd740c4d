"""Found and score generation 0."""

from genome.jobs import job
from genome.jobs.evolution import Site, found

with job(snakemake.log[0]):
    found(
        Site(snakemake.input.base, snakemake.input.experts, snakemake.config["engine"]),
        settings=snakemake.params.settings,
        prompts=snakemake.input.prompts,
        scored_experts=snakemake.input.scored_experts,
        size=int(snakemake.wildcards.n),
        seed=int(snakemake.wildcards.seed),
        population=snakemake.output.population,
        evaluations=snakemake.output.evaluations,
        record=snakemake.output.record,
    )
