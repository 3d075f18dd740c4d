"""Draw an ensemble's score by the number of its members."""

from genome.jobs import job
from genome.jobs.public_scoring import plot_ensemble

with job(snakemake.log[0]):
    plot_ensemble(
        settings=snakemake.params.settings,
        base=snakemake.input.base,
        prompts=snakemake.input.prompts,
        responses=snakemake.input.responses,
        out=[snakemake.output.svg, snakemake.output.png],
        table=snakemake.output.table,
    )
