"""How objects look in answers, and what questions may say.  Pure.

Times are RFC 3339, UTC, to the second.  Lists come in pages: `limit` (1 to 100, 20 if left out) and
`after`, the id of the last object of the page before.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from msgspec import UNSET, Meta, UnsetType

from portico import errors
from portico.accounts.actors.paging import Window
from portico.admin.operation import Ask, Told

Moment = Annotated[datetime, Meta(tz=True)]
"""Of a body: a time that says its zone."""
PAGED = ("limit", "after")
"""Parameters of every list."""
PAGE_MAX = 100
_PAGE = 20
_ID_MAX = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 253_402_300_799_000
"""The last second of the year 9999."""
T = TypeVar("T")


def rfc3339(moment_ms: int | None) -> str | None:
    if moment_ms is None:
        return None
    return f"{datetime.fromtimestamp(moment_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def said(value: T | UnsetType) -> T | None:
    """Of a change: None for what it does not speak of."""
    return None if value is UNSET else value


def moment_ms(moment: datetime | None, name: str) -> int | None:
    """Of a member of a body.  Raises: Refusal: out_of_range."""
    if moment is None:
        return None
    found = round((moment - _EPOCH).total_seconds() * 1000)
    if not 0 <= found <= _LAST_MS:
        raise errors.OUT_OF_RANGE(
            f"{name!r} is not between 1970 and 9999.", field=name, value=str(moment)
        )
    return found


def moment_of(ask: Ask, name: str) -> int | None:
    """A parameter that is a date or time.  Raises: Refusal: invalid_value."""
    text = ask.query.get(name, "")
    if not text:
        return None
    try:
        # A "+" in a query is a blank once decoded.
        found = datetime.fromisoformat(text.replace(" ", "+"))
        known = found.replace(tzinfo=found.tzinfo or UTC)
        moment = round((known - _EPOCH).total_seconds() * 1000)
        if not 0 <= moment <= _LAST_MS:
            raise ValueError("no date that can be shown")
        return moment
    except (ValueError, OverflowError):
        raise errors.INVALID_VALUE(
            f"{name!r} is {text[:100]!r}; it must be a date or time such as 2026-11-21T00:00:00Z.",
            field=name,
            value=text[:100],
        ) from None


def choice_of(ask: Ask, name: str, options: Sequence[str], default: str) -> str:
    """A parameter that is one of a few words.  Raises: Refusal: invalid_value."""
    text = ask.query.get(name) or default
    if text not in options:
        raise errors.INVALID_VALUE(
            f"{name!r} is {text[:100]!r}; it must be one of {', '.join(options)}.",
            field=name,
            value=text[:100],
            limit=list(options),
        )
    return text


def given(ask: Ask, name: str) -> str:
    """A parameter that must be there.  Raises: Refusal: missing_field."""
    text = ask.query.get(name, "")
    if not text:
        raise errors.MISSING_FIELD(
            f"{name!r} is missing.", field=name, remedy=f"Add `?{name}=...` to the URL."
        )
    return text


def window_of(ask: Ask) -> Window:
    """One more than the page holds, to see whether there are more.

    Raises: Refusal: out_of_range, invalid_value.
    """
    return Window(ask.query.get("after", "")[:_ID_MAX], limit_of(ask) + 1)


def limit_of(ask: Ask, most: int = PAGE_MAX, default: int = _PAGE) -> int:
    """Raises: Refusal: out_of_range, invalid_value."""
    text = ask.query.get("limit", "") or str(default)
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise errors.INVALID_VALUE(
            f"'limit' is {text[:100]!r}; it must be a whole number.",
            field="limit",
            value=text[:100],
        )
    if not 1 <= int(text) <= most:
        raise errors.OUT_OF_RANGE(
            f"'limit' is {text}; it must be 1 to {most}.",
            field="limit",
            value=int(text),
            limit=most,
        )
    return int(text)


def page(ask: Ask, found: Sequence[T], shown: Callable[[T], Told]) -> Told:
    """found: what a store gave for `window_of`."""
    size = limit_of(ask)
    data = [shown(each) for each in found[:size]]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(found) > size,
    }


def page_of_all(ask: Ask, found: Sequence[T], shown: Callable[[T], Told]) -> Told:
    """found: everything there is; few, and in the order in which they are shown."""
    ids = [shown(each)["id"] for each in found]
    after = ask.query.get("after", "")
    start = ids.index(after) + 1 if after in ids else 0
    return page(ask, found[start : start + limit_of(ask) + 1], shown)
