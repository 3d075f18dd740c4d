"""Decide among the finalists of a run by the metric on all validation samples."""

from genome.jobs import job
from genome.jobs.finalists import finalists
from genome.jobs.site import Outputs, Site

with job(snakemake.log[0]):
    finalists(
        Site(snakemake.input.base, snakemake.input.experts, snakemake.config["engine"], snakemake.input.basis),
        settings=snakemake.params.settings,
        prompts=snakemake.input.prompts,
        population=snakemake.input.population,
        scored_experts=snakemake.input.scored_experts,
        calibration=snakemake.output.calibration,
        tried=snakemake.input.tried,
        out=Outputs(snakemake.output.population, snakemake.output.evaluations, snakemake.output.record),
    )
