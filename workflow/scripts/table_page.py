"""Show a table as a web page."""

from genome.jobs import job
from genome.jobs.tables import table_page

with job(snakemake.log[0]):
    table_page(snakemake.wildcards.table, snakemake.input[0], snakemake.output[0])
