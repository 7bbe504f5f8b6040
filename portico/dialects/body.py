"""A request body, from bytes to checked values.  What every dialect refuses is refused here.

One untyped decode, one walk for the limits, one typed conversion.  Why it failed is worked out
only once it has (diagnosis.py).
"""

from collections.abc import Iterable
from itertools import chain
from typing import Any, TypeVar

import msgspec

from portico import errors
from portico.dialects import diagnosis
from portico.dialects.diagnosis import DEPTH_MAX, DIGITS_MAX, LongNumber

BOM = b"\xef\xbb\xbf"
_INT_MAX = 10**DIGITS_MAX
_INT_MIN = -_INT_MAX
_COUNTED_FROM_BYTES = 1_048_576
_TREE_BYTES_MAX = 100_000_000
_WEIGHTS = ((b"{", 240), (b"[", 64), (b":", 120), (b",", 48))
"""What each may stand for in memory, in bytes; those inside of strings are counted, too, which only
a body of several megabytes of nothing but such signs would notice."""

VALUES_MAX = 310_000
"""Members of objects and items of arrays: as many tokens as one request for embeddings may hold at
OpenAI, and what goes around them.  Each takes some microseconds on its way through a dialect, for
which everybody waits."""
MEMBERS_MAX = 10_000
"""Of the object itself, in a body with room for many: one that is not known is told by its name."""
_VALUES_FROM_BYTES = 2 * VALUES_MAX
"""A smaller body has not got so many."""

Shape = TypeVar("Shape")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise LongNumber
    if len(text) > DIGITS_MAX and sum(map(str.isdigit, text)) > DIGITS_MAX:
        raise LongNumber
    return value


_decoder = msgspec.json.Decoder(float_hook=_float)


def without_bom(body: bytes) -> bytes:
    """Some editors and shells put a byte order mark before the document."""
    return body[3:] if body.startswith(BOM) else body


def json_object(body: bytes) -> dict[str, Any]:
    """The object `body` holds; of a member written twice the last one counts.

    Raises: Refusal: invalid_json, body_not_an_object, json_too_deep, out_of_range (a number of
    more than 64 digits), lone_surrogate, body_too_large (more values than are read at once).
    """
    if len(body) > _COUNTED_FROM_BYTES:
        _check_weight(body)
    try:
        document = _decoder.decode(body)
    except (ValueError, RecursionError) as error:
        raise diagnosis.malformed(body, error) from None
    if type(document) is not dict:
        raise diagnosis.not_an_object(document)
    if len(body) > _VALUES_FROM_BYTES:
        _check_values(document)
    if not _within_limits(document):
        raise diagnosis.beyond_limits(document)
    return document


def _check_weight(body: bytes) -> None:
    """32 MiB of empty objects are 1.4 GB once read, and hold up everybody for seconds.

    Raises: Refusal.
    """
    tree_bytes = sum(weight * body.count(sign) for sign, weight in _WEIGHTS)
    if tree_bytes > _TREE_BYTES_MAX:
        raise errors.BODY_TOO_LARGE(
            f"The body holds so many values that they would take {tree_bytes} bytes once read; "
            f"the limit is {_TREE_BYTES_MAX}.",
            value=tree_bytes,
            limit=_TREE_BYTES_MAX,
            remedy="Send fewer values; what is long belongs in a string.",
        )


def _check_values(document: dict[str, Any]) -> None:
    """Raises: Refusal."""
    if len(document) > MEMBERS_MAX:
        raise errors.BODY_TOO_LARGE(
            f"The body has {len(document)} members; so large a body may have {MEMBERS_MAX}.",
            value=len(document),
            limit=MEMBERS_MAX,
            remedy="Send fewer.",
        )
    level: list[Any] = [document]
    values = 0
    while level and values <= VALUES_MAX:
        values += sum(map(len, level))
        below: list[Any] = []
        for each in level:
            inside = each.values() if type(each) is dict else each
            below += [value for value in inside if type(value) is dict or type(value) is list]
        level = below
    if values > VALUES_MAX:
        raise errors.BODY_TOO_LARGE(
            f"The body holds more than {VALUES_MAX} values; no more are read at once.",
            limit=VALUES_MAX,
            remedy="Send fewer values; what is long belongs in a string.",
        )


def _within_limits(document: dict[str, Any]) -> bool:
    """Level by level, so that a body of any shape is walked without recursion."""
    level: list[Iterable[Any]] = [document.values()]
    for _ in range(DEPTH_MAX):
        below: list[Iterable[Any]] = []
        for value in chain.from_iterable(level):
            kind = type(value)
            if kind is str:  # most of them
                continue
            if kind is dict:
                below.append(value.values())
            elif kind is list:
                below.append(value)
            elif kind is int and not _INT_MIN < value < _INT_MAX:
                return False
        if not below:
            return True
        level = below
    return False


def checked(document: dict[str, Any], shape: type[Shape]) -> Shape:
    """`document` as a `shape`.  Members the shape does not name are let pass.

    Raises: Refusal: missing_field, invalid_type, invalid_value, out_of_range.
    """
    try:
        return msgspec.convert(document, shape)
    except msgspec.ValidationError as error:
        raise diagnosis.explained(str(error), document, shape) from None


PROJECT = ":project"
"""Among the hints of a request: whose it is."""
STATE = ":state"
"""The same: what came before stands in its input already; and whether its answer is `KEPT`."""
KEPT = "kept"
REMOTE = ":remote"
"""The same: tools of remote servers are called here."""


def obeyed(hints: dict[str, str]) -> dict[str, str]:
    """Those that came as headers; the rest is what the door says of the request, for parsers only."""
    if len(hints) == 1 and PROJECT in hints:  # nearly always
        return {}
    return {name: said for name, said in hints.items() if not name.startswith(":")}
