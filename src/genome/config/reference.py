"""The reference of the config, printed from its models: a JSON schema for editors, and docs/config.md."""

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, Tag, create_model

from genome.config.config import Config
from genome.config.results import Results
from genome.config.run import Run
from genome.search.methods import METHODS
from genome.tasks.file import TaskFile
from genome.validation.readable import is_list, is_mapping
from genome.validation.section import Section
from genome.validation.words import Key, bare, branches, is_section, keys_of, type_words

NOTE = "printed by `genome config update`; do not edit it"

_SETTINGS: dict[str, Any] = {name: (method.settings, method.settings()) for name, method in METHODS.items()}

Methods: type[Section] = create_model("Methods", __base__=Section, **_SETTINGS)
"""The part `methods` with all its keys."""

_METHODS = Field(default_factory=Methods, description=Config.model_fields["methods"].description)

Printed: type[Section] = create_model("Printed", __base__=Config, methods=(Methods, _METHODS))
"""The config as it is printed: `methods` with the settings of each method."""


def schema() -> str:
    """Return the JSON schema of a config, as YAML."""
    found = Printed.model_json_schema()
    described = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "description": f"The config of GENOME; {NOTE}.",
        **{key: value for key, value in _untitled(found).items() if key != "description"},
    }
    return yaml.safe_dump(described, sort_keys=False, width=120, allow_unicode=True, default_flow_style=None)


def _untitled(value: Any) -> Any:
    """Return a schema without the titles that pydantic makes of names."""
    if is_mapping(value):
        return {key: _untitled(entry) for key, entry in value.items() if key != "title" or is_mapping(entry)}
    return [_untitled(entry) for entry in value] if is_list(value) else value


def reference() -> str:
    """Return the page docs/config.md."""
    return "\n".join([*_page(), ""])


def write(project: Path) -> list[Path]:
    """Write the printed files of a project and return their paths."""
    files = {project / name: text for name, text in printed().items()}
    for file, text in files.items():
        file.write_text(text, encoding="utf-8")
    return list(files)


def printed() -> dict[str, str]:
    """Return the texts of the files that are printed, by their paths in the project."""
    return {"workflow/schemas/config.schema.yaml": schema(), "docs/config.md": reference()}


def _page() -> Iterator[str]:
    yield from ("# Every key of the config", "", f"This page is {NOTE}.", "", INTRODUCTION)
    own = set(keys_of(Run)) | set(keys_of(Results))
    for title, section in (("What is run", Run), ("What is shown", Results)):
        yield from ("", f"## {title}", "", *_table(keys_of(section)), *_below(keys_of(section)))
    for part, key in keys_of(Printed).items():
        if part not in own:
            note = ("", VARIANTS) if part == "variants" else ()
            yield from ("", f"## `{part}`", "", key.description, *note, *_below({part: key}))
    yield from ("", "## Task files", "", TASKS, "", *_table(keys_of(TaskFile)), *_below(keys_of(TaskFile)))


def _below(keys: dict[str, Key]) -> Iterator[str]:
    """Yield the sections that keys contain, each once: its places, a sentence and a table."""
    places: dict[Any, list[str]] = {}
    for key in keys.values():
        for place, section in _sections(key.name, key.type):
            places.setdefault(section, []).append(place)
    for section, named in places.items():
        sentence = " ".join((section.__doc__ or "").split("\n\n")[0].split())
        if len(named) > SHOWN_PLACES:
            named = [re.sub(r"^`methods\.\w+", "`methods.NAME", place) for place in named]
        yield from ("", f"### {', '.join(dict.fromkeys(named))}", "", sentence)
        if keys_of(section):
            yield from ("", *_table(keys_of(section)))


def _sections(place: str, kind: Any) -> Iterator[tuple[str, Any]]:
    """Yield the sections in a type and those within them, each with its place; if it is one of several, also which."""
    for option in branches(kind):
        section: Any = bare(option)[0]
        if is_section(section):
            if section is not Methods:
                tags = [each.tag.strip("<>") for each in getattr(option, "__metadata__", ()) if isinstance(each, Tag)]
                yield " ".join([f"`{place}`", *tags]), section
            for key in keys_of(section).values():
                yield from _sections(f"{place}.{key.name}", key.type)
        elif get_origin(section) is dict:
            yield from _sections(f"{place}.NAME", get_args(section)[1])
        elif get_origin(section) is tuple:
            yield from _sections(f"{place}[]", get_args(section)[0])


def _table(keys: dict[str, Key]) -> list[str]:
    rows = [f"| `{key.name}` | {_type(key)} | {_default(key)} | {key.description} |" for key in keys.values()]
    return ["| key | value | default | meaning |", "|---|---|---|---|", *rows]


def _type(key: Key) -> str:
    return type_words(key.type, key.bounds).replace("|", "\\|")


def _default(key: Key) -> str:
    if key.default is dataclasses.MISSING:
        return "required"
    if isinstance(key.default, BaseModel) or dataclasses.is_dataclass(key.default):
        return "see below"
    return f"`{json.dumps(key.default, ensure_ascii=False)}`"


SHOWN_PLACES = 4
"""Places that a heading names; if there are more, methods are not named one by one."""

INTRODUCTION = """\
`config.yaml` is read first; a file of yours is laid over it with `--configfile FILE`: mappings are merged, lists are
replaced. An unknown key or a wrong value is refused before any job starts. In a base, an expert and `similarity`, null
removes a key of `config.yaml`."""

VARIANTS = """\
A variant is a method with the settings that it changes, such as `mine: {method: genome_plus, selection: rank}`. It is
run under its name: `results/runs/TASK/mine/…`, and `variants: [mine]` in a table."""

TASKS = """\
A task is a file `config/tasks/NAME.yaml`, or an entry of `tasks` in a config, which is laid over the file of the same
name. Expressions and templates are Jinja's; they see the columns of a row by name, and `row`."""
