"""Draw what each expert is good at."""

from genome.jobs import job
from genome.jobs.figures import figure3

with job(snakemake.log[0]):
    figure3(
        settings=snakemake.params.settings,
        scored_experts=snakemake.input,
        pictures=[snakemake.output.svg, snakemake.output.png],
        table=snakemake.output.table,
    )
