"""An instance of a JSON schema: the same one for the same seed, never bigger than a budget.

Honoured: type, enum, const, the limits of numbers and texts, multipleOf, format, pattern (see
pattern.py), properties, required, additionalProperties, minProperties, maxProperties, items,
prefixItems, minItems, maxItems, uniqueItems, allOf, anyOf, oneOf (as anyOf), $ref within the
document.  What restricts and is not in that list is refused by name, so an instance is valid.
"""

import sys
from random import Random
from typing import Any
from urllib.parse import unquote

import msgspec

from portico.engines.simulated.schema.merging import Schema, merged
from portico.engines.simulated.schema.values import NoInstance, number, text, within_limits

_SCHEMA_BYTES_MAX = 256 * 1024
_MEMBERS_PER_STEP = 16
_CHARACTERS_PER_STEP = 64
_PATTERN_STEPS = 20
_DEPTH_MAX = 48
_DEPTH_OPTIONAL = 5
"""Deeper than this, only what is required is made: recursive schemas end here."""
_UNIQUE_TRIES = 30
_NOT_HONOURED = (
    "not",
    "if",
    "contains",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "$dynamicRef",
    "$recursiveRef",
)
_NESTING = frozenset(("$ref", "properties", "items", "anyOf", "oneOf", "allOf"))
_HINTS = {
    "properties": "object",
    "required": "object",
    "additionalProperties": "object",
    "minProperties": "object",
    "items": "array",
    "prefixItems": "array",
    "minItems": "array",
    "minimum": "number",
    "maximum": "number",
    "exclusiveMinimum": "number",
    "exclusiveMaximum": "number",
    "multipleOf": "number",
}
"""What a schema without `type` is about."""


class TooLarge(NoInstance):
    """The budget is spent: no other branch is tried."""


class Steps:
    """What the schemas of one request may cost together, about 5 us a step, so that a request
    made to be expensive holds up the others for a blink at most."""

    def __init__(self, most: int = 5_000) -> None:
        self._most = most
        self._left = most

    def spend(self, steps: int, place: str) -> None:
        self._left -= steps
        if self._left < 0:
            raise TooLarge(place, f"it takes more than {self._most} steps to satisfy")


def instance(schema: Schema, rng: Random, steps: Steps) -> Any:
    """Raises: NoInstance."""
    if len(msgspec.json.encode(schema)) > _SCHEMA_BYTES_MAX:
        raise TooLarge("#", f"it is larger than {_SCHEMA_BYTES_MAX} bytes")
    try:
        return _Maker(schema, rng, steps).make(schema, "#", 0)
    except (TypeError, AttributeError, ValueError, OverflowError) as malformed:
        raise NoInstance("#", f"it is not a valid JSON schema ({malformed})") from malformed


