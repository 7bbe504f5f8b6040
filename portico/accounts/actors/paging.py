"""Lists in pages.  Ids begin with the time, so their order is nearly that in which rows came."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Select


@dataclass(frozen=True, slots=True)
class Window:
    """after: the id of the last row that was seen, "" to begin; it need not exist any more.
    most: rows wanted; None for all."""

    after: str = ""
    most: int | None = None


ALL = Window()


def paged(query: Select[Any], id: "Column[Any]", window: Window) -> Select[Any]:
    """By id."""
    query = query.order_by(id)
    if window.after:
        query = query.where(id > window.after)
    return query if window.most is None else query.limit(window.most)
