"""Keep the responses of a run's chosen models to a test split."""

from genome.jobs import job
from genome.jobs.evaluation import answer_test
from genome.jobs.site import Site

with job(snakemake.log[0]):
    answer_test(
        Site(snakemake.input.base, snakemake.input.experts, snakemake.config["engine"], snakemake.input.basis),
        settings=snakemake.params.settings,
        model=snakemake.input.model,
        validation=snakemake.input.validation,
        calibration=snakemake.input.calibration,
        prompts=snakemake.input.prompts,
        responses=snakemake.output.responses,
        origin=snakemake.output.origin,
        record=snakemake.output.record,
    )
