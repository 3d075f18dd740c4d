"""Search methods: one row per method, over one protocol (`genome.search.asking`)."""

from genome.search.method import Method
from genome.search.methods import baselines, cma_es, genome, model_swarms, static

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        baselines.BEST_SINGLE,
        static.DATA_MERGE,
        static.DARE_TIES,
        baselines.EXPERT_FUSION,
        baselines.LORAHUB,
        baselines.PACK_OF_LLMS,
        model_swarms.METHOD,
        genome.GENOME,
        genome.GENOME_PLUS,
        cma_es.METHOD,
    )
}
"""All methods by name, in the order of the paper's Table 2."""

GENERATIONS = {name: method.run for name, method in METHODS.items() if method.stage == "generation"}
"""Methods that advance a population by one generation, one job each."""

BASELINES = {name: method.run for name, method in METHODS.items() if method.stage == "baseline"}
"""Methods of one stage: from the scored experts to a population whose `best` is the result."""
