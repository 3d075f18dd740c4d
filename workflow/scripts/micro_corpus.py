"""Write a training corpus of the micro world."""

from genome.jobs import job
from genome.jobs.experts import micro_corpus

with job(snakemake.log[0]):
    micro_corpus(snakemake.wildcards.corpus, out=snakemake.output[0])
