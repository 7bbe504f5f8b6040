"""Law: what is made of a schema satisfies it, by another's judgement, or it is refused by name."""

import re
from random import Random
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.engines.simulated.schema.instance import Steps, instance
from portico.engines.simulated.schema.values import NoInstance


def made(schema: Any, seed: int = 0) -> Any:
    return instance(schema, Random(seed), Steps())


def between(draw: st.DrawFn, least: str, most: str, low: int, high: int) -> dict[str, int]:
    first, second = sorted((draw(st.integers(low, high)), draw(st.integers(low, high))))
    limits = {least: first, most: second}
    return {key: limits[key] for key in draw(st.sets(st.sampled_from([least, most])))}


@st.composite
def texts(draw: st.DrawFn) -> dict[str, Any]:
    return {"type": "string"} | between(draw, "minLength", "maxLength", 0, 40)


@st.composite
def numbers(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["integer", "number"]))
    least = draw(st.sampled_from(["minimum", "exclusiveMinimum"]))
    most = draw(st.sampled_from(["maximum", "exclusiveMaximum"]))
    schema = {"type": kind} | between(draw, least, most, -300, 300)
    step = draw(st.sampled_from([None, None, 1, 7, 0.5, 0.25]))
    return schema if step is None else schema | {"multipleOf": step}


single = st.one_of(
    texts(),
    numbers(),
    st.sampled_from(
        [
            True,
            {},
            {"type": "null"},
            {"type": "boolean"},
            {"const": {"a": [1]}},
            {"enum": ["red", 3, None]},
            {"type": ["string", "null"]},
            {"type": "integer", "enum": [1, 50, "x"], "minimum": 10},
            {"type": "string", "format": "date-time"},
            {"type": "string", "pattern": "^[A-Z]{2}-\\d+$"},
            {"$ref": "#/$defs/leaf"},
            {"$ref": "#/$defs/tree"},
        ]
    ),
)


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    properties = draw(st.dictionaries(st.sampled_from("abcdef"), inner, max_size=4))
    required = draw(st.lists(st.sampled_from("abcdefg"), unique=True, max_size=4))
    schema: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "required": required,
    }
    if draw(st.booleans()):
        schema["additionalProperties"] = draw(st.one_of(st.booleans(), inner))
    return schema | between(draw, "minProperties", "maxProperties", 0, 6)


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "array"}
    if draw(st.booleans()):
        schema["items"] = draw(inner)
    if draw(st.booleans()):
        schema["prefixItems"] = draw(st.lists(inner, min_size=1, max_size=3))
    if draw(st.booleans()):
        schema["uniqueItems"] = True
    return schema | between(draw, "minItems", "maxItems", 0, 5)


def joined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    parts = st.lists(inner, min_size=1, max_size=3)
    return st.builds(lambda word, of: {word: of}, st.sampled_from(["anyOf", "allOf"]), parts)


schemas = st.recursive(
    single, lambda inner: objects(inner) | arrays(inner) | joined(inner), max_leaves=8
)
DEFS = {
    "leaf": {"type": "string", "maxLength": 5},
    "tree": {
        "type": "object",
        "properties": {
            "name": {"$ref": "#/$defs/leaf"},
            "next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]},
        },
        "required": ["name", "next"],
        "additionalProperties": False,
    },
}


@given(schemas, st.integers(0, 5))
def test_an_instance_is_valid_or_there_is_none(schema: Any, seed: int) -> None:
    document = {"$defs": DEFS, "allOf": [schema]}
    try:
        value = made(document, seed)
    except NoInstance:
        return
    jsonschema_rs.validator_for(document).validate(value)
    assert made(document, seed) == value, "the same seed, the same instance"


