"""Render and tokenise the validation prompts of a task and what should follow them."""

import os

# Tokenising needs no torch, and transformers imports three times faster without it.
os.environ["USE_TORCH"] = "0"

from genome.jobs import job
from genome.jobs.data import prepare_expected

with job(snakemake.log[0]):
    prepare_expected(
        settings=snakemake.params.settings,
        rows=snakemake.input.rows,
        base=snakemake.input.base,
        prompts=snakemake.output[0],
    )
