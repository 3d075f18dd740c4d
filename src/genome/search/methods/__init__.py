"""Search methods: one row per method, over one protocol (`genome.search.asking`)."""

from collections.abc import Mapping
from typing import Any

from genome.search.method import Method, read
from genome.search.methods import baselines, cma_es, controls, gauss_newton, genome, model_swarms, static

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        controls.BASE_MODEL,
        controls.MAJORITY,
        controls.UNIFORM,
        controls.TASK_ARITHMETIC,
        static.TIES,
        controls.VALIDATION_LORA,
        controls.RANDOPT,
        baselines.BEST_SINGLE,
        static.DATA_MERGE,
        static.DARE_TIES,
        baselines.EXPERT_FUSION,
        baselines.LORAHUB,
        static.PACK_OF_LLMS,
        baselines.PACK_OF_LLMS_MERGE,
        model_swarms.METHOD,
        genome.GENOME,
        genome.GENOME_PLUS,
        cma_es.METHOD,
        gauss_newton.METHOD,
    )
}
"""All methods by name: controls, then those of the paper in the order of its Table 2, then others."""


def read_method(params: Mapping[str, Any]) -> tuple[Method, Any]:
    """Return the method that the params of a stage name, and its settings."""
    method = METHODS[params["method"]]
    return method, read(method, params)
