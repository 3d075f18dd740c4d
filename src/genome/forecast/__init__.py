"""What a plan will cost before anything starts: evaluations, samples, tokens, disk and, from a measured rate, time.

The workflow hands over the jobs that it would run (`cost`: what they ask of the engine follows from the methods'
definitions); what is `measured` is read from files of earlier runs in the same folder; `text` is for people. Importing
this package loads nothing that the checks of tasks have not loaded, since each run's start waits for it.
"""

from genome.forecast.cost import STAGES, Forecast, Job, Rate, Setting, forecast
from genome.forecast.measured import measure
from genome.forecast.text import describe, headline

__all__ = ["STAGES", "Forecast", "Job", "Rate", "Setting", "describe", "forecast", "headline", "measure"]
