"""Google's schemas as JSON schemas."""

from typing import Any

import pytest

from portico.dialects.gemini.contents.schema import json_schema


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "STRING", "format": "date"}, {"type": "string", "format": "date"}),
        ({"type": "TYPE_UNSPECIFIED", "title": "x"}, {"title": "x"}),
        ({"type": "INTEGER", "nullable": True}, {"type": ["integer", "null"]}),
        (
            {"type": "STRING", "enum": ["a"], "nullable": True},
            {"type": ["string", "null"], "enum": ["a", None]},
        ),
        ({"type": "STRING", "nullable": False}, {"type": "string"}),
        (
            {"any_of": [{"type": "NUMBER"}, {"type": "BOOLEAN"}], "nullable": True},
            {"anyOf": [{"type": "number"}, {"type": "boolean"}, {"type": "null"}]},
        ),
        (
            {"type": "ARRAY", "items": {"type": "STRING"}, "minItems": "1", "maxItems": 5},
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 5},
        ),
        ({"minItems": "9" * 6_000}, {"minItems": "9" * 6_000}),
        (
            {"defs": {"N": {"type": "OBJECT"}}, "ref": "#/defs/N"},
            {"$defs": {"N": {"type": "object"}}, "$ref": "#/$defs/N"},
        ),
        (
            {"type": "object", "additionalProperties": {"type": "STRING"}},
            {"type": "object", "additionalProperties": {"type": "string"}},
        ),
        (
            {"type": "OBJECT", "properties": {"type": {"type": "STRING"}, "any_of": {}}},
            {"type": "object", "properties": {"type": {"type": "string"}, "any_of": {}}},
        ),
    ],
)
def test_words(schema: dict[str, Any], told: dict[str, Any]) -> None:
    assert json_schema(schema) == told


def test_properties_come_in_the_order_that_is_asked_for() -> None:
    schema = {
        "properties": {"a": {}, "b": {}, "c": {}},
        "propertyOrdering": ["c", "missing", "b"],
    }
    assert list(json_schema(schema)["properties"]) == ["c", "b", "a"]


def test_a_json_schema_stays_as_it_is() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": ["string", "null"], "const": "X"}},
        "$defs": {"N": {"$ref": "#/$defs/N"}},
        "unknown": {"type": "LEFT"},
    }
    assert json_schema(schema) == schema
