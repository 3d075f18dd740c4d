# Requires: config `bases`: the base model, its experts (hub, path or training corpus), Data Merge; training corpora.
# Provides: resources/models/BASE/; resources/experts/NAME.safetensors (an expert), and resources/experts/NAME/ (a fine-tune
#   as it was trained); results/experts/BASE.json (checked experts), BASE_cosines.csv (how similar they are), and
#   BASE_shared-R.{safetensors,csv} (a joint basis of rank R, and what is lost in it);
#   results/benchmarks/adapters/NAME.json (how fast an expert was trained).


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
        folder=directory("resources/experts/{adapter}"),
        expert="resources/experts/{adapter}.safetensors",
        record="results/benchmarks/adapters/{adapter}.json",
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
        "{wildcards.adapter}: fine-tune the base model"
    script:
        "../scripts/train_adapter.py"


rule import_adapter:
    input:
        base=f"resources/models/{plan.base}",
        files=inputs.adapter_files,
    output:
        "resources/experts/{adapter}.safetensors",
    log:
        "logs/adapters/{adapter}.log",
    benchmark:
        "results/benchmarks/adapters/{adapter}.tsv"
    wildcard_constraints:
        adapter=patterns.imported,
    localrule: True  # what is fetched needs the internet, which compute nodes may lack
    conda:
        "../../envs/genome.yaml"
    params:
        settings=settings.importing,
    message:
        "{wildcards.adapter}: import a fine-tune"
    script:
        "../scripts/import_adapter.py"


rule check_experts:
    input:
        base=f"resources/models/{plan.base}",
        experts=expand("resources/experts/{expert}.safetensors", expert=plan.experts),
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
        settings=settings.manifest,
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


rule shared_basis:
    input:
        f"results/experts/{plan.base}.json",
    output:
        basis=f"results/experts/{plan.base}_shared-{{rank}}.safetensors",
        losses=f"results/experts/{plan.base}_shared-{{rank}}.csv",
    log:
        f"logs/experts/{plan.base}_shared-{{rank}}.log",
    benchmark:
        f"results/benchmarks/experts/{plan.base}_shared-{{rank}}.tsv"
    wildcard_constraints:
        rank=patterns.shared_ranks,
    conda:
        "../../envs/genome.yaml"
    params:
        version=plan.versions["shared"],
    message:
        "Approximate the experts in a joint basis of rank {wildcards.rank}"
    script:
        "../scripts/shared_basis.py"
