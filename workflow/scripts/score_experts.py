"""Score the experts on the validation samples."""

from genome.jobs import job
from genome.jobs.evolution import Site, evaluate_experts

with job(snakemake.log[0]):
    evaluate_experts(
        Site(snakemake.input.base, snakemake.input.experts, snakemake.config["engine"]),
        settings=snakemake.params.settings,
        prompts=snakemake.input.prompts,
        unparsed=snakemake.config["unparsed"],
        population=snakemake.output.population,
        evaluations=snakemake.output.evaluations,
        record=snakemake.output.record,
    )
