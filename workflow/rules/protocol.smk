# Requires: responses of whole populations to tests, the prepared test samples, and the populations of the runs.
# Provides: results/tables/protocol.{csv,md}: the same responses scored by the rules of the paper's public code and by ours;
#   results/figures/ensemble_by_k.{svg,png,csv}: the score of an ensemble by the number of its members.


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
        "Score the same responses by the public code's rules and by ours"
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
        "Score ensembles by the number of their members"
    script:
        "../scripts/result.py"
