"""Check that the experts are whole and can be merged."""

from genome.jobs import job
from genome.jobs.experts import check_experts

with job(snakemake.log[0]):
    folders = [provenance.removesuffix("/provenance.json") for provenance in snakemake.input.provenance]
    check_experts(folders, manifest=snakemake.output[0])