class _Maker:
    def __init__(self, root: Schema, rng: Random, steps: Steps) -> None:
        self._root = root
        self._rng = rng
        self._steps = steps

    def make(self, schema: Schema, place: str, depth: int) -> Any:
        plain = self._flat(schema, place, depth)
        for choice in ("anyOf", "oneOf"):
            if choice in plain:
                return self._branch(plain, choice, place, depth)
        if "const" in plain or "enum" in plain:
            return self._listed(plain, place)
        return self._of_type(_types(plain)[0], plain, place, depth)

    def _of_type(self, kind: str, plain: dict[str, Any], place: str, depth: int) -> Any:
        match kind:
            case "object":
                return self._object(plain, place, depth)
            case "array":
                return self._array(plain, place, depth)
            case "integer" | "number":
                return number(plain, place, self._rng, whole=kind == "integer")
            case "boolean":
                return self._rng.random() < 0.5
            case "null":
                return None
            case "string":
                self._steps.spend(_text_cost(plain), place)
                return text(plain, place, self._rng)
        raise NoInstance(place, f"there is no type {kind!r}")

    def _flat(self, schema: Schema, place: str, depth: int) -> dict[str, Any]:
        """`schema` without $ref and allOf, which are merged in."""
        if depth > _DEPTH_MAX:
            raise NoInstance(place, "it is nested too deeply")
        if schema is False:
            raise NoInstance(place, "nothing is allowed here")
        plain = {} if schema is True else dict(schema)
        self._steps.spend(_cost(plain), place)
        for keyword in _NOT_HONOURED:
            if keyword in plain:
                raise NoInstance(place, f"the simulated engine does not honour {keyword!r}")
        also = list(plain.pop("allOf", ()))
        if "$ref" in plain:
            also.append(self._target(plain.pop("$ref"), place))
        for part in also:
            plain = merged(plain, self._flat(part, place, depth + 1), place)
            self._steps.spend(_cost(plain), place)
        return plain

    def _target(self, reference: str, place: str) -> Schema:
        if not reference.startswith("#"):
            raise NoInstance(place, f"{reference[:80]!r} is outside the schema")
        found: Any = self._root
        for step in unquote(reference[1:]).split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            try:
                found = found[int(name)] if isinstance(found, list) else found[name]
            except (KeyError, IndexError, TypeError, ValueError):
                raise NoInstance(place, f"{reference[:80]!r} leads nowhere") from None
        if reference not in ("#", "") and not reference.startswith("#/"):
            raise NoInstance(place, f"{reference[:80]!r} is not a JSON pointer")
        if not isinstance(found, (dict, bool)):
            raise NoInstance(place, f"{reference[:80]!r} is not a schema")
        return found

    def _branch(self, plain: dict[str, Any], choice: str, place: str, depth: int) -> Any:
        """The first branch that has an instance; far down, the simplest ones first."""
        branches = list(enumerate(plain[choice]))
        if depth > _DEPTH_OPTIONAL:
            branches.sort(key=lambda numbered: _is_nested(numbered[1]))
        rest = {key: value for key, value in plain.items() if key != choice}
        failed: NoInstance | None = None
        for at, branch in branches:
            there = f"{place}/{choice}/{at}"
            try:
                both = merged(rest, self._flat(branch, there, depth + 1), there)
                return self.make(both, there, depth + 1)
            except TooLarge:
                raise
            except NoInstance as missing:
                failed = missing
        raise failed or NoInstance(place, f"{choice} is empty")

    def _listed(self, plain: dict[str, Any], place: str) -> Any:
        """One of `enum`, or `const`, that keeps the limits beside it."""
        values: list[Any] = plain["enum"] if "enum" in plain else [plain["const"]]
        if "const" in plain:
            values = [value for value in values if value == plain["const"]]
        kinds = _types(plain) if "type" in plain else None
        fitting = [
            value
            for value in values
            if (kinds is None or _is_of(value, kinds)) and within_limits(plain, value)
        ]
        if not fitting:
            raise NoInstance(place, "none of its values keeps what else it demands")
        return self._rng.choice(fitting)

    def _object(self, plain: dict[str, Any], place: str, depth: int) -> dict[str, Any]:
        known: dict[str, Schema] = plain.get("properties", {})
        required: list[str] = plain.get("required", [])
        others: Schema = plain.get("additionalProperties", True)
        most = plain.get("maxProperties", len(known) + len(required))
        if len(set(required)) > most:
            raise NoInstance(place, "it requires more properties than it allows")
        needed = set(required)
        optional = [name for name in known if name not in needed]
        room = most - len(needed) if depth <= _DEPTH_OPTIONAL else 0
        made: dict[str, Any] = {}
        for name in required:
            there = f"{place}/properties/{name}"
            made[name] = self.make(known.get(name, others), there, depth + 1)
        for name in optional[: max(room, 0)]:
            self._add_if_possible(made, name, known[name], place, depth)
        made = {name: made[name] for name in (*known, *made) if name in made}
        return self._filled(made, plain, place, depth)

    def _add_if_possible(
        self, made: dict[str, Any], name: str, schema: Schema, place: str, depth: int
    ) -> None:
        try:
            made[name] = self.make(schema, f"{place}/properties/{name}", depth + 1)
        except TooLarge:
            raise
        except NoInstance:
            return  # it may be left out, so it is

    def _filled(
        self, made: dict[str, Any], plain: dict[str, Any], place: str, depth: int
    ) -> dict[str, Any]:
        """`made` with as many more members as `minProperties` asks for."""
        for name, schema in plain.get("properties", {}).items():
            if len(made) >= plain.get("minProperties", 0):
                return made
            if name not in made:
                self._add_if_possible(made, name, schema, place, depth)
        others: Schema = plain.get("additionalProperties", True)
        while len(made) < plain.get("minProperties", 0):
            if "patternProperties" in plain or "propertyNames" in plain:
                raise NoInstance(place, "the simulated engine makes up no property names")
            there = f"{place}/additionalProperties"
            made[f"field_{len(made) + 1}"] = self.make(others, there, depth + 1)
        return made

    def _array(self, plain: dict[str, Any], place: str, depth: int) -> list[Any]:
        first: list[Schema] = plain.get("prefixItems", [])
        others: Schema = plain.get("items", True)
        least = plain.get("minItems", 0)
        most = plain.get("maxItems", sys.maxsize)
        if most < least:
            raise NoInstance(place, f"no list has from {least} to {most} items")
        want = least
        if depth <= _DEPTH_OPTIONAL and others is not False:
            want = max(least, len(first), 1) + self._rng.randint(0, 1)
        made: list[Any] = []
        seen: set[bytes] | None = set() if plain.get("uniqueItems") else None
        while len(made) < min(want, most):
            at = len(made)
            schema = first[at] if at < len(first) else others
            try:
                made.append(self._item(schema, seen, f"{place}/items", depth))
            except TooLarge:
                raise
            except NoInstance:
                if at < least:
                    raise
                break
        return made

    def _item(self, schema: Schema, seen: set[bytes] | None, place: str, depth: int) -> Any:
        """One more item, unlike all of `seen` if they must differ."""
        for _ in range(_UNIQUE_TRIES):
            made = self.make(schema, place, depth + 1)
            if seen is None:
                return made
            written = msgspec.json.encode(made, order="deterministic")
            if written not in seen:
                seen.add(written)
                return made
        raise NoInstance(place, "it has too few different values")


def _cost(plain: dict[str, Any]) -> int:
    members = sum(len(value) for value in plain.values() if isinstance(value, (dict, list)))
    return 1 + members // _MEMBERS_PER_STEP


def _text_cost(plain: dict[str, Any]) -> int:
    written = int(plain.get("minLength", 0)) + len(plain.get("pattern", ""))
    return written // _CHARACTERS_PER_STEP + (_PATTERN_STEPS if "pattern" in plain else 0)


def _types(plain: dict[str, Any]) -> list[str]:
    told = plain.get("type")
    if isinstance(told, str):
        return [told]
    if told:
        # "null" is allowed in many nullable fields and shows nothing.
        return sorted(told, key=lambda kind: kind == "null")
    return [next((kind for key, kind in _HINTS.items() if key in plain), "string")]


def _is_of(value: Any, kinds: list[str]) -> bool:
    match value:
        case None:
            return "null" in kinds
        case bool():
            return "boolean" in kinds
        case int():
            return "integer" in kinds or "number" in kinds
        case float():
            return "number" in kinds or ("integer" in kinds and value.is_integer())
        case str():
            return "string" in kinds
        case list():
            return "array" in kinds
    return "object" in kinds


def _is_nested(schema: Schema) -> bool:
    return isinstance(schema, dict) and not _NESTING.isdisjoint(schema)
