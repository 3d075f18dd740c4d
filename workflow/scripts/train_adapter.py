"""Train a LoRA adapter."""

from genome.jobs import job
from genome.jobs.experts import train_adapter

with job(snakemake.log[0]):
    train_adapter(
        settings=snakemake.params.settings,
        base=snakemake.input.base,
        corpora=snakemake.input.corpora,
        out=f"resources/experts/{snakemake.wildcards.adapter}",
    )
