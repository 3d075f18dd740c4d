"""Import a fine-tune as an expert."""

from genome.jobs import job
from genome.jobs.experts import import_adapter

with job(snakemake.log[0]):
    import_adapter(snakemake.params.settings, base=snakemake.input.base, out=snakemake.output[0])
