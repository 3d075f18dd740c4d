# Requires: score files.
# Provides: results/tables/{scores,table2}.csv and table2.md.


rule table2:
    input:
        table2_scores,
    output:
        scores="results/tables/scores.csv",
        table="results/tables/table2.csv",
        markdown="results/tables/table2.md",
    log:
        "logs/tables/table2.log",
    benchmark:
        "results/benchmarks/tables/table2.tsv"
    conda:
        "../../envs/genome.yaml"
    params:
        settings=table2_params,
    message:
        "Table 2"
    script:
        "../scripts/table2.py"
