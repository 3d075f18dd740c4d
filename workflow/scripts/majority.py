"""Find the most frequent validation answer of a run's tasks."""

from genome.jobs import job
from genome.jobs.constant import majority

with job(snakemake.log[0]):
    majority(
        settings=snakemake.params.settings,
        prompts=snakemake.input.prompts,
        answer=snakemake.output.answer,
        record=snakemake.output.record,
    )