REAL: dict[str, dict[str, Any]] = {
    "everyday": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "minLength": 3},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            "days": {"type": "integer", "minimum": 1, "maximum": 7},
        },
        "required": ["city", "unit", "days"],
        "additionalProperties": False,
    },
    "discriminated": {
        "$defs": {
            "Cat": {
                "type": "object",
                "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}},
                "required": ["kind", "lives"],
            },
            "Dog": {"type": "object", "properties": {"kind": {"const": "dog"}}},
        },
        "type": "object",
        "properties": {"pet": {"oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]}},
        "required": ["pet"],
    },
    "recursive": {
        "type": "object",
        "properties": {
            "value": {"type": "number", "exclusiveMinimum": 0.1, "exclusiveMaximum": 0.105},
            "children": {"type": "array", "items": {"$ref": "#"}, "minItems": 0},
        },
        "required": ["value", "children"],
    },
    "narrow beside an anyOf": {
        "type": "object",
        "properties": {"id": {"type": "integer", "minimum": 10}},
        "anyOf": [{"properties": {"id": {"maximum": 5}}, "required": ["id"]}, {"required": ["id"]}],
    },
    "closed and extended": {
        "allOf": [
            {"properties": {"a": {"type": "string"}}, "additionalProperties": False},
            {"properties": {"b": {"type": "string"}}},
        ],
        "type": "object",
    },
    "tighter and tighter": {
        "allOf": [
            {"type": "integer", "minimum": 7, "maximum": 500},
            {"type": "number", "minimum": 91, "maximum": 91},
            {"minimum": 90, "maximum": 92},
        ]
    },
    "listed beside a step": {"enum": [3, 14, "x"], "multipleOf": 7, "type": "integer"},
    "listed beside a limit": {"enum": [8, 90], "allOf": [{"enum": [8, 90, 300], "minimum": 9}]},
    "as many as there are": {
        "type": "array",
        "items": {"enum": [1, 2, 3]},
        "minItems": 3,
        "uniqueItems": True,
    },
    "map": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2},
}


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("seed", range(5))
def test_real_schemas_have_instances(name: str, seed: int) -> None:
    jsonschema_rs.validator_for(REAL[name]).validate(made(REAL[name], seed))


def test_everything_optional_is_shown_too() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "null"}}}
    assert set(made(schema)) == {"a", "b"}


@pytest.mark.parametrize(
    "format", ["date", "time", "date-time", "duration", "email", "ipv4", "ipv6", "uri", "uuid"]
)
def test_formats_are_what_they_say(format: str) -> None:
    schema = {"type": "string", "format": format}
    jsonschema_rs.validator_for(schema, validate_formats=True).validate(made(schema))


@pytest.mark.parametrize(
    "pattern",
    [
        "^[A-Z]{2}-\\d{3,}$",
        "^(foo|bar(baz)?)+$",
        "[^a-z\\s]x.y",
        "^\\+?[1-9]\\d{1,14}$",
        "^(?:[0-9a-f]{4}-){2}[0-9a-f]{4}$",
        "^(?<year>\\d{4})\\.(?<month>0[1-9]|1[0-2])$",
        "\\x41\\u00e9\\t",
        "a|b|",
        "[a-]+?",
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_a_text_matches_its_pattern(pattern: str, seed: int) -> None:
    value = made({"type": "string", "pattern": pattern}, seed)
    assert re.search(pattern.replace("(?<", "(?P<"), value)


@pytest.mark.parametrize(
    "pattern", ["(?=a)b", "\\bx", "(a)\\1", "a{2", "[a", "(a", "*", "\\", "a{3,1}", "(){999999999}"]
)
def test_what_a_pattern_may_not_have(pattern: str) -> None:
    with pytest.raises(NoInstance, match="pattern is not understood"):
        made({"type": "string", "pattern": pattern})


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (False, "nothing is allowed"),
        ({"type": "object", "required": ["a"], "additionalProperties": False}, "#/properties/a"),
        ({"type": "object", "required": ["a", "b"], "maxProperties": 1}, "more properties"),
        ({"type": "integer", "minimum": 2, "maximum": 1}, "no number"),
        ({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, "no number"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "3 to 2"),
        ({"not": {}}, "'not'"),
        ({"$ref": "#/$defs/gone"}, "leads nowhere"),
        ({"$ref": "https://example.com/schema"}, "outside"),
        ({"type": "spoon"}, "spoon"),
        ({"type": "array", "items": {"const": 1}, "minItems": 2, "uniqueItems": True}, "too few"),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "both"),
        ({"type": "object", "properties": 7}, "not a valid JSON schema"),
        ({"$ref": "#"}, "too deeply"),
    ],
)
def test_the_impossible_is_named(schema: Any, why: str) -> None:
    with pytest.raises(NoInstance, match=re.escape(why)):
        made(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "minItems": 10**9},
        {"type": "array", "minItems": 4_000, "items": {"enum": list(range(40_000))}},
        {"type": "array", "minItems": 4_000, "items": {"type": "string", "minLength": 50_000}},
        {
            "type": "array",
            "minItems": 4_000,
            "items": {"type": "string", "pattern": "^(a{4}){99}$"},
        },
        {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"type": "object", "properties": {str(key): {} for key in range(40_000)}},
    ],
    ids=["items", "enum", "long texts", "patterns", "backtracking", "properties"],
)
def test_a_costly_schema_is_refused_within_its_budget(schema: Any) -> None:
    with pytest.raises(NoInstance, match=r"takes more than|larger than"):
        made(schema)
