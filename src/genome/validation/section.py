"""What sections of configs and task files share: closed models without coercion, and the types of their values.

They are checked as JSON: `True` is not 1, "1" is not 1 and 10.0 is not a whole number, and a number keeps the type
that it was given.
"""

from collections.abc import Container, Hashable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import literal_schema

from genome.validation.readable import is_mapping

CONFIG = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class Section(BaseModel):
    """A mapping in a config whose keys are all known."""

    model_config = CONFIG

    def given(self) -> dict[str, Any]:
        """Return the keys that the config gives, with their values as JSON has them; defaults are left out."""
        return self.model_dump(mode="json", exclude_unset=True, by_alias=True)


Entry = TypeVar("Entry", bound=Hashable)


def _unique(values: tuple[Entry, ...]) -> tuple[Entry, ...]:
    for value in values:
        if values.count(value) > 1:
            raise PydanticCustomError("repeated", "{value} is listed twice; keep one", {"value": repr(value)})
    return values


UNIQUE = AfterValidator(_unique)
LISTED = Field(min_length=1, json_schema_extra={"uniqueItems": True})

Number = int | float
Text = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[Text, ...], LISTED, UNIQUE]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]


def one_of(*keys: str) -> Discriminator:
    """Return what chooses the model of a section by which of `keys` it has: one of them, and only one."""

    def chosen(value: Any) -> str | None:
        names: Container[str] = value if is_mapping(value) else getattr(value, "__pydantic_fields__", ())
        given = [key for key in keys if key in names]
        return f"<with {given[0]}>" if len(given) == 1 else None

    named = f"{', '.join(keys[:-1])} or {keys[-1]}"
    return Discriminator(
        chosen,
        custom_error_type="no_source",
        custom_error_message=f"give one of {named}",
    )


def by_value(key: str, *known: str) -> Discriminator:
    """Return what chooses the model of a section by the value of `key`: one of `known`, by default the first."""

    def chosen(value: Any) -> str | None:
        named = value.get(key, known[0]) if is_mapping(value) else getattr(value, key, None)
        return f"<{key} {named}>" if named in known else None

    return Discriminator(
        chosen,
        custom_error_type="unknown_tag",
        custom_error_message="unknown",
        custom_error_context={"key": key, "known": ", ".join(known)},
    )


@dataclass(frozen=True)
class OneOf:
    """An annotation of text that is one of several names."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return pydantic's schema of the names."""
        return literal_schema(list(self.names))
