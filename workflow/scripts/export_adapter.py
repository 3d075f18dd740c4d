"""Write a run's best individual as a PEFT folder with a model card."""

from genome.jobs import job
from genome.jobs.export import export_adapter

with job(snakemake.log[0]):
    export_adapter(
        settings=snakemake.params.settings,
        manifest=snakemake.input.experts,
        basis=snakemake.input.basis,
        population=snakemake.input.population,
        scored_experts=snakemake.input.scored_experts,
        splits=snakemake.input.splits,
        scores=snakemake.input.scores,
        answers=snakemake.input.answers,
        responses=snakemake.input.responses,
        out=f"results/export/{snakemake.wildcards.run}",
    )
