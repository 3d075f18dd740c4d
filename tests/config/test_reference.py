"""The printed reference: it is up to date, complete, and says what the models say."""

import re

import pytest
import yaml

from config.conftest import PROJECT
from genome.config.config import Config
from genome.config.reference import printed, schema
from genome.search.methods import METHODS
from genome.validation.words import keys_of

FILES = printed()


@pytest.mark.parametrize("file", FILES)
def test_printed_file_is_up_to_date(file):
    assert (PROJECT / file).read_text(encoding="utf-8") == FILES[file], "run `genome config update`"


def described(section, place=""):
    """Yield the keys of a schema, with what is said of each."""
    for name, key in section.get("properties", {}).items():
        yield f"{place}.{name}", key
    for name, inner in section.get("$defs", {}).items():
        yield from described(inner, name)


def test_every_key_has_a_sentence():
    keys = dict(described(yaml.safe_load(schema())))
    assert len(keys) > 200
    lacking = [
        place
        for place, key in keys.items()
        if not re.fullmatch(r"[A-Z`${].*[.]", key.get("description", "").split("\n")[-1])
        and not place.startswith("Methods")
    ]
    assert lacking == []


def test_schema_has_all_keys_and_all_settings_of_methods():
    read = yaml.safe_load(schema())
    assert list(read["properties"]) == list(keys_of(Config))
    assert list(read["$defs"]["Methods"]["properties"]) == list(METHODS)
    for method in METHODS.values():
        inner = read["$defs"][method.settings.__name__]
        assert list(inner.get("properties", {})) == list(keys_of(method.settings))
        assert inner["additionalProperties"] is False


def test_page_has_a_row_per_key():
    page = FILES["docs/config.md"]
    for key in keys_of(Config).values():
        assert f"| `{key.name}` | " in page or f"\n## `{key.name}`\n" in page
    for method in METHODS:
        assert f"`methods.{method}`" in page
