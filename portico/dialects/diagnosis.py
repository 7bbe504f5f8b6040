"""Why a body is refused: field, value, limit.  Runs only after the fast checks have failed."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec import inspect

from portico import errors
from portico.errors import Refusal

DEPTH_MAX = 64
DIGITS_MAX = 64

_MEMBERS_MAX = 200_000
"""Bodies with more members than this are refused without looking for the exact place: the search
costs microseconds per member, and must not be a lever against the server."""

_SHOWN_MAX = 80

_WORDS = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
    "null": "null",
}


class LongNumber(ValueError):
    """More digits than anything here needs, or beyond what a float can say."""


class _Odd(NamedTuple):
    """A number or constant that stands in the JSON text but not in our world."""

    text: str


Part = str | int


def shown(value: Any) -> str:
    """`value` as a reader sees it in a message: short, and safe to write down."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, _Odd) else value.text
    if len(text) > _SHOWN_MAX:
        text = f"{text[:_SHOWN_MAX]}... ({len(text)} characters)"
    return text.encode("utf-8", "backslashreplace").decode()


def brief(value: Any) -> Any:
    """`value` as it is kept in a refusal: itself if small, else a short form."""
    if value is None or isinstance(value, bool | int | float):
        return value if abs(value or 0) < 1 << 63 else shown(value)
    if isinstance(value, str) and len(value) <= _SHOWN_MAX:
        return value.encode("utf-8", "backslashreplace").decode()
    return shown(value)


def malformed(body: bytes, error: Exception) -> Refusal:
    """The refusal for a body that could not be decoded.  `error` is what the decoder said."""
    if isinstance(error, RecursionError):
        return _too_deep(None)
    document = _read_leniently(body)
    if document is not None:
        for path, _, value in _walk(document):
            if isinstance(value, _Odd):
                return _odd_number(path, value)
            if isinstance(value, str) and not value.isascii() and _has_surrogate(value):
                return _surrogate(path, value)
    what = str(error).removeprefix("JSON is malformed: ")
    what = what.replace("Input data was truncated", "it ends too early")
    if isinstance(error, UnicodeDecodeError):
        what = _bad_byte(body)
    if not body.strip():
        what = "it is empty"
    return errors.INVALID_JSON(f"The body is not valid JSON: {what}.", limit="JSON in UTF-8")


def _bad_byte(body: bytes) -> str:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return f"byte 0x{body[error.start]:02x} at position {error.start} is not UTF-8"
    return "it holds text that is not Unicode"


def _surrogate(path: str, value: str) -> Refusal:
    return errors.LONE_SURROGATE(
        f"{path!r} is {shown(value)}; it holds half a surrogate pair, which is no character.",
        field=path,
        value=brief(value),
        limit="valid Unicode",
    )


def _odd_number(path: str, value: _Odd) -> Refusal:
    if value.text in ("NaN", "Infinity", "-Infinity"):
        return errors.INVALID_JSON(
            f"{path!r} is {value.text}, which JSON does not have.",
            field=path,
            value=value.text,
            limit="a JSON number",
        )
    return errors.OUT_OF_RANGE(
        f"{path!r} is {shown(value)}; numbers may have at most {DIGITS_MAX} digits and must fit "
        "a double.",
        field=path,
        value=brief(value),
        limit=DIGITS_MAX,
    )


def not_an_object(document: Any) -> Refusal:
    return errors.NOT_AN_OBJECT(
        f"The body is {shown(document)}; it must be an object.",
        value=brief(document),
        limit="an object",
    )


def beyond_limits(document: dict[str, Any]) -> Refusal:
    """The refusal for a document that nests too deep or holds a number too long."""
    for path, depth, value in _walk(document):
        if type(value) is int and len(str(abs(value))) > DIGITS_MAX:
            return _odd_number(path, _Odd(str(value)))
        if depth > DEPTH_MAX:
            return _too_deep(path)
    return _too_deep(None)


def _too_deep(path: str | None) -> Refusal:
    where = f"{path[:_SHOWN_MAX]!r}" if path else "The body"
    return errors.JSON_TOO_DEEP(
        f"{where} nests more than {DEPTH_MAX} levels deep.", field=path, limit=DEPTH_MAX
    )


def explained(said: str, document: dict[str, Any], shape: type) -> Refusal:
    """The refusal for a document that is not a `shape`, from what msgspec says about it."""
    what, _, place = said.partition(" - at `$")
    parts = [
        int(index) if index else name
        for name, index in re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", place)
    ]
    if missing := re.match(r"Object missing required field `(.+)`", what):
        path = _path([*parts, missing[1]])
        return errors.MISSING_FIELD(f"{path!r} is missing.", field=path, limit="required")
    value = _at(document, parts)
    path = _path(parts)
    if what.startswith("Invalid"):
        return not_one_of(path, value, _options(shape, parts, document))
    if bound := re.match(r"Expected `(\w+)`( of length)? ([<>]=) ([\d.e+-]+)$", what):
        return _out_of_bounds(path, value, bound)
    if pattern := re.match(r"Expected `str` matching regex (.+)$", what):
        return errors.INVALID_VALUE(
            f"{path!r} is {shown(value)}; it must match {pattern[1]}.",
            field=path,
            value=brief(value),
            limit=pattern[1].strip("'"),
        )
    names = re.match(r"Expected `([^`]+)`", what)
    return wrong_type(path, value, names[1].split(" | ") if names else [what])


