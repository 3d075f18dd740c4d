# Requires: score files and the answers behind them, scored experts, the populations and evaluations of runs; no test data.
# Provides: results/figures/figure2 (scores by population size), figure3 (ranks of experts by category), and per run
#   results/figures/KIND/TASKS/VARIANT/nN/seedS, where KIND is evolution, family_tree, expert_shares or diversity:
#   each as .svg, .png and .csv (the numbers drawn, with the folders that they come from). The target `portraits` makes
#   all figures of the runs that the config names.


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


rule portrait:
    input:
        inputs.populations,
    output:
        svg=report(
            "results/figures/{kind}/{tasks}/{variant}/n{n}/seed{seed}.svg",
            caption="../report/portrait.rst",
            category="4 Why",
            subcategory="{tasks}, {variant}, N = {n}, seed {seed}",
            labels={"figure": "{kind}"},
        ),
        png="results/figures/{kind}/{tasks}/{variant}/n{n}/seed{seed}.png",
        table="results/figures/{kind}/{tasks}/{variant}/n{n}/seed{seed}.csv",
    log:
        "logs/figures/{kind}/{tasks}/{variant}/n{n}/seed{seed}.log",
    benchmark:
        "results/benchmarks/figures/{kind}/{tasks}/{variant}/n{n}/seed{seed}.tsv"
    wildcard_constraints:
        kind=patterns.portraits,
        variant=patterns.variants("generation"),
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.portrait,
        caption=captions.portrait,
    message:
        "{wildcards.tasks}, {wildcards.variant}, n{wildcards.n}, seed {wildcards.seed}: draw {wildcards.kind}"
    script:
        "../scripts/result.py"


rule portrait_diversity:
    input:
        experts=inputs.manifest,
        basis=inputs.merged_basis,
        populations=inputs.populations,
        evaluations=inputs.evaluations,
    output:
        svg=report(
            "results/figures/diversity/{tasks}/{variant}/n{n}/seed{seed}.svg",
            caption="../report/portrait.rst",
            category="4 Why",
            subcategory="{tasks}, {variant}, N = {n}, seed {seed}",
            labels={"figure": "diversity"},
        ),
        png="results/figures/diversity/{tasks}/{variant}/n{n}/seed{seed}.png",
        table="results/figures/diversity/{tasks}/{variant}/n{n}/seed{seed}.csv",
    log:
        "logs/figures/diversity/{tasks}/{variant}/n{n}/seed{seed}.log",
    benchmark:
        "results/benchmarks/figures/diversity/{tasks}/{variant}/n{n}/seed{seed}.tsv"
    wildcard_constraints:
        variant=patterns.variants("generation"),
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.portrait,
        caption=captions.of("diversity"),
    message:
        "{wildcards.tasks}, {wildcards.variant}, n{wildcards.n}, seed {wildcards.seed}: draw diversity"
    script:
        "../scripts/result.py"


rule portraits:
    input:
        inputs.portraits,
    localrule: True
