"""The last sentence: what to use, by validation and by paired test differences that hold, where it is, what next."""

from pathlib import Path

import numpy as np
import pytest

from genome.api.advice import Score, Ways, sentence
from genome.scoring.differences import difference
from genome.scoring.statistics import Answered

SAMPLES = 200
WAYS = Ways(
    adapter=Path("out/adapter"),
    convert="genome gguf out/adapter out/adapter.gguf --base out/base",
    expert="spanish",
    controls={
        "base": "models/base as it is",
        "best_single": "adapters/es as it is",
        "validation_lora": "which `genome materialise out/lora.safetensors out/validation_lora` writes",
    },
    longer="genome evolve --out out --generations 20",
)


def answered(share):
    """Return answers of which the first `share` are right, so that differences are of the samples in between."""
    scores = (np.arange(SAMPLES) < share * SAMPLES).astype(float)
    return Answered("accuracy", tuple(range(SAMPLES)), tuple(scores), (scores,))


def said(own, kind="search", ways=WAYS, **controls):
    gains = {name: difference([answered(own)], [answered(share)]) for name, share in controls.items()}
    scores = {name: Score(share, 0, 1, SAMPLES) for name, share in controls.items()}
    found = sentence(kind, scores, Score(own, 0, 1, SAMPLES), gains, 100, ways)
    assert "\n" not in found
    return found


def test_better_than_everything_is_used():
    assert said(0.8, base=0.1, best_single=0.5, validation_lora=0.6) == (
        "Use out/adapter: it has 80.0 % on 200 test samples, significantly more than the base model (10.0 %), the "
        "expert spanish (50.0 %) and a LoRA trained on the same samples (60.0 %); its README.md says how to load it, "
        "and `genome gguf out/adapter out/adapter.gguf --base out/base` writes it for llama.cpp."
    )
    assert said(0.8).startswith("Use out/adapter: it has 80.0 % on 200 test samples; its README.md")


@pytest.mark.parametrize(
    ("better", "use"),
    [
        ("base", "Use the base model (90.0 %) instead, models/base as it is: "),
        ("best_single", "Use the expert spanish (90.0 %) instead, adapters/es as it is: "),
        (
            "validation_lora",
            "Use a LoRA trained on the same samples (90.0 %) instead, which `genome materialise out/lora.safetensors "
            "out/validation_lora` writes: ",
        ),
    ],
)
def test_a_control_that_is_better_is_used_instead(better, use):
    found = said(0.6, **{"base": 0.1, "best_single": 0.7, better: 0.9})
    assert found == f"{use}it is significantly better than out/adapter, which has 60.0 % on 200 test samples."


def test_the_simplest_of_equals_is_used():
    assert said(0.6, base=0.1, best_single=0.59, validation_lora=0.61) == (
        "Use the expert spanish, adapters/es as it is, unless you can search longer (`genome evolve --out out "
        "--generations 20`) or with more samples: out/adapter has 60.0 % on 200 test samples, not significantly more "
        "than the expert spanish (59.0 %) and a LoRA trained on the same samples (61.0 %)."
    )


@pytest.mark.parametrize(
    ("kind", "use"),
    [
        ("expert", "the expert spanish on 100 validation samples (50.0 % on 200 test samples): use it, adapters/es"),
        ("base", "the base model on 100 validation samples (50.0 % on 200 test samples): use it, models/base"),
    ],
)
def test_a_search_that_found_nothing_says_what_there_is_and_how_to_go_on(kind, use):
    assert said(0.5, kind, base=0.1, best_single=0.5) == (
        f"The search found nothing better than {use} as it is, or search on (`genome evolve --out out --generations "
        "20`), or give experts that know other parts of the task."
    )


@pytest.mark.parametrize("kind", ["search", "expert"])
def test_a_search_that_has_ended_is_not_to_go_on(kind):
    ended = Ways(**{**vars(WAYS), "longer": ""})
    found = said(0.6, kind, ended, base=0.1, best_single=0.6)
    assert "genome evolve" not in found
    assert "search with more samples: " in found or "as it is, or give experts" in found


def test_a_control_that_is_better_counts_also_if_the_search_found_nothing():
    assert said(0.5, "expert", base=0.1, best_single=0.5, validation_lora=0.9).startswith("Use a LoRA trained on")
