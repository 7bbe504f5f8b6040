"""Two JSON schemas as one that demands both."""

from typing import Any

import msgspec

from portico.engines.simulated.schema.values import NoInstance

Schema = dict[str, Any] | bool

_LOWER_LIMITS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER_LIMITS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_BOTH = ("items", "additionalProperties")
_NOTES = (
    "title",
    "description",
    "default",
    "examples",
    "$comment",
    "$defs",
    "definitions",
    "$schema",
    "$id",
    "deprecated",
    "readOnly",
    "writeOnly",
    "format",
)


def merged(one: dict[str, Any], two: dict[str, Any], place: str) -> dict[str, Any]:
    """Raises: NoInstance, where the two cannot be joined."""
    for tuples, lists in ((one, two), (two, one)):
        if "prefixItems" in tuples and "items" in lists and "prefixItems" not in lists:
            raise NoInstance(place, "the simulated engine does not join lists with tuples")
    both = dict(one)
    if "properties" in one or "properties" in two:
        both["properties"] = _properties(one, two)
    for keyword, value in two.items():
        if keyword == "properties":
            continue
        both[keyword] = _joined(keyword, both[keyword], value, place) if keyword in one else value
    return both


def _joined(keyword: str, one: Any, two: Any, place: str) -> Any:
    if one == two or keyword in _NOTES:
        return one
    if keyword in _LOWER_LIMITS:
        return max(one, two)
    if keyword in _UPPER_LIMITS:
        return min(one, two)
    if keyword == "required":
        return [*one, *(name for name in two if name not in one)]
    if keyword in _BOTH:
        return {"allOf": [one, two]}
    if keyword == "type":
        return _types(one, two, place)
    if keyword == "enum":
        theirs = {msgspec.json.encode(value) for value in two}
        return [value for value in one if msgspec.json.encode(value) in theirs]
    raise NoInstance(place, f"the simulated engine does not join two different {keyword!r}")


def _properties(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    """A property that only one side knows is an additional one to the other."""
    mine: dict[str, Schema] = one.get("properties", {})
    theirs: dict[str, Schema] = two.get("properties", {})
    joined: dict[str, Schema] = {}
    for name in (*mine, *(name for name in theirs if name not in mine)):
        sides = [
            side.get("properties", {}).get(name, side.get("additionalProperties", True))
            for side in (one, two)
        ]
        demands = [side for side in sides if side is not True and side != {}]
        joined[name] = demands[0] if len(demands) == 1 else {"allOf": demands}
    return joined


def _types(one: str | list[str], two: str | list[str], place: str) -> list[str]:
    mine = [one] if isinstance(one, str) else one
    theirs = [two] if isinstance(two, str) else two
    # Every integer is a number, so "number" and "integer" together are "integer".
    kinds = [kind for kind in mine if kind in theirs or (kind == "integer" and "number" in theirs)]
    kinds += [
        kind for kind in theirs if kind == "integer" and "number" in mine and kind not in mine
    ]
    if not kinds:
        raise NoInstance(place, f"nothing is both {one} and {two}")
    return kinds
