"""Write a training corpus of the micro world."""

from genome.jobs import job
from genome.jobs.data import write_corpus

with job(snakemake.log[0]):
    write_corpus(snakemake.wildcards.corpus, out=snakemake.output[0])
