"""Collect the runs of the hyper-parameter study."""

from genome.jobs import job
from genome.jobs.study import study

with job(snakemake.log[0]):
    study(
        settings=snakemake.params.settings,
        score_files=snakemake.input.scores,
        record_files=snakemake.input.records,
        table=snakemake.output[0],
    )
