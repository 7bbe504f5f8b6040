"""Google's schemas are OpenAPI's: types in capitals, `nullable`, an order of properties.  Here they
become JSON schemas."""

from typing import Any

from portico.dialects.gemini.keys import camel_case

_NAMES = {"defs": "$defs", "ref": "$ref"}
_SCHEMAS = ("properties", "$defs")
_LISTS = ("anyOf", "oneOf", "allOf")
_COUNTS = frozenset(
    {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"}
)
"""64-bit integers, which JSON of protocol buffers writes as strings."""
_DIGITS_MAX = 19
_LEFT_OUT = frozenset({"nullable", "propertyOrdering"})


def json_schema(schema: Any) -> Any:
    """`schema` as JSON schema; what it does not know stays as it is."""
    if not isinstance(schema, dict):
        return schema
    told = {_named(name): value for name, value in schema.items()}
    found: dict[str, Any] = {}
    for name, value in told.items():
        if name not in _LEFT_OUT and value != "TYPE_UNSPECIFIED":
            found[name] = _translated(name, value)
    _put_in_order(found, told.get("propertyOrdering"))
    return _nullable(found) if told.get("nullable") is True else found


def _named(name: str) -> str:
    told = camel_case(name)
    return _NAMES.get(told, told)


def _translated(name: str, value: Any) -> Any:
    if name == "type":
        return _type(value)
    if name == "$ref" and isinstance(value, str):
        return value.replace("#/defs/", "#/$defs/")
    if name in _COUNTS and _is_count(value):
        return int(value)
    if name in _SCHEMAS and isinstance(value, dict):
        return {inner: json_schema(schema) for inner, schema in value.items()}
    if name in _LISTS and isinstance(value, list):
        return [json_schema(schema) for schema in value]
    return json_schema(value) if name in ("items", "additionalProperties") else value


def _is_count(value: Any) -> bool:
    """As text.  What is longer than any stays text, and is no schema: the interpreter would not read
    it either."""
    return isinstance(value, str) and value.isdecimal() and len(value) <= _DIGITS_MAX


def _type(value: Any) -> Any:
    if isinstance(value, list):
        return [_type(one) for one in value]
    return value.lower() if isinstance(value, str) else value


def _put_in_order(schema: dict[str, Any], order: Any) -> None:
    """Grammars make properties in the order they are listed in."""
    properties = schema.get("properties")
    if not isinstance(order, list) or not isinstance(properties, dict):
        return
    first = [name for name in order if isinstance(name, str) and name in properties]
    schema["properties"] = {name: properties[name] for name in (*first, *properties)}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    if isinstance(schema.get("anyOf"), list):
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    kind = schema.get("type")
    if not isinstance(kind, str):
        return schema
    found = {**schema, "type": [kind, "null"]}
    if isinstance(schema.get("enum"), list):
        found["enum"] = [*schema["enum"], None]
    return found
