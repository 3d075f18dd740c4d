"""The last sentence of a run: what to use, by validation and by paired test differences that hold, and how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from genome.api.folder import CONTROLS
from genome.report.card import percent
from genome.scoring.differences import Difference
from genome.search.finalists import VALIDATION_LORA, Kind

BASE, EXPERT, LORA = CONTROLS


@dataclass(frozen=True)
class Score:
    """A score on test samples, in [0, 1], with its 95 % interval over them."""

    value: float
    low: float
    high: float
    samples: int


@dataclass(frozen=True)
class Ways:
    """How a user gets what a run may advise to use.

    adapter: the PEFT folder of the result; convert: the command that writes it for llama.cpp
    expert: the name of the best expert by validation; "" if experts were not scored alone
    controls: where the base, the best expert and the Validation LoRA are, or what writes them, by their names
    longer: the command that searches on; "" if the search would find nothing more, or cannot continue
    """

    adapter: Path
    convert: str
    expert: str
    controls: Mapping[str, str]
    longer: str


def sentence(
    kind: Kind, scores: Mapping[str, Score], own: Score, gains: Mapping[str, Difference], samples: int, ways: Ways
) -> str:
    """Return what to use, why, and how.

    kind: what validation has chosen; scores, gains: of the controls, and paired differences of the result from them, by
    their names; own: the result's score; samples: how many validation samples chose
    """
    names = {BASE: "the base model", EXPERT: f"the expert {ways.expert}", LORA: "a LoRA trained on the same samples"}
    shown = {name: f"{names[name]} ({percent(scores[name].value)} %)" for name in gains}
    result = f"{percent(own.value)} % on {own.samples} test samples"
    worse = [name for name, gain in gains.items() if gain.holds and gain.estimate.value < 0]
    level = [name for name, gain in gains.items() if not gain.holds]
    if worse:
        best = max(worse, key=lambda name: scores[name].value)
        way = ways.controls[best]
        return f"Use {shown[best]} instead, {way}: it is significantly better than {ways.adapter}, which has {result}."
    if kind != "search":
        same = {"base": BASE, VALIDATION_LORA: LORA}.get(kind, EXPERT)
        longer = f"search on (`{ways.longer}`), or " if ways.longer else ""
        return (
            f"The search found nothing better than {names[same]} on {samples} validation samples ({result}): use it, "
            f"{ways.controls[same]}, or {longer}give experts that know other parts of the task."
        )
    if level:
        longer = f"search longer (`{ways.longer}`) or with" if ways.longer else "search with"
        return (
            f"Use {names[level[0]]}, {ways.controls[level[0]]}, unless you can {longer} more samples: {ways.adapter} "
            f"has {result}, not significantly more than {_listed([shown[name] for name in level])}."
        )
    better = f", significantly more than {_listed([*shown.values()])}" if shown else ""
    return (
        f"Use {ways.adapter}: it has {result}{better}; its README.md says how to load it, and `{ways.convert}` writes "
        "it for llama.cpp."
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
