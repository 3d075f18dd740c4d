# Requires: the base model, checked experts, validation prompts of the first task of Table 2, or that another table or figure names.
# Provides: results/engine_check.txt, to be asked for before the first run with another engine.


rule engine_check:
    input:
        base=f"resources/models/{plan.base}",
        experts=f"results/experts/{plan.base}.json",
        prompts=inputs.engine_check,
    output:
        "results/engine_check.txt",
    log:
        "logs/engine_check.log",
    benchmark:
        "results/benchmarks/engine_check.tsv"
    conda:
        "../../envs/genome.yaml"
    params:
        engine=plan.engine_text,
    message:
        "Compare the engine with transformers, and two adapters with each other"
    script:
        "../scripts/engine_check.py"
