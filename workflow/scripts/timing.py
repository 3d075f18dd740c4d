"""Show what runs took, and scored, by machine."""

from genome.jobs import job
from genome.jobs.study import timing

with job(snakemake.log[0]):
    timing(
        settings=snakemake.params.settings,
        score_files=snakemake.input.scores,
        record_files=snakemake.input.records,
        beside=snakemake.input.beside,
        table=snakemake.output.table,
        markdown=snakemake.output.markdown,
    )
