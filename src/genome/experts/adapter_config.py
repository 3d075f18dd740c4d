"""adapter_config.json as people have it: which kind of adapter it is, and the rank and scaling of each of its layers.

Names in it (the base, the target modules) decide nothing: an adapter is what its tensors say.
"""

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from genome.errors import GenomeError
from genome.files import is_taken, read_json
from genome.limits import OverLimitError, limited

AGAIN = "fetch or train the expert again"

KINDS = {
    "LORA": "LoRA",
    "ADALORA": "AdaLoRA",
    "BOFT": "BOFT",
    "C3A": "C3A",
    "DEFT": "DEFT",
    "DELORA": "DeLoRA",
    "FOURIERFT": "FourierFT",
    "GLORA": "GLoRA",
    "GRALORA": "GraLoRA",
    "HIRA": "HiRA",
    "HRA": "HRA",
    "IA3": "IA3",
    "LOHA": "LoHa",
    "LOKR": "LoKr",
    "MISS": "MiSS",
    "OFT": "OFT",
    "PEANUT": "PEANUT",
    "PVERA": "PVeRA",
    "RANDLORA": "RandLoRA",
    "ROAD": "RoAd",
    "SHIRA": "SHiRA",
    "SUPERTUNING": "SuperTuning",
    "VBLORA": "VB-LoRA",
    "VERA": "VeRA",
    "WAVEFT": "WaveFT",
}
"""PEFT's types of adapters that are changes of linear layers' weights, and the names of these kinds."""

EXACT = ("LoRA", "rsLoRA")
"""Kinds whose changes are products of two factors that the adapter has."""

NO_WEIGHTS = {
    **dict.fromkeys(
        (
            "PROMPT_TUNING",
            "MULTITASK_PROMPT_TUNING",
            "P_TUNING",
            "PREFIX_TUNING",
            "ADAPTION_PROMPT",
            "CPT",
            "CARTRIDGE",
        ),
        "adds to the prompt and changes no weights",
    ),
    **dict.fromkeys(("XLORA", "POLY"), "mixes several adapters by the input, so it has no fixed change of the weights"),
    "LN_TUNING": "changes only norms",
    "TRAINABLE_TOKENS": "changes only embeddings",
}
"""Types of adapters that do not change the weight of a linear layer."""

CANNOT_MERGE = (
    "use_qalora",
    "use_bdlora",
    "target_parameters",
    "layer_replication",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
)
"""Fields of PEFT's LoraConfig that, when set, make the model different from `W + scale * BA` with the base's W."""

CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Initialisations that also change the base model; the adapter is useless without that changed base."""

LARGEST_ALPHA = 1e30
"""Far above the alpha of any adapter; integers beyond the range of float32 would overflow."""


def read_config(path: Path | str) -> dict[str, Any]:
    """Return the fields of an adapter_config.json.

    Raises GenomeError, with the field, for an adapter whose tensors do not change the base's weights, and for a
    plain LoRA adapter without a valid rank or scaling.
    """
    if not is_taken(path):
        raise GenomeError(f"{path}: missing; {AGAIN}")
    config = read_json(path)
    if not isinstance(config, dict):
        raise GenomeError(f"{path}: it contains {_show(config)}, expected a mapping of fields; {AGAIN}")
    peft_type = config.get("peft_type")
    if not isinstance(peft_type, str) or not peft_type.isupper():
        raise GenomeError(f"{path}: peft_type is {_show(peft_type)}, expected a type of PEFT's adapters, such as LORA")
    if peft_type in NO_WEIGHTS:
        raise GenomeError(f"{path}: peft_type is {peft_type!r}, which {NO_WEIGHTS[peft_type]}; it cannot be merged")
    if peft_type not in KINDS:
        raise GenomeError(
            f"{path}: adapters of peft_type {peft_type} cannot be imported; if PEFT can merge it, call "
            "`PeftModel.from_pretrained(BASE, FOLDER).merge_and_unload().save_pretrained(NEW)` and give NEW as `path`"
        )
    for field, (fits, expected) in (FIELDS if peft_type == "LORA" else BASE_FIELDS).items():
        value = config.get(field)
        if not fits(value):
            found = f"{field} is {_show(value)}" if field in config else f"no field {field}"
            raise GenomeError(f"{path}: {found}, expected {expected}; correct it, or {AGAIN}")
    unsupported = [field for field in CANNOT_MERGE if config.get(field)]
    if str(config.get("init_lora_weights")).lower().startswith(CHANGES_BASE):
        unsupported.append("init_lora_weights")
    if unsupported:
        field = unsupported[0]
        reason = (
            "which also changes the base model; convert it to plain LoRA with PEFT "
            "(`save_pretrained(NEW, path_initial_model_for_weight_conversion=…)`)"
            if field == "init_lora_weights"
            else "but such an adapter cannot be merged; train the expert without it"
        )
        raise GenomeError(f"{path}: {field} is {_show(config[field])}, {reason}")
    return config


def kind_of(config: Mapping[str, Any], tensors: Iterable[str]) -> str:
    """Return the name of an adapter's kind; whether a LoRA adapter is DoRA is decided by its tensors."""
    peft_type = config["peft_type"]
    if peft_type != "LORA":
        return KINDS[peft_type]
    if any(".lora_magnitude_vector" in tensor for tensor in tensors):
        return "DoRA"
    return "rsLoRA" if config.get("use_rslora") else "LoRA"


def rank_and_scale(config: Mapping[str, Any], module: str) -> tuple[int, float]:
    """Return the rank and the scaling that a LoRA config gives to `module`, as PEFT does.

    In `rank_pattern` and `alpha_pattern`, the first key that matches the end of the module's name at a dot counts.
    Raises GenomeError for a pattern that takes too long.
    """
    rank = _by_pattern(config.get("rank_pattern") or {}, module, config["r"])
    alpha = _by_pattern(config.get("alpha_pattern") or {}, module, config["lora_alpha"])
    return rank, alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _by_pattern(pattern: Mapping[str, Any], module: str, default: Any) -> Any:
    if not pattern:
        return default
    try:
        with limited():
            return next((pattern[key] for key in pattern if re.match(rf"(.*\.)?({key})$", module)), default)
    except OverLimitError as error:
        raise GenomeError(f"a pattern of ranks or alphas {error}; simplify rank_pattern or alpha_pattern") from error


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < LARGEST_ALPHA


def _is_rank(value: Any) -> bool:
    return type(value) is int and 0 < value < LARGEST_ALPHA


def _is_pattern(value: Any, fits: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, dict) or not all(map(fits, value.values())):
        return False
    try:
        for key in value:
            re.compile(rf"(.*\.)?({key})$")
    except (re.error, RecursionError, OverflowError):
        return False
    return True


BASE_FIELDS = {
    "base_model_name_or_path": (lambda value: value is None or isinstance(value, str), "a name or null"),
}
FIELDS = {
    "r": (_is_rank, "a whole number above 0"),
    "lora_alpha": (_is_number, "a number above 0"),
    "rank_pattern": (lambda value: _is_pattern(value, _is_rank), "a mapping of patterns to whole numbers above 0"),
    "alpha_pattern": (lambda value: _is_pattern(value, _is_number), "a mapping of patterns to numbers above 0"),
    **BASE_FIELDS,
}
"""The fields that are used, each with its check and a description of valid values."""


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:80]}…"
