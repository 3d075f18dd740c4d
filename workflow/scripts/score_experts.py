"""Score the experts on the validation samples."""

from genome.jobs import job
from genome.jobs.evolution import score_experts
from genome.jobs.site import Outputs, Site

with job(snakemake.log[0]):
    score_experts(
        Site(snakemake.input.base, snakemake.input.experts, snakemake.config["engine"]),
        settings=snakemake.params.settings,
        prompts=snakemake.input.prompts,
        unparsed=snakemake.params.get("unparsed", snakemake.config["unparsed"]),
        out=Outputs(snakemake.output.population, snakemake.output.evaluations, snakemake.output.record),
    )
