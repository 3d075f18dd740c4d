"""Fine-tune the base model, and import the result as an expert."""

from genome.jobs import job
from genome.jobs.experts import train_adapter

with job(snakemake.log[0]):
    train_adapter(
        settings=snakemake.params.settings,
        base=snakemake.input.base,
        corpora=snakemake.input.corpora,
        folder=snakemake.output.folder,
        out=snakemake.output.expert,
        record=snakemake.output.record,
    )
