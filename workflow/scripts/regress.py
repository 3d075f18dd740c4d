"""Regress score and time on hyper-parameters."""

from genome.jobs import job
from genome.jobs.study import regress

with job(snakemake.log[0]):
    regress(
        settings=snakemake.params.settings,
        study=snakemake.input[0],
        table=snakemake.output.table,
        markdown=snakemake.output.markdown,
    )
