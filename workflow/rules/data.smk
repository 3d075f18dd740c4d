# Requires: config `tasks`, `splits` and `corpora`, the base model's tokenizer.
# Provides: resources/datasets/{micro,corpora}/NAME.jsonl (training corpora), results/splits/TASK/{validation,test}.jsonl,
#   results/splits/TASK@NUMBER/validation.jsonl (the first samples, for runs on TASK@NUMBER, which are tested on TASK),
#   results/splits/TASK@NUMBER.DRAW/validation.jsonl (as many, drawn at random),
#   results/prompts/BASE/TASK/{validation,test}.jsonl, and validation-likelihood.jsonl with right answers to be scored.


rule micro_corpus:
    output:
        "resources/datasets/micro/{corpus}.jsonl",
    log:
        "logs/corpora/{corpus}.log",
    benchmark:
        "results/benchmarks/corpora/{corpus}.tsv"
    wildcard_constraints:
        corpus=patterns.micro_corpora,
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        version=plan.versions["corpus"],
    message:
        "{wildcards.corpus}: write the training corpus"
    script:
        "../scripts/micro_corpus.py"


rule published_corpus:
    input:
        inputs.corpus_files,
    output:
        "resources/datasets/corpora/{corpus}.jsonl",
    log:
        "logs/corpora/{corpus}.log",
    benchmark:
        "results/benchmarks/corpora/{corpus}.tsv"
    wildcard_constraints:
        corpus=patterns.corpora,
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.corpus,
    message:
        "{wildcards.corpus}: write the training corpus of published conversations"
    script:
        "../scripts/published_corpus.py"


rule split:
    input:
        inputs.task_rows,
    output:
        validation="results/splits/{task}/validation.jsonl",
        test="results/splits/{task}/test.jsonl",
        provenance="results/splits/{task}/provenance.json",
    log:
        "logs/split/{task}.log",
    benchmark:
        "results/benchmarks/split/{task}.tsv"
    wildcard_constraints:
        task="[A-Za-z0-9_]+",
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.split,
    message:
        "{wildcards.task}: draw validation and test samples"
    script:
        "../scripts/split.py"


rule part_of_split:
    input:
        "results/splits/{whole}/validation.jsonl",
    output:
        "results/splits/{whole}@{part}/validation.jsonl",
    log:
        "logs/split/{whole}@{part}.log",
    benchmark:
        "results/benchmarks/split/{whole}@{part}.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.part,
    message:
        "{wildcards.whole}@{wildcards.part}: take a part of the validation samples"
    script:
        "../scripts/part_of_split.py"


rule prepare_prompts:
    input:
        rows="results/splits/{task}/{split}.jsonl",
        base="resources/models/{base}",
    output:
        "results/prompts/{base}/{task}/{split}.jsonl",
    log:
        "logs/prompts/{base}/{task}-{split}.log",
    benchmark:
        "results/benchmarks/prompts/{base}/{task}-{split}.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.prompts,
    message:
        "{wildcards.task}: render and tokenise the {wildcards.split} prompts"
    script:
        "../scripts/prepare_prompts.py"


rule prepare_expected:
    input:
        rows="results/splits/{task}/validation.jsonl",
        base="resources/models/{base}",
    output:
        "results/prompts/{base}/{task}/validation-likelihood.jsonl",
    log:
        "logs/prompts/{base}/{task}-validation-likelihood.log",
    benchmark:
        "results/benchmarks/prompts/{base}/{task}-validation-likelihood.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.expected,
    message:
        "{wildcards.task}: render and tokenise the validation prompts and what should follow them"
    script:
        "../scripts/prepare_expected.py"
