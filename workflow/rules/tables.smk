# Requires: splits, score files and the answers behind them; no test data.
# Provides: results/tables/table1.{csv,md}; for Tables 2 to 6 and 8 tableN.{csv,md}, tableN_scores.csv (the score of each
#   run) and tableN_uncertainty.csv (95 % intervals, differences, and the runs behind each number); reachable.csv;
#   for every table a page for the report, NAME.html. The rule `table` makes tables without a separate rule.


rule table:
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
        table=patterns.tables_of("table"),
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.table,
    message:
        "{wildcards.table}"
    script:
        "../scripts/result.py"


use rule table as table1 with:
    input:
        unpack(inputs.of("table1")),
    output:
        table="results/tables/table1.csv",
        markdown="results/tables/table1.md",
    log:
        "logs/tables/table1.log",
    benchmark:
        "results/benchmarks/tables/table1.tsv"
    localrule: True  # `use rule` does not take it over
    params:
        settings=settings.of("table1"),
    message:
        "Table 1"


rule compare:
    input:
        unpack(inputs.table),
    output:
        table="results/tables/{table}.csv",
        markdown="results/tables/{table}.md",
        scores="results/tables/{table}_scores.csv",
        uncertainty=report(
            "results/tables/{table}_uncertainty.csv",
            caption="../report/uncertainty.rst",
            category="3 How sure",
            labels={"table": "{table}"},
        ),
    log:
        "logs/tables/{table}.log",
    benchmark:
        "results/benchmarks/tables/{table}.tsv"
    wildcard_constraints:
        table=patterns.tables_of("compare"),
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.table,
    message:
        "{wildcards.table}: compare methods"
    script:
        "../scripts/result.py"


rule reachable:
    input:
        inputs.reachable,
    output:
        "results/tables/reachable.csv",
    log:
        "logs/tables/reachable.log",
    benchmark:
        "results/benchmarks/tables/reachable.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        version=plan.versions["tables"],
    message:
        "Compare Data Merge with a LoRA trained on each micro task"
    script:
        "../scripts/result.py"


rule table_page:
    input:
        "results/tables/{table}.md",
    output:
        report(
            "results/tables/{table}.html",
            caption="../report/table.rst",
            category=captions.section,
            labels={"table": "{table}"},
        ),
    log:
        "logs/tables/{table}_page.log",
    benchmark:
        "results/benchmarks/tables/{table}_page.tsv"
    wildcard_constraints:
        table=patterns.tables,
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        version=plan.versions["tables"],
        caption=captions.table,
    message:
        "{wildcards.table}: a page for the report"
    script:
        "../scripts/result.py"