def wrong_type(path: str, value: Any, types: list[str]) -> Refusal:
    """`types` in msgspec's words: int, float, str, bool, array, object, null."""
    wanted = " or ".join(_WORDS.get(name, name) for name in types)
    return errors.INVALID_TYPE(
        f"{path!r} is {shown(value)}; it must be {wanted}.",
        field=path,
        value=brief(value),
        limit=wanted,
    )


def not_one_of(path: str, value: Any, options: list[Any]) -> Refusal:
    listed = ", ".join(shown(option) for option in options)
    rule = f"it must be one of: {listed}" if options else "the request has none to choose from"
    return errors.INVALID_VALUE(
        f"{path!r} is {shown(value)}; {rule}.",
        field=path,
        value=brief(value),
        limit=options,
    )


def out_of_range(path: str, value: Any, rule: str, limit: float) -> Refusal:
    """`rule` completes "it must be ..."."""
    return errors.OUT_OF_RANGE(
        f"{path!r} is {shown(value)}; it must be {rule}.",
        field=path,
        value=brief(value),
        limit=limit,
    )


def _out_of_bounds(path: str, value: Any, bound: re.Match[str]) -> Refusal:
    limit = float(bound[4])
    number = int(bound[4].removesuffix(".0")) if limit.is_integer() else limit
    side = "at least" if bound[3] == ">=" else "at most"
    if not bound[2]:
        return out_of_range(path, value, f"{side} {number}", number)
    unit = {"array": "item", "str": "character", "object": "member"}.get(bound[1], "item")
    length = len(value)
    return errors.OUT_OF_RANGE(
        f"{path!r} has {length} {unit}{'s' * (length != 1)}; it must have {side} {number}.",
        field=path,
        value=length,
        limit=number,
    )


def _options(shape: type, parts: list[Part], document: Any) -> list[Any]:
    """The values the place `parts` may have: of a Literal, or the tags of a tagged union."""
    found = _flat(inspect.type_info(shape))
    value = document
    for part in parts:
        tags = [t.tag for t in found if isinstance(t, inspect.StructType) and t.tag_field == part]
        if tags:
            return tags
        found = [inner for t in found for inner in _inside(t, part, value)]
        value = value[part]
    return [v for t in found if isinstance(t, inspect.LiteralType) for v in t.values]


def _inside(kind: inspect.Type, part: Part, value: Any) -> list[inspect.Type]:
    if isinstance(kind, inspect.ListType) and isinstance(part, int):
        return _flat(kind.item_type)
    if not isinstance(kind, inspect.StructType):
        return []
    if kind.tag_field is not None and value.get(kind.tag_field) != kind.tag:
        return []
    return [t for f in kind.fields if f.encode_name == part for t in _flat(f.type)]


def _flat(kind: inspect.Type) -> list[inspect.Type]:
    return list(kind.types) if isinstance(kind, inspect.UnionType) else [kind]


def _at(document: Any, parts: list[Part]) -> Any:
    for part in parts:
        document = document[part]
    return document


def _path(parts: list[Part]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".")


def _read_leniently(body: bytes) -> Any:
    """The document as the most forgiving reader sees it; None if even that one gives up."""
    if body.count(b",") > _MEMBERS_MAX:
        return None
    try:
        return json.loads(
            body.decode("utf-8", "surrogatepass"),
            parse_int=_number,
            parse_float=_number,
            parse_constant=_Odd,
        )
    except (ValueError, RecursionError):
        return None


def _number(text: str) -> float | _Odd:
    digits = sum(map(str.isdigit, text))
    if digits > DIGITS_MAX or abs(float(text)) == float("inf"):
        return _Odd(text)
    return float(text)


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in text)


def _walk(document: Any) -> Iterator[tuple[str, int, Any]]:
    """Path, depth and value of everything in `document`, in the order of the text; names as well.
    The depth of a container counts itself; that of anything else is 0."""
    stack = [("", 1, document)]
    while stack:
        path, depth, value = stack.pop()
        if isinstance(value, dict):
            yield path, depth, value
            yield from ((path or "(top level)", 0, name) for name in value)
            below = [(f"{path}.{name}" if path else name, inner) for name, inner in value.items()]
        elif isinstance(value, list):
            yield path, depth, value
            below = [(f"{path}[{index}]", inner) for index, inner in enumerate(value)]
        else:
            yield path, 0, value
            continue
        if depth <= DEPTH_MAX:
            stack.extend((inner_path, depth + 1, inner) for inner_path, inner in reversed(below))
