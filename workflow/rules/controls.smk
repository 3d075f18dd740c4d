# Requires: the base model, prepared validation prompts; checked experts for TIES.
# Provides: results/runs/TASKS/VARIANT/seedS/expert.safetensors of a Validation LoRA: a LoRA of all validation samples;
#   held_out/expert.safetensors next to it: of the samples that were not held out; training.json: what was chosen;
#   results/runs/TASKS/VARIANT/answer.json of Majority: the most frequent validation answers;
#   results/merges/VARIANT/expert.safetensors of TIES.


rule validation_lora:
    input:
        base=f"resources/models/{plan.base}",
        prompts=inputs.control_prompts,
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


rule majority:
    input:
        prompts=inputs.control_prompts,
    output:
        answer="results/runs/{tasks}/{variant}/answer.json",
        record="results/benchmarks/runs/{tasks}/{variant}.json",
    log:
        "logs/runs/{tasks}/{variant}.log",
    benchmark:
        "results/benchmarks/runs/{tasks}/{variant}.tsv"
    wildcard_constraints:
        variant=patterns.variants("constant"),
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.majority,
    message:
        "{wildcards.tasks}: find the most frequent answer"
    script:
        "../scripts/majority.py"


rule ties:
    input:
        experts=f"results/experts/{plan.base}.json",
    output:
        "results/merges/{variant}/expert.safetensors",
    log:
        "logs/merges/{variant}.log",
    benchmark:
        "results/benchmarks/merges/{variant}.tsv"
    wildcard_constraints:
        variant=patterns.variants("merge", seeded=False),
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.merge,
    message:
        "Merge the experts by TIES"
    script:
        "../scripts/ties.py"
