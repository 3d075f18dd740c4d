"""What the fitness of a search measures. Fitness of different measures cannot be compared."""

from dataclasses import dataclass, fields
from typing import Any, Literal

ObjectiveName = Literal["metric", "likelihood"]

METRIC: ObjectiveName = "metric"
LIKELIHOOD: ObjectiveName = "likelihood"


@dataclass(frozen=True)
class Measure:
    """The objective, of how many validation samples of each task (None: all), and whether it is calibrated.

    The default is the paper's: the metric on all samples.
    """

    objective: ObjectiveName = METRIC
    samples: int | None = None
    calibrated: bool = False

    def given(self) -> dict[str, Any]:
        """Return what differs from the default, as JSON values; nothing for the paper's measure."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {each.name: values[each.name] for each in fields(self) if values[each.name] != each.default}

    def __str__(self) -> str:
        """Return the measure for people.

        >>> print(Measure(), Measure("likelihood", 50, calibrated=True), sep="; ")
        the metric on all samples; the calibrated likelihood on 50 samples
        """
        number = "all" if self.samples is None else self.samples
        return f"the {'calibrated ' if self.calibrated else ''}{self.objective} on {number} samples"


OF_PAPER = Measure()
"""The paper's measure."""


def measure_name(measure: Measure) -> str:
    """Return a measure as a part of paths; nothing for the paper's.

    >>> measure_name(Measure("likelihood", 50)), measure_name(Measure()), measure_name(Measure(samples=50))
    ('likelihood-s50', '', 's50')
    """
    parts = [] if measure.objective == METRIC else [measure.objective]
    parts += ["calibrated"] if measure.calibrated else []
    parts += [] if measure.samples is None else [f"s{measure.samples}"]
    return "-".join(parts)
