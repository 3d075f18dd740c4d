"""Tasks: rows become prompts, responses become answers, answers become scores.

- `task`, `definition`: a task as a value, and from its definition; `file`: a task file, checked completely
- `splits`: rows from files, the hub or the micro world; validation and test
- `prompts`: templates, chat template, token ids (once, in a separate stage)
- `extraction`, `kinds`: responses to answers, answers to scores, one row per kind of answer
- `scoring`, `metrics`: candidates' answers to their metric

Importing this package imports only the standard library; libraries that compute a score are imported when needed.
"""

from genome.tasks.definition import parse_task
from genome.tasks.kinds import KINDS, Kind
from genome.tasks.task import Task

__all__ = ["KINDS", "Kind", "Task", "parse_task"]
