# Requires: the base model, checked experts, validation prompts of the first task of Table 2 (or of another table or figure).
# Provides: results/engine_check.txt: make it before the first run with another engine;
#   results/benchmarks/rates/TASK.json: how fast the engine answers prompts of a task, for `genome plan`.


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


rule engine_rate:
    input:
        base=f"resources/models/{plan.base}",
        prompts=f"results/prompts/{plan.base}/{{task}}/validation.jsonl",
    output:
        "results/benchmarks/rates/{task}.json",
    log:
        "logs/rates/{task}.log",
    benchmark:
        "results/benchmarks/rates/{task}.tsv"
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.rate,
    message:
        "{wildcards.task}: measure how fast the engine answers"
    script:
        "../scripts/engine_rate.py"
