# Requires: the last population of a run whose fitness is not the metric on all validation samples, and scored experts.
# Provides: results/runs/RUN/finalists/: its finalists as a population, whose best is the result of the run.


rule finalists:
    input:
        base=f"resources/models/{plan.base}",
        experts=inputs.manifest,
        scored_experts=inputs.scored_experts,
        population=inputs.last_population,
        tried=inputs.tried,
        basis=inputs.run_basis,
        prompts=inputs.run_prompts,
    output:
        population="results/runs/{run}/finalists/population.json",
        evaluations="results/runs/{run}/finalists/evaluations.jsonl",
        calibration="results/runs/{run}/finalists/calibration.json",
        record="results/benchmarks/runs/{run}/finalists.json",
    log:
        "logs/runs/{run}/finalists.log",
    benchmark:
        "results/benchmarks/runs/{run}/finalists.tsv"
    localrule: not plan.per_job
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.finalists,
    message:
        "{wildcards.run}: decide among the finalists"
    script:
        "../scripts/finalists.py"
