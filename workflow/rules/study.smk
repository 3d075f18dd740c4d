# Requires: score files, and what the jobs of runs recorded of their cost; no test data.
# Provides: results/tables/table7.{csv,md}, study.csv (the runs of the hyper-parameter study), table10.{csv,md} and
#   table11.{csv,md} (what its rates have to do with score and time).


rule timing:
    input:
        scores=table_scores,
        records=table_records,
        beside=tables_beside,
    output:
        table="results/tables/{table}.csv",
        markdown="results/tables/{table}.md",
    log:
        "logs/tables/{table}.log",
    benchmark:
        "results/benchmarks/tables/{table}.tsv"
    wildcard_constraints:
        table="table7",
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=timing_params,
    message:
        "{wildcards.table}: time and score by machine"
    script:
        "../scripts/result.py"


rule study:
    input:
        scores=study_scores,
        records=study_records,
    output:
        "results/tables/study.csv",
    log:
        "logs/tables/study.log",
    benchmark:
        "results/benchmarks/tables/study.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=study_params,
    message:
        "Collect the runs of the hyper-parameter study"
    script:
        "../scripts/result.py"


rule correlate:
    input:
        "results/tables/study.csv",
    output:
        table="results/tables/table10.csv",
        markdown="results/tables/table10.md",
    log:
        "logs/tables/table10.log",
    benchmark:
        "results/benchmarks/tables/table10.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=study_caption,
    message:
        "Table 10: correlate hyper-parameters with score and time"
    script:
        "../scripts/result.py"


rule regress:
    input:
        "results/tables/study.csv",
    output:
        table="results/tables/table11.csv",
        markdown="results/tables/table11.md",
    log:
        "logs/tables/table11.log",
    benchmark:
        "results/benchmarks/tables/table11.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=study_caption,
    message:
        "Table 11: regress score and time on hyper-parameters"
    script:
        "../scripts/result.py"
