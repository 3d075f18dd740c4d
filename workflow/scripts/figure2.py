"""Draw test scores against population size."""

from genome.jobs import job
from genome.jobs.figures import figure2

with job(snakemake.log[0]):
    figure2(
        settings=snakemake.params.settings,
        score_files=snakemake.input.scores,
        pictures=[snakemake.output.svg, snakemake.output.png],
        table=snakemake.output.table,
    )
