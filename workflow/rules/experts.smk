# Requires: config `bases`: the base model, its experts (hub, path or training corpus), Data Merge.
# Provides: resources/models/BASE/, resources/datasets/corpora/NAME.jsonl, resources/experts/NAME/, results/experts/BASE.json (checked experts),
#   results/experts/BASE_cosines.csv (how alike they are).


rule base_model:
    input:
        base_files,
    output:
        directory("resources/models/{base}"),
    log:
        "logs/models/{base}.log",
    benchmark:
        "results/benchmarks/models/{base}.tsv"
    localrule: "generator" not in SUITE["model"]  # what is fetched needs the internet, which compute nodes may lack
    conda:
        "../../envs/genome.yaml"
    params:
        settings=base_params,
    message:
        "{wildcards.base}: fetch or train the base model"
    script:
        "../scripts/base_model.py"


rule micro_corpus:
    output:
        "resources/datasets/micro/{corpus}.jsonl",
    log:
        "logs/corpora/{corpus}.log",
    benchmark:
        "results/benchmarks/corpora/{corpus}.tsv"
    wildcard_constraints:
        corpus=one_of(paths.micro_corpora(TASK_FILES)),
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        version=VERSIONS["corpus"],
    message:
        "{wildcards.corpus}: write the training corpus"
    script:
        "../scripts/micro_corpus.py"


rule published_corpus:
    input:
        corpus_files,
    output:
        "resources/datasets/corpora/{corpus}.jsonl",
    log:
        "logs/corpora/{corpus}.log",
    benchmark:
        "results/benchmarks/corpora/{corpus}.tsv"
    wildcard_constraints:
        corpus=one_of(CORPORA),
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=corpus_params,
    message:
        "{wildcards.corpus}: write the training corpus of published conversations"
    script:
        "../scripts/published_corpus.py"


rule train_adapter:
    input:
        base=f"resources/models/{BASE}",
        corpora=corpora_of,
    output:
        config="resources/experts/{adapter}/adapter_config.json",
        weights="resources/experts/{adapter}/adapter_model.safetensors",
        provenance="resources/experts/{adapter}/provenance.json",
    log:
        "logs/adapters/{adapter}.log",
    benchmark:
        "results/benchmarks/adapters/{adapter}.tsv"
    wildcard_constraints:
        adapter=one_of(TRAINED),
    conda:
        "../../envs/genome.yaml"
    params:
        settings=training_params,
    message:
        "{wildcards.adapter}: train a LoRA adapter"
    script:
        "../scripts/train_adapter.py"


rule fetch_adapter:
    input:
        adapter_files,
    output:
        config="resources/experts/{adapter}/adapter_config.json",
        weights="resources/experts/{adapter}/adapter_model.safetensors",
        provenance="resources/experts/{adapter}/provenance.json",
    log:
        "logs/adapters/{adapter}.log",
    benchmark:
        "results/benchmarks/adapters/{adapter}.tsv"
    wildcard_constraints:
        adapter=one_of(FETCHED),
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=fetch_params,
    message:
        "{wildcards.adapter}: fetch an adapter"
    script:
        "../scripts/fetch_adapter.py"


rule check_experts:
    input:
        weights=expand("resources/experts/{expert}/adapter_model.safetensors", expert=EXPERTS),
        provenance=expand("resources/experts/{expert}/provenance.json", expert=EXPERTS),
    output:
        f"results/experts/{BASE}.json",
    log:
        f"logs/experts/{BASE}.log",
    benchmark:
        f"results/benchmarks/experts/{BASE}.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        version=VERSIONS["manifest"],
    message:
        "Check that the experts are whole and can be merged"
    script:
        "../scripts/check_experts.py"


rule compare_experts:
    input:
        f"results/experts/{BASE}.json",
    output:
        f"results/experts/{BASE}_cosines.csv",
    log:
        f"logs/cosines/{BASE}.log",
    benchmark:
        f"results/benchmarks/cosines/{BASE}.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        version=VERSIONS["cosines"],
    message:
        "Compare the experts: cosines of A, B and BA"
    script:
        "../scripts/compare_experts.py"
