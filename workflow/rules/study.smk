# Requires: score files, populations, and the recorded costs of the jobs of runs; no test data.
# Provides: results/tables/table7.{csv,md}, study.csv (the runs of the hyper-parameter study), table10.{csv,md} and
#   table11.{csv,md} (how its rates are related to score and time), efficiency.{csv,md} and its figure (fitness against
#   samples evaluated).


rule timing:
    input:
        unpack(inputs.table),
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
        settings=settings.table,
    message:
        "{wildcards.table}: time and score by machine"
    script:
        "../scripts/result.py"


rule study:
    input:
        unpack(inputs.study),
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
        settings=settings.study,
    message:
        "Collect the runs of the hyper-parameter study"
    script:
        "../scripts/result.py"


rule correlate:
    input:
        unpack(inputs.of("table10")),
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
        settings=settings.of("table10"),
    message:
        "Table 10: correlate hyper-parameters with score and time"
    script:
        "../scripts/result.py"


rule regress:
    input:
        unpack(inputs.of("table11")),
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
        settings=settings.of("table11"),
    message:
        "Table 11: regress score and time on hyper-parameters"
    script:
        "../scripts/result.py"


rule efficiency:
    input:
        unpack(inputs.of("efficiency")),
    output:
        table="results/tables/efficiency.csv",
        markdown="results/tables/efficiency.md",
        curves="results/figures/efficiency.csv",
        svg=report(
            "results/figures/efficiency.svg",
            caption="../report/figure.rst",
            category="5 What it took",
            labels={"figure": "efficiency"},
        ),
        png="results/figures/efficiency.png",
    log:
        "logs/tables/efficiency.log",
    benchmark:
        "results/benchmarks/tables/efficiency.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.of("efficiency"),
        caption=captions.of("efficiency"),
    message:
        "Compare fitness against samples evaluated"
    script:
        "../scripts/result.py"
