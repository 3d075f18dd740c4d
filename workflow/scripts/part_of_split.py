"""Write a part of the validation rows of a task."""

from genome.jobs import job
from genome.jobs.data import part_of_split

with job(snakemake.log[0]):
    part_of_split(
        settings=snakemake.params.settings,
        validation=snakemake.input[0],
        part=snakemake.output[0],
    )
