# Requires: scored experts.
# Provides: results/runs/TASKS/VARIANT/[seedS/]population.json of methods of one stage,
#   results/merges/VARIANT/seedS/ of merges that use no task.


rule baseline:
    input:
        base=f"resources/models/{plan.base}",
        experts=inputs.manifest,
        scored_experts=inputs.searched_experts,
        basis=inputs.merged_basis,
        prompts=inputs.searched_prompts,
    output:
        population="results/runs/{tasks}/{variant}/population.json",
        evaluations="results/runs/{tasks}/{variant}/evaluations.jsonl",
        record="results/benchmarks/runs/{tasks}/{variant}.json",
    log:
        "logs/runs/{tasks}/{variant}.log",
    benchmark:
        "results/benchmarks/runs/{tasks}/{variant}.tsv"
    wildcard_constraints:
        variant=patterns.variants("baseline", seeded=False),
    localrule: not plan.per_job
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.search,
    message:
        "{wildcards.tasks}: {wildcards.variant}"
    script:
        "../scripts/baseline.py"


use rule baseline as searched_baseline with:
    output:
        population="results/runs/{tasks}/{variant}/seed{seed}/population.json",
        evaluations="results/runs/{tasks}/{variant}/seed{seed}/evaluations.jsonl",
        record="results/benchmarks/runs/{tasks}/{variant}/seed{seed}.json",
    log:
        "logs/runs/{tasks}/{variant}/seed{seed}.log",
    benchmark:
        "results/benchmarks/runs/{tasks}/{variant}/seed{seed}.tsv"
    wildcard_constraints:
        variant=patterns.variants("baseline", seeded=True),
    message:
        "{wildcards.tasks}, seed {wildcards.seed}: {wildcards.variant}"


rule dare_ties:
    input:
        experts=f"results/experts/{plan.base}.json",
    output:
        "results/merges/{variant}/seed{seed}/expert.safetensors",
    log:
        "logs/merges/{variant}/seed{seed}.log",
    benchmark:
        "results/benchmarks/merges/{variant}/seed{seed}.tsv"
    wildcard_constraints:
        variant=patterns.variants("merge", seeded=True),
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.merge,
    message:
        "Seed {wildcards.seed}: merge the experts by DARE-TIES"
    script:
        "../scripts/dare_ties.py"
