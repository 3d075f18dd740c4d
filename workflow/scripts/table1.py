"""Write Table 1: what the splits hold."""

from genome.jobs import job
from genome.jobs.tables import table1

with job(snakemake.log[0]):
    table1(
        settings=snakemake.params.settings,
        provenance=snakemake.input,
        table=snakemake.output.table,
        markdown=snakemake.output.markdown,
    )
