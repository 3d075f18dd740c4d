"""What a run will cost, before it starts: evaluations, samples, tokens, disk and, from a measured rate, time.

The workflow provides the jobs that it would run. `cost` computes what they need from the rows of the methods,
`measured` reads files of earlier runs in the same folder, and `text` describes the result. Importing this package is
quick, since each run imports it before it starts.
"""

from genome.forecast.cost import STAGES, Forecast, Job, Rate, Setting, forecast, tasks_of
from genome.forecast.measured import measure
from genome.forecast.text import describe, headline

__all__ = ["STAGES", "Forecast", "Job", "Rate", "Setting", "describe", "forecast", "headline", "measure", "tasks_of"]
