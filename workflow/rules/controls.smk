# Requires: the base model, prepared validation prompts.
# Provides: results/runs/TASKS/VARIANT/seedS/expert.safetensors of a Validation LoRA: a LoRA of all validation samples;
#   held_out/expert.safetensors next to it: of the samples that were not held out; training.json: what was chosen.


rule validation_lora:
    input:
        base=f"resources/models/{plan.base}",
        prompts=inputs.prompts,
    output:
        expert="results/runs/{tasks}/{variant}/seed{seed}/expert.safetensors",
        held_out="results/runs/{tasks}/{variant}/seed{seed}/held_out/expert.safetensors",
        training="results/runs/{tasks}/{variant}/seed{seed}/training.json",
        record="results/benchmarks/runs/{tasks}/{variant}/seed{seed}.json",
    log:
        "logs/runs/{tasks}/{variant}/seed{seed}.log",
    benchmark:
        "results/benchmarks/runs/{tasks}/{variant}/seed{seed}.tsv"
    wildcard_constraints:
        variant=patterns.variants("training"),
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.validation_lora,
    message:
        "{wildcards.tasks}, seed {wildcards.seed}: train a LoRA on the validation samples"
    script:
        "../scripts/validation_lora.py"
