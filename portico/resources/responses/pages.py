"""The items of one response in pages.  Pure: they are read together."""

from collections.abc import Sequence
from typing import Any

from portico.resources.items import list_of, unknown_edge
from portico.resources.pages import Window


def input_page(items: Sequence[dict[str, Any]], window: Window) -> dict[str, Any]:
    """items: in the order they were sent.  Raises: Refusal: invalid_value: an id that none has."""
    listed = list(reversed(items)) if window.newest_first else list(items)
    ids = [item.get("id") for item in listed]
    start, end = 0, len(listed)
    if window.after:
        start = _place(ids, "after", window.after) + 1
    if window.before:
        end = _place(ids, "before", window.before)
    if window.before and not window.after:
        start = max(start, end - window.limit)
        more = start > 0
    else:
        more = end - start > window.limit
    return list_of(listed[start : min(end, start + window.limit)], more=more)


def _place(ids: Sequence[Any], field: str, item_id: str) -> int:
    if item_id not in ids:
        raise unknown_edge(field, item_id)
    return ids.index(item_id)
