"""Train a LoRA on the validation samples of a run."""

from genome.jobs import job
from genome.jobs.validation_lora import Files, validation_lora

with job(snakemake.log[0]):
    validation_lora(
        settings=snakemake.params.settings,
        base=snakemake.input.base,
        prompts=snakemake.input.prompts,
        seed=int(snakemake.wildcards.seed),
        files=Files(**snakemake.output),
    )
