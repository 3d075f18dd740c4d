"""Correlate hyper-parameters with score and time."""

from genome.jobs import job
from genome.jobs.study import correlate

with job(snakemake.log[0]):
    correlate(
        settings=snakemake.params.settings,
        study=snakemake.input[0],
        table=snakemake.output.table,
        markdown=snakemake.output.markdown,
    )
