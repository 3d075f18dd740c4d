"""Named random streams: a generator depends on its name only, not on earlier draws."""

import hashlib

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return the generator for `names` and `seed`.

    Streams with different names are independent, and drawing from one never changes another: a run that is resumed,
    reordered or distributed over more cores draws the same numbers. Names do not include the variant, so that
    ablations of a method share their randomness and differ only by the ablated operator.

    >>> stream(1, "mutation", 3).random() == stream(1, "mutation", 3).random()
    True
    """
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    words = np.frombuffer(digest, dtype="<u4").tolist()
    return np.random.default_rng(np.random.SeedSequence([seed, *words]))
