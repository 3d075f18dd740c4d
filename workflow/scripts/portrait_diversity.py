"""Draw how diverse a run's populations are, and how far from the base."""

from genome.jobs import job
from genome.jobs.figures import portrait_diversity

with job(snakemake.log[0]):
    portrait_diversity(
        settings=snakemake.params.settings,
        manifest=snakemake.input.experts,
        populations=snakemake.input.populations,
        evaluations=snakemake.input.evaluations,
        pictures=[snakemake.output.svg, snakemake.output.png],
        table=snakemake.output.table,
    )
