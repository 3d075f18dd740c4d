# Requires: checked experts and prepared validation prompts.
# Provides: results/runs/TASKS/experts/, .../initial-SCHEME/nN/seedS/, .../VARIANT/nN/seedS/generation_G/;
#   the cost of each job at the same path below results/benchmarks/runs, ending in .json.


rule score_experts:
    input:
        base=f"resources/models/{plan.base}",
        experts=f"results/experts/{plan.base}.json",
        prompts=inputs.prompts,
    output:
        population="results/runs/{tasks}/experts/population.json",
        evaluations="results/runs/{tasks}/experts/evaluations.jsonl",
        record="results/benchmarks/runs/{tasks}/experts.json",
    log:
        "logs/runs/{tasks}/experts.log",
    benchmark:
        "results/benchmarks/runs/{tasks}/experts.tsv"
    localrule: not plan.per_job
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.fitness,
    message:
        "{wildcards.tasks}: score the experts"
    script:
        "../scripts/score_experts.py"


rule initial_population:
    input:
        base=f"resources/models/{plan.base}",
        experts=inputs.manifest,
        scored_experts=inputs.initial_experts,
        basis=inputs.initial_basis,
        prompts=inputs.initial_prompts,
    output:
        population="results/runs/{tasks}/initial-{scheme}/n{n}/seed{seed}/population.json",
        evaluations="results/runs/{tasks}/initial-{scheme}/n{n}/seed{seed}/evaluations.jsonl",
        record="results/benchmarks/runs/{tasks}/initial-{scheme}/n{n}/seed{seed}.json",
    log:
        "logs/runs/{tasks}/initial-{scheme}/n{n}/seed{seed}.log",
    benchmark:
        "results/benchmarks/runs/{tasks}/initial-{scheme}/n{n}/seed{seed}.tsv"
    localrule: not plan.per_job
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.initial,
    message:
        "{wildcards.tasks}, seed {wildcards.seed}: make a population of {wildcards.n}"
    script:
        "../scripts/initial_population.py"


rule generation:
    input:
        base=f"resources/models/{plan.base}",
        experts=inputs.manifest,
        basis=inputs.merged_basis,
        previous=inputs.previous,
        records=inputs.spent_records,
        prompts=inputs.searched_prompts,
    output:
        population="results/runs/{tasks}/{variant}/n{n}/seed{seed}/generation_{generation}/population.json",
        evaluations="results/runs/{tasks}/{variant}/n{n}/seed{seed}/generation_{generation}/evaluations.jsonl",
        adapters=directory("results/runs/{tasks}/{variant}/n{n}/seed{seed}/generation_{generation}/adapters"),
        record="results/benchmarks/runs/{tasks}/{variant}/n{n}/seed{seed}/generation_{generation}.json",
    log:
        "logs/runs/{tasks}/{variant}/n{n}/seed{seed}/generation_{generation}.log",
    benchmark:
        "results/benchmarks/runs/{tasks}/{variant}/n{n}/seed{seed}/generation_{generation}.tsv"
    wildcard_constraints:
        variant=patterns.variants("generation"),
    localrule: not plan.per_job
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.generation,
    message:
        "{wildcards.tasks}, {wildcards.variant}, n{wildcards.n}, seed {wildcards.seed}: generation {wildcards.generation}"
    script:
        "../scripts/generation.py"
