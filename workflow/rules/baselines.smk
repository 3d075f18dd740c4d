# Requires: scored experts.
# Provides: results/runs/TASKS/VARIANT/[seedS/]population.json of the methods of one stage, results/merges/.


rule baseline:
    input:
        base=f"resources/models/{BASE}",
        experts=f"results/experts/{BASE}.json",
        scored_experts="results/runs/{tasks}/experts/population.json",
        prompts=prompts_of,
    output:
        population="results/runs/{tasks}/{variant}/population.json",
        evaluations="results/runs/{tasks}/{variant}/evaluations.jsonl",
        record="results/benchmarks/runs/{tasks}/{variant}.json",
    log:
        "logs/runs/{tasks}/{variant}.log",
    benchmark:
        "results/benchmarks/runs/{tasks}/{variant}.tsv"
    wildcard_constraints:
        variant=one_of(FROM_EXPERTS),
    localrule: not PER_JOB
    conda:
        "../../envs/genome.yaml"
    params:
        settings=run_params,
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
        variant=one_of(SEARCHED),
    message:
        "{wildcards.tasks}, seed {wildcards.seed}: {wildcards.variant}"


rule dare_ties:
    input:
        experts=f"results/experts/{BASE}.json",
    output:
        config="results/merges/{variant}/seed{seed}/adapter_config.json",
        weights="results/merges/{variant}/seed{seed}/adapter_model.safetensors",
        provenance="results/merges/{variant}/seed{seed}/provenance.json",
    log:
        "logs/merges/{variant}/seed{seed}.log",
    benchmark:
        "results/benchmarks/merges/{variant}/seed{seed}.tsv"
    wildcard_constraints:
        variant=one_of(MERGED),
    conda:
        "../../envs/genome.yaml"
    params:
        settings=merge_params,
    message:
        "Seed {wildcards.seed}: merge the experts by DARE-TIES"
    script:
        "../scripts/dare_ties.py"
