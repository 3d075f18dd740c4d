# Requires: finished runs and the scores of their tasks' tests.
# Provides: results/export/RUN/ (a PEFT folder with a model card), results/merged/RUN/ (the base model with it merged),
#   where RUN is a run's folder in results/runs. No other rule needs them.


rule export_adapter:
    input:
        experts=inputs.manifest,
        basis=inputs.run_basis,
        population=inputs.exported_population,
        scored_experts=inputs.scored_experts,
        splits=inputs.exported_splits,
        scores=inputs.exported_tests("scores.json"),
        answers=inputs.exported_tests("answers.jsonl"),
        responses=inputs.exported_tests("responses.jsonl"),
    output:
        config="results/export/{run}/adapter_config.json",
        weights="results/export/{run}/adapter_model.safetensors",
        genotype="results/export/{run}/genotype.json",
        card="results/export/{run}/README.md",
    log:
        "logs/export/{run}.log",
    benchmark:
        "results/benchmarks/export/{run}.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.export,
    message:
        "{wildcards.run}: export the best individual"
    script:
        "../scripts/export_adapter.py"


rule merge_model:
    input:
        base=f"resources/models/{plan.base}",
        config="results/export/{run}/adapter_config.json",
        weights="results/export/{run}/adapter_model.safetensors",
    output:
        directory("results/merged/{run}"),
    log:
        "logs/merged/{run}.log",
    benchmark:
        "results/benchmarks/merged/{run}.tsv"
    conda:
        "../../envs/genome.yaml"
    params:
        version=plan.versions["export"],
    message:
        "{wildcards.run}: merge the best individual into the base model"
    script:
        "../scripts/merge_model.py"
