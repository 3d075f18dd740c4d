"""What a run will cost, before it starts: evaluations, samples, tokens, disk and, from measured rates, time.

The workflow provides the jobs that it would run. `cost` computes what they need from the rows of the methods,
`measured` reads files of earlier runs in the same folder (`records`: how long they took, to which `rates` are fitted),
and `text` describes the result. Importing this package is quick, since each run imports it before it starts.
"""

from genome.forecast.cost import STAGES, TRAININGS, forecast, tasks_of
from genome.forecast.measured import measure
from genome.forecast.rates import given_rate
from genome.forecast.text import describe, headline
from genome.forecast.values import Forecast, Job, Setting

__all__ = [
    "STAGES", "TRAININGS", "Forecast", "Job", "Setting", "describe", "forecast", "given_rate", "headline", "measure",
    "tasks_of",
]  # fmt: skip
