"""GENOME: population-based evolution of LoRA experts without gradients (arXiv 2503.01155).

`genome.evolve` evolves experts for a task in one call; it is imported when it is first used, since jobs import this.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genome.api import Evolved, evolve

__all__ = ["Evolved", "evolve"]
__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from genome import api

    return getattr(api, name)
