"""The schema of the config in words: where, what, and the nearest valid name of an unknown key."""

import re
from collections.abc import Mapping
from typing import Any

import jsonschema
from jsonschema.validators import extend

from genome.config.values import QUOTES
from genome.errors import nearest

Schema = Mapping[str, Any]


def _is_integer(_: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# JSON Schema takes 10.0 for an integer, but a folder n10.0 is not n10.
Validator = extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)


def schema_problems(value: Any, schema: Schema, root: str = "config") -> list[str]:
    """Return what is wrong with `value` by `schema`, in the order of places; names have to be text already."""
    errors = sorted(Validator(schema).iter_errors(value), key=lambda error: error.json_path)
    return [explain(error, root) for error in errors]


def method_problems(method: str, settings: Mapping[str, Any], schema: Schema, root: str) -> list[str]:
    """Return which resolved settings of a variant the schema of its method does not know."""
    of_method = {**schema["properties"]["methods"]["properties"][method], "$defs": schema["$defs"]}
    return schema_problems(settings, of_method, root)


def explain(error: jsonschema.ValidationError, root: str = "config") -> str:
    """Put a schema error into words."""
    place = root + error.json_path.removeprefix("$")
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = list(error.schema.get("properties", {}))
        unknown = [key for key in error.instance if key not in known]
        place += f" ({error.schema['$comment']})" if "$comment" in error.schema else ""
        return f"{place}: " + "; ".join(f"unknown key {key!r}, {nearest(key, known)}" for key in unknown)
    if error.validator in ("oneOf", "anyOf") and error.context:
        if "$comment" in error.schema:
            return f"{place}: {error.schema['$comment']}"
        closest = jsonschema.exceptions.best_match(error.context)
        return explain(closest, root) if closest.path else f"{place}: {_said(closest)}{_hint(closest)}"
    return f"{place}: {_said(error)}{_hint(error)}"


def _said(error: jsonschema.ValidationError) -> str:
    """Return the validator's own message, without pages of an instance in it."""
    shown = repr(error.instance)
    return error.message.replace(shown, f"{shown[:80]}…") if len(shown) > 100 else error.message


def _hint(error: jsonschema.ValidationError) -> str:
    instance = error.instance
    if re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", str(instance)):
        return " (YAML reads 1e-3 as text; write 1.0e-3)"
    if error.validator == "type" and "string" in error.validator_value:
        if isinstance(instance, bool):
            return f" (YAML reads a bare {'yes or on' if instance else 'no or off'} so; {QUOTES})"
        if isinstance(instance, int | float):
            return f" (YAML reads it as a number; {QUOTES})"
    return ""
