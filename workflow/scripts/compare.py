"""Compare methods in one of the tables."""

from genome.jobs import job
from genome.jobs.tables import compare

with job(snakemake.log[0]):
    compare(
        settings=snakemake.params.settings,
        score_files=snakemake.input.scores,
        table=snakemake.output.table,
        markdown=snakemake.output.markdown,
        scores=snakemake.output.scores,
        uncertainty=snakemake.output.uncertainty,
    )
