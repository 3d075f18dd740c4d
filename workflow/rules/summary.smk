# Requires: what Table 2 is made from, and the recorded costs of the jobs of its runs; no test data.
# Provides: results/summary.html, Table 2 in short, with which the report begins; its numbers, results/tables/summary.csv;
#   its two pictures, results/figures/summary_{scores,cost}.svg.


rule summary:
    input:
        unpack(inputs.of("summary")),
    output:
        page=report(
            "results/summary.html",
            caption="../report/summary.rst",
            category="2 What came out",
            labels={"table": "summary"},
        ),
        table="results/tables/summary.csv",
        scores="results/figures/summary_scores.svg",
        cost="results/figures/summary_cost.svg",
    log:
        "logs/summary.log",
    benchmark:
        "results/benchmarks/summary.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.of("summary"),
        caption=captions.of("summary"),
    message:
        "Sum up Table 2"
    script:
        "../scripts/result.py"
