"""Types in words, and errors in words."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from pydantic import Field, Tag, ValidationError, create_model

from genome.search.method import setting
from genome.validation.explain import explained
from genome.validation.section import LISTED, UNIQUE, Count, Names, Number, OneOf, Section, Seed, Text, by_value, one_of
from genome.validation.words import Words, type_words


@dataclass(frozen=True)
class Inner:
    size: int = setting(1, "Size.", ge=1)
    share: Number | None = setting(None, "Share.", gt=0, lt=1)


class Small(Section):
    kind: Literal["small"] = Field("small", description="Kind.")


class Large(Section):
    kind: Literal["large"] = Field(description="Kind.")
    size: Count = Field(description="Size.")


class File(Section):
    path: Text = Field(description="Path.")


class Hub(Section):
    hub: Text = Field(description="Name.")


class Whole(Section):
    count: int = Field(3, ge=2, le=9, description="Count.")
    names: Names = Field(("a",), description="Names.")
    inner: Inner | Literal[False] = Field(Inner(), description="Inner.")
    color: Annotated[str, OneOf(("red", "green"))] | None = Field(None, description="Color.")
    seeds: Annotated[tuple[Seed, ...], LISTED, UNIQUE] = Field((1,), description="Seeds.")
    sized: Annotated[
        Annotated[Small, Tag("<kind small>")] | Annotated[Large, Tag("<kind large>")],
        by_value("kind", "small", "large"),
    ] = Field(Small(), description="One of two.")
    source: dict[
        str,
        Annotated[Annotated[File, Tag("<with path>")] | Annotated[Hub, Tag("<with hub>")], one_of("path", "hub")]
        | None,
    ] = Field({}, description="Sources.")
    either: str | Names = Field("a", description="One or several.")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (int, "a whole number"),
        (Count, "a whole number of at least 1"),
        (Number, "a number"),
        (Annotated[Number, Field(gt=0, le=1)] | None, "a number above 0 and at most 1, or null"),
        (Annotated[int, Field(le=5)], "a whole number of at most 5"),
        (Annotated[float, Field(gt=0.5, lt=1)], "a number above 0.5 and below 1"),
        (bool | None, "true or false, or null"),
        (Literal["all", "none"], "one of all, none"),
        (Literal[False] | Text, "false, or text"),
        (Names, "a list of one or more texts"),
        (tuple[Number, Number], "a list of two numbers"),
        (tuple[Literal["a", "b"], ...], "a list of one of a, b"),
        (tuple[str | int, ...], "a list of values, each text, or a whole number"),
        (dict[str, Count], "a mapping of names to whole numbers of at least 1"),
        (dict[str, Inner], "a mapping"),
        (Inner | None, "a mapping with size and share, or null"),
        (File | Hub | None, "a mapping, or null"),
        (Annotated[str, Words("an address")], "an address"),
        (Annotated[str, OneOf(("a", "b"))] | None, "one of a, b, or null"),
    ],
)
def test_type_in_words(kind, words):
    assert type_words(kind) == words


def errors(json):
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate_json(json)
    return explained(caught.value, Whole, "x")


@pytest.mark.parametrize(
    ("json", "lines"),
    [
        ('{"count": 1}', ["x.count: expected a whole number from 2 to 9, found 1"]),
        ('{"count": true}', ["x.count: expected a whole number from 2 to 9, found true"]),
        ('{"count": "3"}', ["x.count: expected a whole number from 2 to 9, found '3'; write it without quotes"]),
        ('{"cuont": 3, "y": 1}', ["x: unknown key 'cuont', did you mean 'count'?; unknown key 'y', known are count, "
          "names, inner, color, seeds, sized, source, either"]),
        ('{"names": ["a", 1]}', ["x.names[1]: expected text, found 1 (YAML reads it as a number; put it in quotes)"]),
        ('{"names": ["a", "a"]}', ["x.names: 'a' is listed twice; keep one"]),
        ('{"inner": true}', ["x.inner: expected a mapping with size and share, or false, found true"]),
        ('{"inner": {"size": 0, "x": 1}}', ["x.inner.size: expected a whole number of at least 1, found 0",
                                           "x.inner: unknown key 'x', known are size, share"]),
        ('{"inner": {"share": "1e-3"}}', ["x.inner.share: expected a number above 0 and below 1, or null, found '1e-3' "
                                         "(YAML reads 1e-3 as text; write 1.0e-3)"]),
        ('{"color": "grene"}', ["x.color: expected one of red, green, or null, found 'grene'; did you mean 'green'?"]),
        ('{"color": false}', ["x.color: expected one of red, green, or null, found false (YAML reads a bare no or off "
                             "so; put it in quotes)"]),
        ('{"sized": {"kind": "lrge"}}', [
            "x.sized.kind: expected one of small, large, found 'lrge'; did you mean 'large'?"]),
        ('{"sized": {"kind": "large", "szie": 3}}', ["x.sized (kind large): unknown key 'szie', did you mean 'size'?; "
                                                    "missing key 'size' (a whole number of at least 1)"]),
        ('{"sized": 3}', ["x.sized: expected a mapping, found 3"]),
        ('{"source": {"a": {"path": "p", "hub": "h"}, "b": null, "c": {"hub": ""}}}', [
            "x.source.a: give one of path or hub (this file is laid over config.yaml; set the others to null)",
            "x.source.c.hub: expected text, found ''"]),
        ('{"either": []}', ["x.either: expected text, or a list of one or more texts, found []"]),
        ('{"either": ["a", 2]}', ["x.either[1]: expected text, found 2 (YAML reads it as a number; put it in quotes)"]),
        ('[]', ["x: expected a mapping with count, names, inner, color, seeds, sized, source and either, found []"]),
    ],
)  # fmt: skip
def test_error_names_place_expectation_and_finding(json, lines):
    assert errors(json) == lines


def test_numbers_keep_the_type_that_they_are_given():
    assert repr(Whole.model_validate_json('{"inner": {"share": 0.50}}').inner) == "Inner(size=1, share=0.5)"
    model = create_model("Numbers", __base__=Section, values=(tuple[Number, ...], ...))
    assert model.model_validate_json('{"values": [0, 0.0, 1e2]}').model_dump_json() == '{"values":[0,0.0,100.0]}'


def test_given_leaves_out_defaults_and_keeps_what_equals_them():
    text = '{"count":3,"inner":{"size":1},"source":{"a":{"hub":"h"},"b":null}}'
    given = Whole.model_validate_json(text).given()
    assert given["count"] == 3
    assert given["source"] == {"a": {"hub": "h"}, "b": None}
    assert set(given) == {"count", "inner", "source"}
