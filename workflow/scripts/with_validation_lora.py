"""Add a LoRA that was trained on validation samples to the experts."""

from genome.jobs import job
from genome.jobs.expert_sets import with_validation_lora

with job(snakemake.log[0]):
    with_validation_lora(
        manifest=snakemake.input.experts,
        lora=snakemake.input.lora,
        training=snakemake.input.training,
        out=snakemake.output[0],
    )
