"""Score a run's responses to a test split."""

from genome.jobs import job
from genome.jobs.evaluation import score_test

with job(snakemake.log[0]):
    score_test(
        settings=snakemake.params.settings,
        base=snakemake.input.base,
        prompts=snakemake.input.prompts,
        responses=snakemake.input.responses,
        origin=snakemake.input.origin,
        scores=snakemake.output.scores,
        answers=snakemake.output.answers,
    )
