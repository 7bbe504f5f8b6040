"""Does a value follow a JSON schema?  For engines that have no grammar to make it so.

Reads the words that strict mode allows, and a few more that cost nothing.  What it does not read
(`pattern`, `format`, `not`, `if`, `uniqueItems` and the like) it passes over, so it never finds
fault with a value that follows its schema.  `pattern` is passed over because a caller's regular
expression over an answer the caller chose can keep a core busy for ever.
"""

from collections.abc import Callable, Iterator
from math import isclose
from typing import Any, NamedTuple

STEPS_MAX = 50_000
"""Schemas looked at for one value: references and alternatives multiply without end."""
DEPTH_MAX = 200
_PATH_MAX = 200


class Mismatch(NamedTuple):
    """path: of the value that is wrong, such as `$.items[2].price`.  rule: what it must be."""

    path: str
    rule: str


class _TooMuch(Exception):
    """The value cannot be checked within the limits."""


def check(schema: dict[str, Any], value: Any) -> Mismatch | None:
    """The first thing that is wrong with `value`, None when it follows `schema`.

    What is too deep or too branched to be checked is told as wrong: strict is a promise.
    """
    try:
        return _Check(schema).of(schema, value, "$", 0)
    except _TooMuch:
        return Mismatch("$", "simple enough to be checked: its schema is too deep or too branched")


class _Check:
    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._steps = 0

    def of(self, schema: Any, value: Any, path: str, depth: int) -> Mismatch | None:
        self._steps += 1
        if self._steps > STEPS_MAX or depth > DEPTH_MAX:
            raise _TooMuch
        if schema is False:
            return Mismatch(path, "absent")
        if not isinstance(schema, dict):
            return None
        broken = _broken_rule(schema, value)
        if broken:
            return Mismatch(path[:_PATH_MAX], broken)
        for inner, under, at in self._below(schema, value, path):
            found = self.of(inner, under, at, depth + 1)
            if found is not None:
                return found
        return self._alternatives(schema, value, path, depth)

    def _below(self, schema: dict[str, Any], value: Any, path: str) -> Iterator["_Place"]:
        """All that must hold as well."""
        if isinstance(schema.get("$ref"), str):
            yield self._target(schema["$ref"]), value, path
        for inner in _listed(schema, "allOf"):
            yield inner, value, path
        if isinstance(value, dict):
            yield from _of_object(schema, value, path)
        elif isinstance(value, list):
            yield from _of_array(schema, value, path)

    def _alternatives(
        self, schema: dict[str, Any], value: Any, path: str, depth: int
    ) -> Mismatch | None:
        # `oneOf` as `anyOf`: that two fit is no proof, where what is passed over might part them.
        for word in ("anyOf", "oneOf"):
            choices = _listed(schema, word)
            if choices and all(self.of(each, value, path, depth + 1) for each in choices):
                return Mismatch(path[:_PATH_MAX], f"one of the {len(choices)} forms of {word!r}")
        return None

    def _target(self, reference: str) -> Any:
        """What it refers to; True, which everything follows, where that is not here."""
        if reference != "#" and not reference.startswith("#/"):
            return True
        place: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(place, dict) or name not in place:
                return True
            place = place[name]
        return place


_Place = tuple[Any, Any, str]


def _of_object(schema: dict[str, Any], value: dict[str, Any], path: str) -> Iterator[_Place]:
    properties = schema.get("properties")
    named = properties if isinstance(properties, dict) else {}
    rest = True if "patternProperties" in schema else schema.get("additionalProperties", True)
    for name, under in value.items():
        inner = named.get(name, rest)
        if inner is not True:
            yield inner, under, f"{path}.{name}"


def _of_array(schema: dict[str, Any], value: list[Any], path: str) -> Iterator[_Place]:
    first = _listed(schema, "prefixItems")
    for at, under in enumerate(value):
        inner = first[at] if at < len(first) else schema.get("items", True)
        if inner is not True:
            yield inner, under, f"{path}[{at}]"


def _listed(schema: dict[str, Any], word: str) -> list[Any]:
    said = schema.get(word)
    return said if isinstance(said, list) else []


# --- rules that need nothing but the value --------------------------------------------------------


def _broken_rule(schema: dict[str, Any], value: Any) -> str:
    """What the value must be and is not; "" where nothing is wrong with it."""
    for word, rule in _RULES.items():
        if word in schema:
            broken = rule(schema[word], value)
            if broken:
                return broken
    return ""


def _type(said: Any, value: Any) -> str:
    kinds = said if isinstance(said, list) else [said]
    if any(_IS[kind](value) for kind in kinds if kind in _IS):
        return ""
    return f"of type {' or '.join(map(str, kinds))}"


def _enum(said: Any, value: Any) -> str:
    if not isinstance(said, list) or any(_equal(each, value) for each in said):
        return ""
    return f"one of the {len(said)} values of its 'enum'"


def _const(said: Any, value: Any) -> str:
    return "" if _equal(said, value) else "the value of its 'const'"


def _required(said: Any, value: Any) -> str:
    if not isinstance(value, dict) or not isinstance(said, list):
        return ""
    missing = [name for name in said if isinstance(name, str) and name not in value]
    return f"an object that has {missing[0]!r}" if missing else ""


def _size(kind: type, word: str, *, least: bool) -> Callable[[Any, Any], str]:
    def rule(said: Any, value: Any) -> str:
        if not isinstance(value, kind) or not _is_number(said):
            return ""
        size = len(value)  # type: ignore[arg-type]  # str, list and dict have a length
        fits = size >= said if least else size <= said
        return "" if fits else f"of at {'least' if least else 'most'} {said} {word}"

    return rule


def _bound(word: str, fits: Callable[[Any, Any], bool]) -> Callable[[Any, Any], str]:
    def rule(said: Any, value: Any) -> str:
        if not _is_number(value) or not _is_number(said) or fits(value, said):
            return ""
        return f"{word} {said}"

    return rule


def _is_multiple(value: Any, said: Any) -> bool:
    if said <= 0:
        return True
    if isinstance(value, int) and isinstance(said, int):
        return value % said == 0
    # Decimal fractions are not exact in binary: what comes within rounding of one counts as one.
    quotient = value / said
    return isclose(quotient, round(quotient), rel_tol=1e-9)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return _is_number(value) and (isinstance(value, int) or value.is_integer())


def _equal(one: Any, other: Any) -> bool:
    """As JSON: 1 is 1.0, and neither is true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(_equal(a, b) for a, b in pairs)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    return bool(one == other)


_IS: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
    "integer": _is_integer,
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "null": lambda value: value is None,
}
_RULES: dict[str, Callable[[Any, Any], str]] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "required": _required,
    "minLength": _size(str, "characters", least=True),
    "maxLength": _size(str, "characters", least=False),
    "minItems": _size(list, "items", least=True),
    "maxItems": _size(list, "items", least=False),
    "minProperties": _size(dict, "members", least=True),
    "maxProperties": _size(dict, "members", least=False),
    "minimum": _bound("at least", lambda value, said: value >= said),
    "maximum": _bound("at most", lambda value, said: value <= said),
    "exclusiveMinimum": _bound("more than", lambda value, said: value > said),
    "exclusiveMaximum": _bound("less than", lambda value, said: value < said),
    "multipleOf": _bound("a multiple of", _is_multiple),
}
