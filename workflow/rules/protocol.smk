# Requires: tests that whole populations have answered, their prepared samples, and the populations of the runs.
# Provides: results/tables/protocol.{csv,md}: the same responses scored as the paper's public code does, and as we do;
#   results/figures/ensemble_by_k.{svg,png,csv}: an ensemble's score by the number of its members.


rule protocol:
    input:
        unpack(inputs.of("protocol")),
    output:
        table="results/tables/protocol.csv",
        markdown="results/tables/protocol.md",
    log:
        "logs/tables/protocol.log",
    benchmark:
        "results/benchmarks/tables/protocol.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.of("protocol"),
    message:
        "What the public code's ways of scoring add"
    script:
        "../scripts/result.py"


rule plot_ensemble:
    input:
        unpack(inputs.of("ensemble_by_k")),
    output:
        svg=report(
            "results/figures/ensemble_by_k.svg",
            caption="../report/figure.rst",
            category="4 Why",
            labels={"figure": "ensemble_by_k"},
        ),
        png="results/figures/ensemble_by_k.png",
        table="results/figures/ensemble_by_k.csv",
    log:
        "logs/figures/ensemble_by_k.log",
    benchmark:
        "results/benchmarks/figures/ensemble_by_k.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.of("ensemble_by_k"),
        caption=captions.of("ensemble_by_k"),
    message:
        "An ensemble's score by the number of its members"
    script:
        "../scripts/result.py"
