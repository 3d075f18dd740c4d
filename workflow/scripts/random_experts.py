"""Make random LoRAs in place of the experts."""

from genome.jobs import job
from genome.jobs.expert_sets import random_experts

with job(snakemake.log[0]):
    random_experts(
        manifest=snakemake.input[0],
        seed=int(snakemake.wildcards.seed),
        folder=snakemake.output.folder,
        out=snakemake.output.manifest,
    )
