"""Check that the experts are whole and can be merged."""

from genome.jobs import job
from genome.jobs.experts import check_experts

with job(snakemake.log[0]):
    check_experts(
        settings=snakemake.params.settings,
        base=snakemake.input.base,
        files=snakemake.input.experts,
        manifest=snakemake.output[0],
    )
