"""A task of EleutherAI's lm-evaluation-harness in a config, `{lm_eval: NAME}`, and what the workflow knows it as.

No job imports this module. The harness itself is first asked when a task's rows are read (`genome.tasks.harness`).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from genome.tasks.chat_settings import AnyChat
from genome.tasks.likelihood import LIKELIHOOD
from genome.validation.section import Count, Section, Text

BY_LIKELIHOOD: Mapping[str, Mapping[str, str]] = {
    "acc": {"likelihood_per": "option"},
    "acc_norm": {"likelihood_per": "character"},
    "acc_bytes": {"likelihood_per": "byte"},
    "acc_mutual_info": {"neutral_prompt": ""},
}
"""The harness's metrics of a multiple choice, and the fields of a task that give the same number."""

KEY = "lm_eval"
"""The key of a task that is the harness's."""


class HarnessTask(Section):
    """The fields of a task of lm-evaluation-harness."""

    lm_eval: Text = Field(description="The task's name in the harness.")
    metric: Text = Field("acc", description="One of the task's metrics.")
    filter: Text | None = Field(None, description="The filter of generated responses, if the task has several.")
    shots: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Examples; as many as the task says if not given."
    )
    include_path: Text | None = Field(None, description="A folder with YAML files of your tasks.")
    category: Text | None = Field(None, description="Categories in tables and figures, separated by commas.")
    test_samples: Count | Literal["rest"] | None = Field(None, description="Replaces `splits.test` for this task.")
    chat: AnyChat = Field(None, description="Changes to the base's `chat`, or `plain` for no template.")
    version: Annotated[int, Field(ge=0)] | None = Field(None, description="Raised when scores change.")


def is_harness(definition: Mapping[str, Any]) -> bool:
    """Say whether a task's definition names a task of the harness."""
    return definition.get(KEY) is not None


def expanded(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checked definition as that of an ordinary task; any task but the harness's is returned as it is.

    Its rows have the columns of `genome.tasks.harness`. Options are compared by their likelihood, unless the metric is
    another one, or a filter of generated responses is given.
    """
    if not is_harness(definition):
        return dict(definition)
    given = {key: value for key, value in definition.items() if value is not None}
    source = {key: given.pop(key) for key in (KEY, "shots", "include_path") if key in given}
    metric, chosen = given.pop("metric", "acc"), given.pop("filter", None)
    common = {**given, "prompt": "{{ question }}", "reference": "reference"}
    if metric in BY_LIKELIHOOD and chosen is None:
        by_likelihood = {"options": "options", "answer_by": LIKELIHOOD, **BY_LIKELIHOOD[metric]}
        return {**common, "kind": "choice", "metric": "accuracy", "source": source, **by_likelihood}
    source |= {"metric": metric} | ({"filter": chosen} if chosen else {})
    return {
        **common,
        "kind": "harness",
        "metric": "exact_match" if metric == "exact_match" else "mean",
        "source": source,
    }
