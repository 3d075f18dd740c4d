"""Keys that name tasks and variants, which have to exist."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from genome.validation.section import LISTED, UNIQUE, Section, Text


@dataclass(frozen=True)
class Refers:
    """An annotation of a key that names tasks or variants; names of tasks may be `joined` by +."""

    kind: Literal["task", "variant"]
    joined: bool = False


TaskName = Annotated[Text, Refers("task")]
TaskNames = Annotated[tuple[Text, ...], LISTED, UNIQUE, Refers("task")]
JoinedTasks = Annotated[tuple[Text, ...], LISTED, UNIQUE, Refers("task", joined=True)]
VariantName = Annotated[Text, Refers("variant")]
VariantNames = Annotated[tuple[Text, ...], LISTED, UNIQUE, Refers("variant")]


class Shown(Section):
    """What a table or figure shows."""

    @property
    def compared(self) -> tuple[str, ...]:
        """The variants that it shows as rows or lines."""
        return getattr(self, "variants", ())

    def named(self, kind: Literal["task", "variant"]) -> list[tuple[str, str]]:
        """Return the tasks or variants that it names, each with its key."""
        return list(_named(self, kind))


def _named(section: Section, kind: str) -> Iterator[tuple[str, str]]:
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        metadata: list[object] = field.metadata
        refers = next((each for each in metadata if isinstance(each, Refers)), None)
        if refers is not None and refers.kind == kind:
            for name in _flat(value):
                yield from ((key, part) for part in (name.split("+") if refers.joined else [name]))
        else:
            yield from ((key, name) for each in _sections(value) for _, name in _named(each, kind))


def _sections(value: Any) -> list[Section]:
    if not isinstance(value, tuple):
        return []
    return [each for each in cast("tuple[object, ...]", value) if isinstance(each, Section)]


def _flat(value: Any) -> list[str]:
    """Return the names in a name or a list of names or lists."""
    return [value] if isinstance(value, str) else [name for each in value for name in _flat(each)]
