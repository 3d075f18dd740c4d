# Requires: score files and the answers behind them, scored experts, the populations and evaluations of runs; no test data.
# Provides: results/figures/figure2 (scores by population size), figure3 (what experts are good at), and of one run
#   results/figures/KIND/TASKS/VARIANT/nN/seedS, where KIND is evolution, family_tree, expert_shares or diversity:
#   each as .svg, .png and .csv, the numbers drawn with the folders that they come from. The target `portraits` is all
#   figures of the runs that the config names.


rule figure2:
    input:
        scores=figure2_scores,
        answers=figure2_answers,
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
        settings=figure2_params,
    message:
        "Figure 2: scores by population size"
    script:
        "../scripts/result.py"


rule figure3:
    input:
        figure3_experts,
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
        settings=figure3_params,
    message:
        "Figure 3: what the experts are good at"
    script:
        "../scripts/result.py"


rule portrait:
    input:
        populations_of,
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
        kind=one_of(OF_POPULATIONS),
        variant=one_of(EVOLVING),
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=portrait_params,
    message:
        "{wildcards.tasks}, {wildcards.variant}, n{wildcards.n}, seed {wildcards.seed}: draw {wildcards.kind}"
    script:
        "../scripts/result.py"


rule portrait_diversity:
    input:
        experts=f"results/experts/{BASE}.json",
        populations=populations_of,
        evaluations=evaluations_of,
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
        variant=one_of(EVOLVING),
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=portrait_params,
    message:
        "{wildcards.tasks}, {wildcards.variant}, n{wildcards.n}, seed {wildcards.seed}: draw diversity"
    script:
        "../scripts/result.py"


rule portraits:
    input:
        portrait_files,
    localrule: True
