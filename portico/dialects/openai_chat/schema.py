"""Is this a JSON schema an engine can follow?  Only what every engine trips over is refused."""

from typing import Any

from portico import errors
from portico.dialects.diagnosis import brief, shown
from portico.errors import Refusal

_TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")
_MAPS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLES = ("items", "additionalProperties", "not", "if", "then", "else", "contains")

Place = tuple[str, Any]


def check_schema(path: str, schema: dict[str, Any]) -> None:
    """Raises: Refusal: invalid_json_schema, naming the place."""
    places: list[Place] = [(path, schema)]
    while places:
        at, node = places.pop()
        if isinstance(node, bool):
            continue
        if not isinstance(node, dict):
            raise _wrong(at, node, "a schema: an object, true or false")
        _check_words(at, node, schema)
        places.extend(_below(at, node))


def _wrong(path: str, value: Any, rule: str) -> Refusal:
    return errors.INVALID_SCHEMA(
        f"{path!r} is {shown(value)}; it must be {rule}.",
        field=path,
        value=brief(value),
        limit=rule,
    )


def _check_words(path: str, node: dict[str, Any], root: dict[str, Any]) -> None:
    kinds = node.get("type", "object")
    listed = kinds if isinstance(kinds, list) else [kinds]
    if not listed or any(kind not in _TYPES for kind in listed):
        raise _wrong(f"{path}.type", kinds, f"one of {', '.join(_TYPES)}, or a list of them")
    required = node.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise _wrong(f"{path}.required", required, "an array of names")
    if "enum" in node and not (isinstance(node["enum"], list) and node["enum"]):
        raise _wrong(f"{path}.enum", node["enum"], "an array with at least one value")
    if "$ref" in node and not _resolves(node["$ref"], root):
        raise _wrong(f"{path}.$ref", node["$ref"], "a place inside this schema, such as #/$defs/x")


def _resolves(reference: Any, root: dict[str, Any]) -> bool:
    if not isinstance(reference, str) or not reference.startswith("#"):
        return False
    place: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(place, dict) or name not in place:
            return False
        place = place[name]
    return True


def _below(path: str, node: dict[str, Any]) -> list[Place]:
    below: list[Place] = []
    for word in _MAPS:
        inner = node.get(word, {})
        if not isinstance(inner, dict):
            raise _wrong(f"{path}.{word}", inner, "an object of schemas")
        below += [(f"{path}.{word}.{name}", schema) for name, schema in inner.items()]
    for word in _LISTS:
        if word in node and not (isinstance(node[word], list) and node[word]):
            raise _wrong(f"{path}.{word}", node[word], "an array with at least one schema")
        below += [(f"{path}.{word}[{i}]", schema) for i, schema in enumerate(node.get(word, ()))]
    below += [(f"{path}.{word}", node[word]) for word in _SINGLES if word in node]
    return below
