"""Compare what methods spend to get how far."""

from genome.jobs import job
from genome.jobs.tables import efficiency

with job(snakemake.log[0]):
    efficiency(settings=snakemake.params.settings, out=dict(snakemake.output.items()))
