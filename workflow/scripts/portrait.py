"""Draw a figure of one run."""

from genome.jobs import job
from genome.jobs.figures import portrait

with job(snakemake.log[0]):
    portrait(
        kind=snakemake.wildcards.kind,
        settings=snakemake.params.settings,
        populations=snakemake.input,
        pictures=[snakemake.output.svg, snakemake.output.png],
        table=snakemake.output.table,
    )
