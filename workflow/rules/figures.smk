# Requires: score files and the answers behind them, scored experts, populations; no test data.
# Provides: results/figures/figure2 (scores by population size), learning_curve (scores by number of validation samples),
#   figure3 (ranks of experts by category) and front (Pareto fronts of several tasks), each as .svg, .png and .csv (the
#   numbers drawn, with the folders that they come from).


rule figure2:
    input:
        unpack(inputs.of("figure2")),
    output:
        svg=report(
            "results/figures/figure2.svg",
            caption="../report/figure.rst",
            category="2 What came out",
            labels={"figure": "figure2"},
        ),
        png="results/figures/figure2.png",
        table="results/figures/figure2.csv",
    log:
        "logs/figures/figure2.log",
    benchmark:
        "results/benchmarks/figures/figure2.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.of("figure2"),
        caption=captions.of("figure2"),
    message:
        "Figure 2: scores by population size"
    script:
        "../scripts/result.py"


rule learning_curve:
    input:
        unpack(inputs.of("learning_curve")),
    output:
        svg=report(
            "results/figures/learning_curve.svg",
            caption="../report/figure.rst",
            category="2 What came out",
            labels={"figure": "learning_curve"},
        ),
        png="results/figures/learning_curve.png",
        table="results/figures/learning_curve.csv",
    log:
        "logs/figures/learning_curve.log",
    benchmark:
        "results/benchmarks/figures/learning_curve.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.of("learning_curve"),
        caption=captions.of("learning_curve"),
    message:
        "Learning curve: scores by number of validation samples"
    script:
        "../scripts/result.py"


rule figure3:
    input:
        unpack(inputs.of("figure3")),
    output:
        svg=report(
            "results/figures/figure3.svg",
            caption="../report/figure.rst",
            category="1 What was run",
            labels={"figure": "figure3"},
        ),
        png="results/figures/figure3.png",
        table="results/figures/figure3.csv",
    log:
        "logs/figures/figure3.log",
    benchmark:
        "results/benchmarks/figures/figure3.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.of("figure3"),
        caption=captions.of("figure3"),
    message:
        "Figure 3: ranks of the experts by category"
    script:
        "../scripts/result.py"


rule front:
    input:
        unpack(inputs.of("front")),
    output:
        svg=report(
            "results/figures/front.svg",
            caption="../report/figure.rst",
            category="2 What came out",
            labels={"figure": "front"},
        ),
        png="results/figures/front.png",
        table="results/figures/front.csv",
    log:
        "logs/figures/front.log",
    benchmark:
        "results/benchmarks/figures/front.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.of("front"),
        caption=captions.of("front"),
    message:
        "Front: validation scores of runs over several tasks"
    script:
        "../scripts/result.py"
