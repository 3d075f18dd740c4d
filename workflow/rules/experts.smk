# Requires: config `bases`: the base model, its experts (hub, path or training corpus), Data Merge; training corpora.
# Provides: resources/models/BASE/, resources/experts/NAME/, results/experts/BASE.json (checked experts),
#   results/experts/BASE_cosines.csv (how similar they are).


rule base_model:
    input:
        inputs.base_files,
    output:
        directory("resources/models/{base}"),
    log:
        "logs/models/{base}.log",
    benchmark:
        "results/benchmarks/models/{base}.tsv"
    localrule: not plan.trains_base  # what is fetched needs the internet, which compute nodes may lack
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.base,
    message:
        "{wildcards.base}: fetch or train the base model"
    script:
        "../scripts/base_model.py"


rule train_adapter:
    input:
        base=f"resources/models/{plan.base}",
        corpora=inputs.corpora,
    output:
        config="resources/experts/{adapter}/adapter_config.json",
        weights="resources/experts/{adapter}/adapter_model.safetensors",
        provenance="resources/experts/{adapter}/provenance.json",
    log:
        "logs/adapters/{adapter}.log",
    benchmark:
        "results/benchmarks/adapters/{adapter}.tsv"
    wildcard_constraints:
        adapter=patterns.trained,
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.training,
    message:
        "{wildcards.adapter}: train a LoRA adapter"
    script:
        "../scripts/train_adapter.py"


rule fetch_adapter:
    input:
        inputs.adapter_files,
    output:
        config="resources/experts/{adapter}/adapter_config.json",
        weights="resources/experts/{adapter}/adapter_model.safetensors",
        provenance="resources/experts/{adapter}/provenance.json",
    log:
        "logs/adapters/{adapter}.log",
    benchmark:
        "results/benchmarks/adapters/{adapter}.tsv"
    wildcard_constraints:
        adapter=patterns.fetched,
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.fetching,
    message:
        "{wildcards.adapter}: fetch an adapter"
    script:
        "../scripts/fetch_adapter.py"


rule check_experts:
    input:
        weights=expand("resources/experts/{expert}/adapter_model.safetensors", expert=plan.experts),
        provenance=expand("resources/experts/{expert}/provenance.json", expert=plan.experts),
    output:
        f"results/experts/{plan.base}.json",
    log:
        f"logs/experts/{plan.base}.log",
    benchmark:
        f"results/benchmarks/experts/{plan.base}.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        version=plan.versions["manifest"],
    message:
        "Check that the experts are whole and can be merged"
    script:
        "../scripts/check_experts.py"


rule compare_experts:
    input:
        f"results/experts/{plan.base}.json",
    output:
        f"results/experts/{plan.base}_cosines.csv",
    log:
        f"logs/cosines/{plan.base}.log",
    benchmark:
        f"results/benchmarks/cosines/{plan.base}.tsv"
    localrule: True
    conda:
        "../../envs/genome.yaml"
    params:
        version=plan.versions["cosines"],
    message:
        "Compare the experts: cosines of A, B and BA"
    script:
        "../scripts/compare_experts.py"
