"""A task as a value. Templates and expressions are kept as text here and compiled in `genome.tasks.prompts` only.

Every generation's job builds tasks, and none of them renders a prompt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from genome.tasks.likelihood import GENERATION, OPTION, TEXT

HARNESS = "harness"
"""The kind of generated answers to a task of lm-evaluation-harness."""


@dataclass(frozen=True)
class Task:
    """One task, as its file describes it: the fields are those of `genome.tasks.file.TaskFile`.

    `labels` maps the letter (or the label itself, if labels have no letters) to the label. `stop` are the texts at
    which its responses end, which are settings of its chat or of the base's.
    """

    name: str
    kind: str
    metric: str
    source: Mapping[str, Any]
    prompt: str
    category: str = ""
    reference: str | None = None
    shots: int = 0
    examples_by: str | None = None
    where: str | None = None
    distinct: str | None = None
    test_samples: int | str | None = None
    max_tokens: int = 512
    chat: Literal["plain"] | Mapping[str, Any] | None = None
    stop: Sequence[str] = ()
    version: int = 1
    options: str | None = None
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    synonyms: Mapping[str, Sequence[str]] = field(default_factory=lambda: MappingProxyType({}))
    tests: str | None = None
    setup: str | None = None
    prefix: str = ""
    pattern: str | None = None
    fallback: str | None = None
    integers: bool = False
    working: bool | None = None
    tokenizer: str = "13a"
    draw: Mapping[str, Any] | None = None
    answer_by: str = GENERATION
    likelihood_of: str = TEXT
    likelihood_per: str = OPTION
    neutral_prompt: str | None = None
