# Requires: tests that ensembles have answered, here and in the results of workflows with other bases.
# Provides: results/tables/across.{csv,md}: what these ensembles score in one vote.


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
        "A vote of runs with different bases"
    script:
        "../scripts/result.py"
