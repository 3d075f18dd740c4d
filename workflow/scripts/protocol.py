"""Write what the public code's ways of scoring add."""

from genome.jobs import job
from genome.jobs.public_scoring import protocol

with job(snakemake.log[0]):
    protocol(
        settings=snakemake.params.settings,
        base=snakemake.input.base,
        prompts=snakemake.input.prompts,
        responses=snakemake.input.responses,
        populations=snakemake.input.populations,
        table=snakemake.output.table,
        markdown=snakemake.output.markdown,
    )
