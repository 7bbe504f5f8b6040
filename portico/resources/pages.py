"""Lists in pages.  Ids begin with their time, so a page goes on behind the id it names, whatever was
added or deleted in between."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from sqlalchemy import ColumnElement, Select

from portico import errors
from portico.dialects.diagnosis import brief, not_one_of, shown

_ID_CHARACTERS_MAX = 128
_LIMIT = 20
OPENAI = ("after", "before", "limit", "order")
"""Parameters of a list, for its route."""
ANTHROPIC = ("after_id", "before_id", "limit")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Window:
    """after, before: ids that the page lies behind, or in front of, in the order asked for; "" for
    none.  limit: objects in it.  newest_first: the order."""

    after: str
    before: str
    limit: int
    newest_first: bool = True


def openai_window(
    query: bytes, *, limit_max: int = 100, limit: int = _LIMIT, order: str = "desc"
) -> Window:
    """limit, order: where the query names none.  Raises: Refusal: invalid_value, out_of_range."""
    said = _said(query)
    order = said.get("order", order)
    if order not in ("asc", "desc"):
        raise not_one_of("order", order, ["asc", "desc"])
    size = _limit(said.get("limit", ""), limit_max, limit)
    return Window(_id(said, "after"), _id(said, "before"), size, order == "desc")


def anthropic_window(query: bytes, *, limit_max: int = 1_000) -> Window:
    """Raises: Refusal: invalid_value, out_of_range."""
    said = _said(query)
    limit = _limit(said.get("limit", ""), limit_max, _LIMIT)
    return Window(_id(said, "after_id"), _id(said, "before_id"), limit)


def paged(query: Select[Any], place: ColumnElement[Any], window: Window) -> Select[Any]:
    """`query`, for one object more than the page holds: whether there is another.

    place: the column whose order the list has.  A window that ends in front of an id is read from
    there backwards, see `page_of`.
    """
    later, sooner = window.after, window.before
    if window.newest_first:
        later, sooner = sooner, later
    if later:
        query = query.where(place > later)
    if sooner:
        query = query.where(place < sooner)
    falling = window.newest_first != _backwards(window)
    return query.order_by(place.desc() if falling else place.asc()).limit(window.limit + 1)


def page_of(found: Sequence[T], window: Window) -> tuple[list[T], bool]:
    """What `paged` found, in the order asked for; and whether there is more."""
    page = list(found[: window.limit])
    if _backwards(window):
        page.reverse()
    return page, len(found) > window.limit


def told(
    found: Sequence[T], window: Window, shown_as: Callable[[T], dict[str, Any]]
) -> dict[str, Any]:
    """The list as OpenAI's clients read it; Anthropic's want the same without `object`."""
    page, more = page_of(found, window)
    data = [shown_as(each) for each in page]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": more,
    }


def _backwards(window: Window) -> bool:
    return bool(window.before) and not window.after


def _said(query: bytes) -> dict[str, str]:
    return dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))


def _id(said: dict[str, str], name: str) -> str:
    """An id that is too long to be one is behind everything, as one that never was."""
    return said.get(name, "")[:_ID_CHARACTERS_MAX]


def _limit(said: str, most: int, otherwise: int) -> int:
    if not said:
        return min(otherwise, most)
    if not (said.isascii() and said.isdigit() and len(said) <= 9):
        raise errors.INVALID_VALUE(
            f"'limit' is {shown(said)}; it must be a whole number.",
            field="limit",
            value=brief(said),
            limit=f"1 to {most}",
        )
    if not 1 <= int(said) <= most:
        raise errors.OUT_OF_RANGE(
            f"'limit' is {int(said)}; it must be 1 to {most}.",
            field="limit",
            value=int(said),
            limit=most,
        )
    return int(said)
