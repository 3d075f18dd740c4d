"""Fetch an adapter."""

from genome.jobs import job
from genome.jobs.experts import fetch_adapter

with job(snakemake.log[0]):
    fetch_adapter(snakemake.params.settings, out=f"resources/experts/{snakemake.wildcards.adapter}")
