"""Compare Data Merge with a LoRA trained on each micro task itself."""

from genome.jobs import job
from genome.jobs.tables import reachable

with job(snakemake.log[0]):
    reachable(snakemake.input, table=snakemake.output[0])
