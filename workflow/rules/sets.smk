# Requires: checked experts; of a Validation LoRA the file trained without the held-out samples, and their names.
# Provides: results/experts/BASE-random/seedS.json (random LoRAs in place of the experts, in seedS/) and
#   results/experts/BASE-with_validation_lora/TASKS/seedS.json (the experts and one trained on validation samples): lists of
#   checked experts as results/experts/BASE.json, each with its joint bases SET_shared-R.{safetensors,csv};
#   results/runs/TASKS/experts-SET/seedS/: their scores.


rule random_experts:
    input:
        f"results/experts/{plan.base}.json",
    output:
        manifest=f"results/experts/{plan.base}-random/seed{{seed}}.json",
        folder=directory(f"results/experts/{plan.base}-random/seed{{seed}}"),
    log:
        f"logs/experts/{plan.base}-random/seed{{seed}}.log",
    benchmark:
        f"results/benchmarks/experts/{plan.base}-random/seed{{seed}}.tsv"
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.random_experts,
    message:
        "Seed {wildcards.seed}: make random experts with the ranks and norms of the given ones"
    script:
        "../scripts/random_experts.py"


rule with_validation_lora:
    input:
        experts=f"results/experts/{plan.base}.json",
        lora="results/runs/{tasks}/validation_lora/seed{seed}/held_out/expert.safetensors",
        training="results/runs/{tasks}/validation_lora/seed{seed}/training.json",
    output:
        f"results/experts/{plan.base}-with_validation_lora/{{tasks}}/seed{{seed}}.json",
    log:
        f"logs/experts/{plan.base}-with_validation_lora/{{tasks}}/seed{{seed}}.log",
    benchmark:
        f"results/benchmarks/experts/{plan.base}-with_validation_lora/{{tasks}}/seed{{seed}}.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.manifest,
    message:
        "{wildcards.tasks}, seed {wildcards.seed}: add a LoRA trained on validation samples to the experts"
    script:
        "../scripts/with_validation_lora.py"


use rule score_experts as score_set with:
    input:
        base=f"resources/models/{plan.base}",
        experts=inputs.manifest,
        prompts=inputs.prompts,
    output:
        population="results/runs/{tasks}/experts-{set}/seed{seed}/population.json",
        evaluations="results/runs/{tasks}/experts-{set}/seed{seed}/evaluations.jsonl",
        record="results/benchmarks/runs/{tasks}/experts-{set}/seed{seed}.json",
    log:
        "logs/runs/{tasks}/experts-{set}/seed{seed}.log",
    benchmark:
        "results/benchmarks/runs/{tasks}/experts-{set}/seed{seed}.tsv"
    wildcard_constraints:
        set=patterns.sets,
    params:
        settings=settings.scored_set,
        unparsed="warn",  # random experts may answer nothing
    message:
        "{wildcards.tasks}, seed {wildcards.seed}: score the experts {wildcards.set}"


use rule shared_basis as shared_basis_of_set with:
    input:
        f"results/experts/{plan.base}-{{place}}.json",
    output:
        basis=f"results/experts/{plan.base}-{{place}}_shared-{{rank}}.safetensors",
        losses=f"results/experts/{plan.base}-{{place}}_shared-{{rank}}.csv",
    log:
        f"logs/experts/{plan.base}-{{place}}_shared-{{rank}}.log",
    benchmark:
        f"results/benchmarks/experts/{plan.base}-{{place}}_shared-{{rank}}.tsv"
    wildcard_constraints:
        place="random/seed[0-9]+|with_validation_lora/[^/]+/seed[0-9]+",
        rank=patterns.shared_ranks,
    message:
        "Approximate the experts of {wildcards.place} in a joint basis of rank {wildcards.rank}"
