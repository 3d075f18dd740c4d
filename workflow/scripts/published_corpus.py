"""Write a training corpus from published conversations."""

from genome.jobs import job
from genome.jobs.experts import published_corpus

with job(snakemake.log[0]):
    published_corpus(
        settings=snakemake.params.settings,
        data_dir=snakemake.config["data_dir"],
        out=snakemake.output[0],
    )
