# Requires: tests that ensembles have answered, here and in the results of workflows with other bases.
# Provides: results/tables/across.{csv,md}: what these ensembles score in one vote.


rule across:
    input:
        base=f"resources/models/{BASE}",
        prompts=across_prompts,
        splits=across_splits,
        responses=across_responses,
        origins=across_origins,
        populations=across_populations,
    output:
        table="results/tables/across.csv",
        markdown="results/tables/across.md",
    log:
        "logs/tables/across.log",
    benchmark:
        "results/benchmarks/tables/across.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=across_params,
    message:
        "A vote of runs with different bases"
    script:
        "../scripts/result.py"
