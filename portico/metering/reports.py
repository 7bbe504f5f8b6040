"""What was used, for those who may ask: `GET /v1/usage` and `portico usage`.

Every function reads on a connection of the caller's: the server through `readers.run`, the command
line through `database.read`.
"""

import base64
import binascii
from datetime import UTC, datetime

from sqlalchemy import Connection

from portico import errors
from portico.metering import store
from portico.metering.model import GroupBy, Page, Question, Totals

RECORDS_MAX = 1_000


def totals(connection: Connection, question: Question) -> Totals:
    return store.totals(connection, question)


def groups(connection: Connection, question: Question, by: GroupBy) -> dict[str, Totals]:
    """Totals per model, key id or request id, or per day ("2026-11-21") or hour
    ("2026-11-21T13:00Z"), UTC."""
    found = store.groups(connection, question, by)
    if by == "day":
        return {f"{_utc(start):%Y-%m-%d}": totals for start, totals in found}
    if by == "hour":
        return {f"{_utc(start):%Y-%m-%dT%H:00Z}": totals for start, totals in found}
    if by == "request":  # rounds in their order: the tenth is not the second
        found = sorted(found, key=lambda each: (len(each[0]), each[0]))
    return dict(found)


def recent(
    connection: Connection, question: Question, *, limit: int = 100, cursor: str | None = None
) -> Page:
    """A page of records, newest first.

    Raises: Refusal: out_of_range for `limit`, invalid_value for a `cursor` not from here.
    """
    if not 1 <= limit <= RECORDS_MAX:
        raise errors.OUT_OF_RANGE(
            f"'limit' is {limit}; it may be 1 to {RECORDS_MAX}.",
            field="limit",
            value=limit,
            limit=RECORDS_MAX,
        )
    before = _read_cursor(cursor) if cursor is not None else None
    found = store.recent(connection, question, limit + 1, before)
    records = tuple(found[:limit])
    if len(found) == len(records):
        return Page(records, None)
    return Page(records, _cursor(records[-1].started_at_ms, records[-1].id))


def _utc(epoch_ms: str) -> datetime:
    return datetime.fromtimestamp(int(epoch_ms) / 1000, UTC)


def _cursor(started_at_ms: int, record_id: str) -> str:
    return base64.urlsafe_b64encode(f"{started_at_ms}.{record_id}".encode()).decode()


def _read_cursor(cursor: str) -> tuple[int, str]:
    try:
        started_at_ms, record_id = base64.urlsafe_b64decode(cursor).decode().split(".", 1)
        return int(started_at_ms), record_id
    except (ValueError, binascii.Error) as error:
        raise errors.INVALID_VALUE(
            "'cursor' is not one this server gave out; it must be the last page's.",
            field="cursor",
            value=cursor,
        ) from error
