"""The size of adapters on disk, which depends on the experts' ranks and on the space in which they are merged."""

from collections.abc import Sequence

from genome.experts.expert import Expert, is_mixed, stored_type
from genome.experts.tensors import STORAGE, header_bytes
from genome.genotype import FACTORS, PRODUCT, shared_rank
from genome.lora.layers import factor_names, shape_of, union_of
from genome.search.settings import named_space, settled_space, space_of


def adapter_bytes(experts: Sequence[Expert], number: int, space: str) -> int:
    """Return the size of the weights file of a mixture in a space; "" is the one that the experts choose.

    `experts` are those that are there, of a set of `number`: the others are taken to have their mean rank.
    """
    settled = space_of(settled_space(named_space(space), mixed=is_mixed(experts)))
    ranks = [expert.rank for expert in experts]
    own = {FACTORS: max(ranks), PRODUCT: round(sum(ranks) * number / len(ranks))}
    rank, dtype = shared_rank(settled) or own[settled], stored_type(experts)
    shapes = {
        name: shape_of(name, size, rank) for layer, size in union_of(experts).items() for name in factor_names(layer)
    }
    values = sum(rows * columns for rows, columns in shapes.values())
    return len(header_bytes(dict.fromkeys(shapes, dtype), shapes)) + values * STORAGE[dtype].itemsize
