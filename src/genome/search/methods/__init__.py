"""Search methods: rows of two tables, over one protocol."""

from genome.search.asking import Search
from genome.search.methods import cma_es, genome, model_swarms
from genome.search.methods.baselines import BASELINES

GENERATIONS = {
    "cma_es": cma_es.generation,
    "genome": genome.generation,
    "genome_plus": genome.generation,
    "model_swarms": model_swarms.generation,
}
"""Methods that advance a population by one generation, one job each."""

__all__ = ["BASELINES", "GENERATIONS", "Search"]
