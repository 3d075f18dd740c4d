"""What tests share: small experts made on the spot."""

from collections.abc import Callable
from pathlib import Path

import pytest

from builders import write_expert
from genome.experts import Expert


@pytest.fixture
def make_experts(tmp_path: Path) -> Callable[..., list[Expert]]:
    """Return a function that makes n compatible experts."""

    def make(n: int, **settings) -> list[Expert]:
        return [write_expert(tmp_path / f"expert{seed}", seed, **settings) for seed in range(n)]

    return make
