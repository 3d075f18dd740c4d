"""The settings `chat` of a base and of a task, checked completely when a config is read. No job imports this module."""

import datetime
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from genome.errors import GenomeError
from genome.tasks.chat import DATE, PLAIN, RESERVED, STOPS
from genome.validation.explain import explained
from genome.validation.section import UNIQUE, Section, Text
from genome.validation.words import Words

OF_TEMPLATE = ("system", "template", "template_file", "template_arguments", "date")
"""Settings that need a chat template."""


Piece = Annotated[Text, Words("non-empty text")]


def _free(arguments: dict[str, Any]) -> dict[str, Any]:
    taken = sorted(set(RESERVED) & set(arguments))
    if taken:
        raise PydanticCustomError("source", "{names} cannot be set; remove it", {"names": ", ".join(taken)})
    return arguments


def _day(text: str) -> str:
    try:
        whole = datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        whole = False
    if not whole:
        raise PydanticCustomError("mismatch", "not a date")
    return text


class ChatSettings(Section):
    """How prompts are rendered with the base's chat template, how the assistant's turn begins, and where it ends.

    A task's settings replace those of the base, key by key, and null removes one.
    """

    system: str | None = Field(None, description="Text of a system turn before the prompt.")
    template: Text | None = Field(None, description="Which template to use if the tokenizer has several by name.")
    template_file: Text | None = Field(
        None, description="A file with a template (Jinja) that is used instead of the tokenizer's."
    )
    template_arguments: Annotated[dict[str, JsonValue], AfterValidator(_free)] | None = Field(
        None, description="Variables of the template, such as `{enable_thinking: false}`."
    )
    assistant_prefix: Piece | None = Field(
        None,
        description="Text with which the assistant's turn begins, such as `Answer:`; the response is what follows it.",
    )
    stop: (
        Annotated[
            tuple[Piece, ...],
            Field(min_length=1, max_length=STOPS),
            UNIQUE,
            Words(f"a list of 1 to {STOPS} non-empty texts"),
        ]
        | None
    ) = Field(None, description="Texts at which a response ends; it is cut before the first of them.")
    date: Annotated[str, AfterValidator(_day), Words("a date, 'YYYY-MM-DD' in quotes")] | None = Field(
        None, description=f"The date that a template gets as today's; {DATE} if not given."
    )
    plain: bool | None = Field(
        None,
        description="True: no template, but the prompt, a line break and the response; `chat: plain` is the same.",
    )

    @model_validator(mode="after")
    def _check_template(self) -> "ChatSettings":
        given = [key for key in OF_TEMPLATE if getattr(self, key) is not None]
        if self.plain and given:
            raise PydanticCustomError("source", "plain means no template; remove {names}", {"names": ", ".join(given)})
        if {"template", "template_file"} <= {*given}:
            raise PydanticCustomError(
                "source", "template names one of the tokenizer's own templates; remove it, or template_file"
            )
        return self


AnyChat = Annotated[
    ChatSettings | Literal["plain"] | None, Words("a mapping, such as {system: TEXT}, or plain, or null")
]
"""The value of `chat`."""

Given = Literal["plain"] | Mapping[str, Any] | None
"""The value of `chat` as JSON."""


def laid_over(base: Given, task: Given, where: str = "") -> dict[str, Any]:
    """Return the settings of a base with those of a task laid over them, without nulls and defaults.

    GenomeError, which begins with `where`, if they do not fit together: a system text and a base without a template.
    """
    under, over = _keys(base), _keys(task)
    replaced: tuple[str, ...] = OF_TEMPLATE if over.get("plain") else ()
    if over.get("template") or over.get("template_file"):  # either chooses the template
        replaced = ("template", "template_file")
    merged = {**{key: value for key, value in under.items() if key not in replaced}, **over}
    if merged.get("template_arguments") is not None:
        merged["template_arguments"] = {**(under.get("template_arguments") or {}), **merged["template_arguments"]}
    defaults = {"plain": False, "date": DATE.isoformat(), "template_arguments": {}}
    found = {key: value for key, value in merged.items() if value is not None and value != defaults.get(key)}
    try:
        ChatSettings.model_validate_json(json.dumps(found))
    except ValidationError as error:
        raise GenomeError("; ".join(explained(error, ChatSettings, f"{where}chat, over the base's"))) from error
    return found


def _keys(chat: Given) -> dict[str, Any]:
    return {"plain": True} if chat == PLAIN else dict(chat or {})
