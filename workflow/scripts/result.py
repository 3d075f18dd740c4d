"""Write a table or a figure: the rule's name decides which."""

from genome.jobs import job
from genome.jobs.results import write_result

with job(snakemake.log[0]):
    write_result(snakemake.rule, snakemake.params.get("settings"), snakemake.input, snakemake.output)
