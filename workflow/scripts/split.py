"""Draw a task's validation and test rows."""

from genome.jobs import job
from genome.jobs.data import split

with job(snakemake.log[0]):
    split(
        settings=snakemake.params.settings,
        data_dir=snakemake.config["data_dir"],
        validation=snakemake.output.validation,
        test=snakemake.output.test,
        provenance=snakemake.output.provenance,
    )
