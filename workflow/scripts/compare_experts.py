"""Write the cosine similarities of the experts."""

from genome.jobs import job
from genome.jobs.experts import compare_experts

with job(snakemake.log[0]):
    compare_experts(manifest=snakemake.input[0], table=snakemake.output[0])
