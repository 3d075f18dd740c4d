# Requires: finished runs and prepared test prompts. Only these rules and those of protocol.smk and across.smk read test data.
# Provides: results/test/TEST_TASK/RUN/{responses.jsonl,responses.json,answers.jsonl,scores.json}, where RUN is a folder of results/runs:
#   TASKS/VARIANT/nN/seedS of an evolving method, TASKS/VARIANT[/seedS] of a baseline,
#   static/VARIANT[/seedS] of a merge that uses no task;
#   the cost of each answered test at the same path below results/benchmarks/test, responses.json.


rule answer_test:
    input:
        model=inputs.model,
        validation=inputs.validation,
        calibration=inputs.calibration,
        base=f"resources/models/{plan.base}",
        experts=inputs.manifest,
        basis=inputs.run_basis,
        prompts=f"results/prompts/{plan.base}/{{test_task}}/test.jsonl",
    output:
        responses="results/test/{test_task}/{run}/responses.jsonl",
        origin="results/test/{test_task}/{run}/responses.json",
        record="results/benchmarks/test/{test_task}/{run}/responses.json",
    log:
        "logs/test/{test_task}/{run}/responses.log",
    benchmark:
        "results/benchmarks/test/{test_task}/{run}/responses.tsv"
    localrule: not plan.per_job
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.responses,
    message:
        "{wildcards.run}: answer the test of {wildcards.test_task}"
    script:
        "../scripts/answer_test.py"


rule score_test:
    input:
        base=f"resources/models/{plan.base}",
        prompts=f"results/prompts/{plan.base}/{{test_task}}/test.jsonl",
        responses="results/test/{test_task}/{run}/responses.jsonl",
        origin="results/test/{test_task}/{run}/responses.json",
    output:
        scores="results/test/{test_task}/{run}/scores.json",
        answers="results/test/{test_task}/{run}/answers.jsonl",
    log:
        "logs/test/{test_task}/{run}/scores.log",
    benchmark:
        "results/benchmarks/test/{test_task}/{run}/scores.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.scores,
    message:
        "{wildcards.run}: score the test of {wildcards.test_task}"
    script:
        "../scripts/score_test.py"
