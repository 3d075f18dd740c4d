"""Experts as a set: whether they can be merged, and what users should know about them.

Ranks and scalings may differ, and so may the layers that experts change: a missing layer is a change of zero.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

from genome.errors import GenomeError
from genome.experts.base_layers import CONFIG
from genome.experts.expert import PREFIX, Expert, is_mixed
from genome.files import is_file, is_taken, read_object

HUB_CACHE = re.compile(r"models--[^/\\]+?--([^/\\]+)[/\\]snapshots[/\\]")
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
PATH = re.compile(r"[/~.\\]|[A-Za-z]:|[^/]+/[^/]+/")
"""The start of a path, as against a hub id."""

QUANTISED = re.compile(r"([-_](unsloth|bnb|gguf|awq|gptq|fp8|int[48]|[48]bit))+$")
"""Ends of the names of quantised copies, as adapters that were trained on them name their base."""

RELATED = 0.5
"""Mean cosine of A, or of B, above which experts are taken to have a common start; unrelated factors have almost 0."""

Cosine = tuple[str, str, str, str, float | None]
"""Two experts, group of layers, factor and cosine, as `genome.lora.geometry.cosines` yields them."""


def check_set(experts: Sequence[Expert]) -> None:
    """Raise GenomeError, with all disagreements, unless all experts can be merged: at least two, of layers of one size.

    Experts that were imported for the same base agree.
    """
    if len(experts) < 2:
        raise GenomeError(f"{len(experts)} expert(s) given, at least 2 are needed; add experts to the config")
    sizes: dict[str, tuple[Expert, int]] = {}
    different: dict[tuple[str, str], list[str]] = {}
    for expert in experts:
        for tensor, info in expert.tensors.items():
            # The other size is the rank.
            size = info.shape[1 if tensor.endswith("lora_A.weight") else 0]
            first, expected = sizes.setdefault(tensor, (expert, size))
            if size != expected:
                found = f"{tensor.removeprefix(PREFIX)} has size {expected} and {size}"
                different.setdefault((first.name, expert.name), []).append(found)
    if different:
        each = (
            f"experts {one} and {other} cannot be merged: {len(found)} tensor(s) differ, first {found[0]}"
            for (one, other), found in different.items()
        )
        raise GenomeError(f"{'; '.join(each)}; they are fine-tunes of different bases: import them for one base")


def set_warnings(experts: Sequence[Expert], base_name: str | None, cosines: Iterable[Cosine] = ()) -> list[str]:
    """Return what users should know about a set of experts, one line each; none of it prevents merging.

    `base_name` is the configured base, a hub id or a path. `cosines` between the experts' factors, if given, tell
    experts with a common start from unrelated ones.
    """
    return [*_name_warnings(experts, base_name), *_factor_warnings(experts, [*cosines])]


def model_name(base: str) -> str:
    """Return the part of a base model's name that identifies it: the last part of a hub id or path, in lower case.

    Adapters name their base as their training did: `google/gemma-2-2b-it`, a folder on another machine, the hub's
    cache, or a quantised copy such as `unsloth/gemma-2-2b-it-bnb-4bit`. Owner, folders and the end of a copy's name
    depend on the place, not on the model. The shapes of all layers are compared as well.
    """
    return QUANTISED.sub("", short_name(base).lower())


def short_name(base: str) -> str:
    """Return the last part of a base model's hub id or path; the repository's name for a path in the hub's cache."""
    cached = HUB_CACHE.search(base)
    return cached[1] if cached else base.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _name_warnings(experts: Sequence[Expert], base_name: str | None) -> list[str]:
    if base_name is None:
        return []
    names_of_base, shown = _names_of(base_name)
    other = [each for each in experts if each.base_model and model_name(each.base_model) not in names_of_base]
    if not other:
        return []
    listed = ", ".join(f"{each.name} ({each.base_model})" for each in other)
    if shown is None and len(other) < sum(each.base_model is not None for each in experts):
        shown = base_name  # as one of them calls it
    if shown is None:
        if len({model_name(str(each.base_model)) for each in other}) == 1:
            return []
        return [f"experts name different bases: {listed}; they are merged, because their shapes fit {base_name}"]
    names = ", ".join(sorted({str(each.base_model) for each in other}))
    if len(other) == len(experts):
        all_of_them = f"all {len(experts)} experts name" if len(experts) > 1 else f"expert {experts[0].name} names"
        return [
            f"WRONG BASE? {all_of_them} another base than the configured one ({shown}): {names}. Their shapes fit, "
            "but experts of another base are noise to this one; check the base"
        ]
    return [
        f"{len(other)} of {len(experts)} experts name another base than {shown}: {listed}; they are merged, "
        "because their shapes fit"
    ]


def _names_of(base: str) -> tuple[set[str], str | None]:
    """Return the names that fine-tunes of the configured base may state, and its name for messages if it is known.

    The name of a folder or file may be anything. Which model it is, is known from the hub's cache, or from a hub id as
    `_name_or_path` in its config.json.
    """
    path = Path(base).expanduser()
    places = [base]
    if not PATH.match(base) and not is_taken(path):
        return {model_name(base)}, base
    places.append(str(path.resolve()))
    known = read_object(path / CONFIG).get("_name_or_path") if is_file(path / CONFIG) else None
    if isinstance(known, str) and known:
        places.append(known)
    shown = base if any(HUB_CACHE.search(place) for place in places[:2]) else None
    if shown is None and (HUB_CACHE.search(places[-1]) or HUB_ID.fullmatch(places[-1])):
        shown = f"{base}, {known} in its {CONFIG}"
    return {model_name(place) for place in places}, shown


def _factor_warnings(experts: Sequence[Expert], cosines: Sequence[Cosine]) -> list[str]:
    values = {
        side: [cos for *_, group, factor, cos in cosines if (group, factor) == ("all", side) and cos is not None]
        for side in "AB"
    }
    shown = ", ".join(
        f"of {side} {fmean(found):.2f} on average ({min(found):.2f} to {max(found):.2f})"
        for side, found in values.items()
        if found
    )
    unrelated = bool(shown) and all(not found or fmean(found) < RELATED for found in values.values())
    mixed = is_mixed(experts)
    if not (mixed or unrelated):
        return []
    ranks = f"different ranks ({', '.join(f'{each.name}: {each.rank}' for each in experts)})" if mixed else ""
    what = " and ".join(each for each in (ranks, "unrelated factors" if unrelated else "") if each)
    between = f"; cosines between experts: {shown}" if shown else ""
    default = ", the default for mixed ranks," if mixed else ""
    return [
        f"the experts have {what}{between}. Which rows of A and columns of B meet in a merge by factors is then "
        f"arbitrary; `merge_space: product`{default} is exact"
    ]
