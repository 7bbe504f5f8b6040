"""Stretches of time, and which of them a page shows.  Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from portico import errors
from portico.admin.operation import Ask
from portico.admin.shapes import choice_of, limit_of, moment_of

WIDTHS_MS = {"1m": 60_000, "1h": 3_600_000, "1d": 86_400_000}
BUCKETS_MAX = 1_440
"""In one page: a day of minutes."""
_BUCKETS = 31
ROWS_MAX = 10_000
"""Sums in one page."""


class Row(Protocol):
    @property
    def start_ms(self) -> int:
        """Of its bucket; 0 where there is one for all of the time."""
        ...

    @property
    def names(self) -> tuple[str, ...]: ...


R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Page:
    """width_ms: None for one bucket, all of the time.  starts_ms: of its buckets, rising; the first may
    have begun before since_ms.  more: there is time behind until_ms."""

    width_ms: int | None
    starts_ms: tuple[int, ...]
    since_ms: int
    until_ms: int
    more: bool


def page_of_time(ask: Ask, since_ms: int, until_ms: int) -> Page:
    """As `bucket_width`, `limit` and `after` say; days and hours are UTC.

    Raises: Refusal: invalid_value, out_of_range.
    """
    most = limit_of(ask, most=BUCKETS_MAX, default=_BUCKETS)
    after_ms = moment_of(ask, "after")
    if not ask.query.get("bucket_width"):
        return Page(None, (since_ms,), since_ms, until_ms, more=False)
    width_ms = WIDTHS_MS[choice_of(ask, "bucket_width", tuple(WIDTHS_MS), "")]
    if after_ms is not None:
        since_ms = max(since_ms, after_ms // width_ms * width_ms + width_ms)
    first_ms = since_ms // width_ms * width_ms
    end_ms = min(until_ms, first_ms + most * width_ms)
    starts_ms = tuple(range(first_ms, end_ms, width_ms))
    return Page(width_ms, starts_ms, since_ms, end_ms, more=end_ms < until_ms)


def cut(page: Page, rows: Sequence[R]) -> tuple[Page, Sequence[R]]:
    """Without the buckets that did not come whole, because there are too many sums in those before.

    Raises: Refusal: out_of_range, for a bucket that alone has too many.
    """
    if len(rows) <= ROWS_MAX:
        return page, rows
    until_ms = rows[-1].start_ms
    starts_ms = tuple(each for each in page.starts_ms if each < until_ms)
    if page.width_ms is None or not starts_ms:
        raise errors.OUT_OF_RANGE(
            f"There are more than {ROWS_MAX} sums in one bucket.",
            field="group_by",
            limit=ROWS_MAX,
            remedy="Group by less, or ask about one project, key or model.",
        )
    whole = Page(page.width_ms, starts_ms, page.since_ms, until_ms, more=True)
    return whole, [row for row in rows if row.start_ms < until_ms]
