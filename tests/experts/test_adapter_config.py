"""The fields of adapter_config.json: PEFT's rules for patterns, and its types of adapters."""

import math
import re

from hypothesis import assume, given
from hypothesis import strategies as st
from peft.utils.other import get_pattern_key

from genome.experts.adapter_config import KINDS, NO_WEIGHTS, rank_and_scale

PARTS = st.sampled_from(["model", "layers", "0", "1", "10", "self_attn", "mlp", "q_proj", "up_proj", "proj"])
MODULES = st.lists(PARTS, min_size=1, max_size=5).map(".".join)
KEYS = MODULES | st.sampled_from(["^model", ".*_proj", r"layers\.(0|1)\..*", "[qk]_proj", "q_proj|up_proj", "proj$"])


@given(
    MODULES,
    st.dictionaries(KEYS, st.integers(1, 64)),
    st.dictionaries(KEYS, st.floats(0.5, 64)),
    st.integers(1, 64),
    st.integers(1, 64),
    st.booleans(),
)
def test_patterns_follow_pefts_rule(module, ranks, alphas, r, alpha, rslora):
    config = {"r": r, "lora_alpha": alpha, "rank_pattern": ranks, "alpha_pattern": alphas, "use_rslora": rslora}
    rank = ranks.get(get_pattern_key(ranks.keys(), module), r)
    expected = alphas.get(get_pattern_key(alphas.keys(), module), alpha)
    assert rank_and_scale(config, module) == (rank, expected / (math.sqrt(rank) if rslora else rank))


@given(MODULES, st.sampled_from(["q_proj", "proj"]))
def test_a_key_matches_whole_parts_of_a_name(module, key):
    assume(not re.search(rf"(^|\.){key}$", module))
    assert rank_and_scale({"r": 4, "lora_alpha": 8, "rank_pattern": {key: 2}}, module) == (4, 2.0)


def test_the_kinds_are_those_that_peft_can_merge_one_layer_at_a_time():
    from genome.experts.deltas import SUPPORTED

    assert set(KINDS) == SUPPORTED


def test_every_type_of_peft_is_known_or_has_no_change_to_merge():
    from peft import PeftType

    types = {each.value for each in PeftType}
    assert set(KINDS) < types
    assert set(NO_WEIGHTS) < types
