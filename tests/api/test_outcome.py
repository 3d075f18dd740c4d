"""The last sentence: what to use, by validation and by paired test differences that hold."""

from pathlib import Path

import numpy as np
import pytest

from genome.api.outcome import Score, sentence
from genome.scoring.differences import difference
from genome.scoring.statistics import Answered

ADAPTER = Path("out/adapter")
SAMPLES = 200


def answered(share):
    """Return answers of which the first `share` are right, so that differences are of the samples in between."""
    scores = (np.arange(SAMPLES) < share * SAMPLES).astype(float)
    return Answered("accuracy", tuple(range(SAMPLES)), tuple(scores), (scores,))


def said(own, kind="search", **controls):
    gains = {name: difference([answered(own)], [answered(share)]) for name, share in controls.items()}
    scores = {name: Score(share, 0, 1, SAMPLES) for name, share in controls.items()}
    return sentence(kind, ADAPTER, Score(own, 0, 1, SAMPLES), scores, gains, "spanish", 100, Path("out/lora"))


def test_better_than_everything_is_used():
    assert said(0.8, base=0.1, best_single=0.5, validation_lora=0.6) == (
        "Use out/adapter: it has 80.0 % on 200 test samples, significantly more than the base model (10.0 %), the "
        "expert spanish (50.0 %) and a LoRA trained on the same samples (60.0 %)."
    )


def test_a_control_that_is_better_is_used_instead():
    found = said(0.6, base=0.1, best_single=0.7, validation_lora=0.9)
    assert found.startswith(
        "Use a LoRA trained on the same samples (90.0 %) instead, which `genome materialise out/lora FOLDER` writes: "
        "it is significantly better than out/adapter"
    )
    assert "60.0 % on 200 test samples" in found


def test_the_simplest_of_equals_is_used():
    found = said(0.6, base=0.1, best_single=0.59, validation_lora=0.61)
    assert found.startswith("Use the expert spanish unless you can search longer or with more samples: out/adapter has")
    assert "the expert spanish (59.0 %) and a LoRA trained on the same samples (61.0 %)" in found


@pytest.mark.parametrize(("kind", "name"), [("expert", "the expert spanish"), ("base", "the base model")])
def test_a_search_that_found_nothing_says_so(kind, name):
    found = said(0.5, kind, base=0.1, best_single=0.5)
    assert found.startswith(f"The search found nothing better than {name} on 100 validation samples (50.0 % on 200")


def test_a_control_that_is_better_counts_also_if_the_search_found_nothing():
    assert said(0.5, "expert", base=0.1, best_single=0.5, validation_lora=0.9).startswith("Use a LoRA trained on")


def test_a_result_is_one_sentence():
    for own in (0.2, 0.6, 0.95):
        assert said(own, base=0.1, best_single=0.6).count("\n") == 0
