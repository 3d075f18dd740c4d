"""Write Table 2 and the scores behind it."""

from genome.jobs import job
from genome.jobs.reports import table2

with job(snakemake.log[0]):
    table2(
        settings=snakemake.params.settings,
        score_files=snakemake.input,
        scores=snakemake.output.scores,
        table=snakemake.output.table,
        markdown=snakemake.output.markdown,
    )
