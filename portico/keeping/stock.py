"""All that is kept of projects, of every kind: how long it may be, and how it goes."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Table,
    bindparam,
    delete,
    or_,
    select,
    true,
    update,
)

from portico.db.tables import (
    batch,
    batch_line,
    conversation,
    conversation_item,
    file,
    idempotency_key,
    project,
    response,
    upload,
)
from portico.keeping.rules import content_ms_max, expiry_ms


@dataclass(frozen=True, slots=True)
class Kind:
    """key: tells its rows apart within a project.  since: what a project's days count from.
    ended: of what is under way nothing goes.  below: what stands below a row and may be very much:
    its column for that row, and what tells it apart there."""

    name: str
    table: Table
    key: Column[str]
    since: Column[int]
    ended: ColumnElement[bool]
    below: tuple[Column[str], Column[int]] | None = None


RESPONSES = Kind(
    "responses",
    response,
    response.c.id,
    response.c.ended_at_ms,
    response.c.ended_at_ms.is_not(None),
)
CONVERSATIONS = Kind(
    "conversations",
    conversation,
    conversation.c.id,
    conversation.c.created_at_ms,
    true(),
    (conversation_item.c.conversation_id, conversation_item.c.position),
)
BATCHES = Kind(
    "batches",
    batch,
    batch.c.id,
    batch.c.ended_at_ms,
    batch.c.ended_at_ms.is_not(None),
    (batch_line.c.batch_id, batch_line.c.number),
)
FILES = Kind("files", file, file.c.id, file.c.created_at_ms, true())
ANSWERS = Kind(
    "answers",
    idempotency_key,
    idempotency_key.c.key,
    idempotency_key.c.created_at_ms,
    idempotency_key.c.state == "done",
)
"""Under an `Idempotency-Key`."""
ROWS = (RESPONSES, CONVERSATIONS, BATCHES)
"""What is in rows alone, and goes with them."""
KINDS = (*ROWS, FILES, ANSWERS)


@dataclass(frozen=True, slots=True)
class Restricted:
    """A project that has said, or whose end says, how long what it keeps may stay; 0: not at all."""

    id: str
    organisation_id: str
    content_ms_max: int


def restricted(connection: Connection, now_ms: int) -> list[Restricted]:
    """All of them, of every organisation."""
    c = project.c
    query = select(c.id, c.organisation_id, c.retention, c.retention_days, c.archived_at_ms)
    found = connection.execute(
        query.where(or_(c.retention.in_(("zero", "days")), c.archived_at_ms.is_not(None)))
    )
    told = [(row[0], row[1], content_ms_max(*row[2:], now_ms)) for row in found]
    return [Restricted(id, of, most_ms) for id, of, most_ms in told if most_ms is not None]


def expired(connection: Connection, kind: Kind, now_ms: int, most: int) -> list[str]:
    """Of every project, what went longest ago first."""
    c = kind.table.c
    query = select(kind.key).where(c.expires_at_ms <= now_ms)
    return list(connection.execute(query.order_by(c.expires_at_ms).limit(most)).scalars())


def remove_expired(connection: Connection, kind: Kind, keys: Sequence[str], now_ms: int) -> int:
    """Those of them that still are.  How many."""
    gone = delete(kind.table).where(kind.key.in_(keys), kind.table.c.expires_at_ms <= now_ms)
    return connection.execute(gone).rowcount


def some(connection: Connection, kind: Kind, project_id: str, most: int) -> list[str]:
    query = select(kind.key).where(kind.table.c.project_id == project_id).limit(most)
    return list(connection.execute(query).scalars())


def still_keeping(connection: Connection, projects: Sequence[Restricted]) -> list[Restricted]:
    """Those of them of which anything is left; answers under a key go as they expire."""
    return [each for each in projects if _keeps(connection, each)]


def _keeps(connection: Connection, of: Restricted) -> bool:
    uploads = select(upload.c.id).where(upload.c.project_id == of.id).limit(1)
    if connection.execute(uploads).first() is not None:
        return True
    return any(some(connection, kind, of.id, 1) for kind in (*ROWS, FILES))


def remove(connection: Connection, kind: Kind, project_id: str, keys: Sequence[str]) -> int:
    """With all that stands below them.  How many."""
    gone = delete(kind.table).where(kind.table.c.project_id == project_id, kind.key.in_(keys))
    return connection.execute(gone).rowcount


def thin(connection: Connection, kind: Kind, keys: Sequence[str], most: int) -> int:
    """Of what stands below these rows, up to `most`: so that nobody waits for all of it.  How many."""
    if kind.below is None:
        return 0
    parent, number = kind.below
    for key in keys:
        some = select(number).where(parent == key).order_by(number).limit(most)
        gone = connection.execute(delete(parent.table).where(parent == key, number.in_(some)))
        if gone.rowcount:
            return gone.rowcount
    return 0


def too_long(
    connection: Connection, kind: Kind, of: Restricted, after: str, most: int
) -> tuple[list[tuple[str, int]], str]:
    """Of the `most` rows behind the key `after`: those that are to go sooner than they say, and when;
    and the last key that was looked at, "" where there are no more."""
    c = kind.table.c
    query = (
        select(kind.key, kind.since, c.expires_at_ms, kind.ended)
        .where(c.project_id == of.id, kind.key > after)
        .order_by(kind.key)
        .limit(most)
    )
    rows = connection.execute(query).all()
    found = []
    for key, since_ms, expires_at_ms, ended in rows:
        until_ms = expiry_ms(expires_at_ms, since_ms, of.content_ms_max) if ended else None
        if until_ms is not None and until_ms != expires_at_ms:
            found.append((key, until_ms))
    return found, rows[-1][0] if len(rows) == most else ""


def shorten(
    connection: Connection, kind: Kind, of: Restricted, found: Sequence[tuple[str, int]]
) -> int:
    """found: as `too_long` gives them.  How many."""
    if not found:
        return 0
    c = kind.table.c
    until_ms = bindparam("until_ms", type_=c.expires_at_ms.type)
    sooner = update(kind.table).where(
        c.project_id == of.id,
        kind.key == bindparam("row_key"),
        or_(c.expires_at_ms.is_(None), c.expires_at_ms > until_ms),
    )
    rows = [{"row_key": key, "until_ms": until} for key, until in found]
    return connection.execute(sooner.values(expires_at_ms=until_ms), rows).rowcount
