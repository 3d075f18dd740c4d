"""Draw the fitness of a run by generation."""

from genome.jobs import job
from genome.jobs.reports import plot_evolution

with job(snakemake.log[0]):
    plot_evolution(
        populations=snakemake.input,
        out=[snakemake.output.svg, snakemake.output.png],
        title=f"{snakemake.wildcards.tasks}: {snakemake.wildcards.variant}, seed {snakemake.wildcards.seed}",
    )
