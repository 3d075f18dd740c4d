# Requires: responses of ensembles to tests, in this workflow's results and in those of workflows with other bases.
# Provides: results/tables/across.{csv,md}: the scores of these ensembles, each alone and all in one vote.


rule across:
    input:
        unpack(inputs.of("across")),
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
        settings=settings.of("across"),
    message:
        "Let ensembles of different base models vote"
    script:
        "../scripts/result.py"
