# Requires: the populations of runs, their evaluations and the list of experts; no test data.
# Provides: per run results/figures/KIND/TASKS/VARIANT/nN/seedS, where KIND is evolution, family_tree, expert_shares or
#   diversity: each as .svg, .png and .csv (the numbers drawn, with the folders that they come from). The target
#   `portraits` makes all figures of the runs that the config names.


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
