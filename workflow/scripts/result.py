"""Write a table or a figure: named by the rule, or by the wildcard of the rule of all plain tables."""

from genome.jobs import job
from genome.jobs.results import write_result

with job(snakemake.log[0]):
    name = snakemake.wildcards.table if snakemake.rule == "table" else snakemake.rule
    write_result(name, snakemake.params.get("settings"), snakemake.input, snakemake.output)
