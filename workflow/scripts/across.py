"""Write the vote of runs with different bases."""

from genome.jobs import job
from genome.jobs.cross_base import across

with job(snakemake.log[0]):
    across(
        settings=snakemake.params.settings,
        base=snakemake.input.base,
        prompts=snakemake.input.prompts,
        splits=snakemake.input.splits,
        responses=snakemake.input.responses,
        populations=snakemake.input.populations,
        table=snakemake.output.table,
        markdown=snakemake.output.markdown,
    )
