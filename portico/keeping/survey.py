"""How what is kept is doing: how much there is, what should be gone, what has waited longest."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Table,
    case,
    exists,
    func,
    literal_column,
    select,
    union_all,
)

from portico.db.tables import (
    batch,
    batch_line,
    conversation,
    conversation_item,
    file,
    idempotency_key,
    instance,
    response,
    response_event,
    upload_part,
)
from portico.keeping.stock import KINDS, restricted, still_keeping

_GRACE_MS = 600_000
"""What has expired goes within a minute of it; what is there ten minutes later should not be."""

_is_open = literal_column("response.state IN ('queued', 'in_progress')", Boolean)
"""As the index says it."""


@dataclass(frozen=True, slots=True)
class Oldest:
    """Of what has not ended: how many, which began first, and when (wall clock, milliseconds).
    orphaned: with a process that is gone: whoever comes goes on with them."""

    count: int
    id: str = ""
    since_ms: int = 0
    orphaned: int = 0


@dataclass(frozen=True, slots=True)
class Survey:
    """rows: by kind.  overdue: rows that should be gone, and projects that should have none."""

    rows: Mapping[str, int]
    overdue: int
    responses: Oldest
    batches: Oldest

    @property
    def oldest_ms(self) -> int | None:
        """When the oldest of all that has not ended began."""
        return min(
            (each.since_ms for each in (self.responses, self.batches) if each.count), default=None
        )


def taken(connection: Connection, now_ms: int) -> Survey:
    """Of all organisations.  Looks at each row of an index, and at no contents."""
    rows = {
        kind.name: int(
            connection.execute(select(func.count()).select_from(kind.table)).scalar_one()
        )
        for kind in KINDS
    }
    overdue = sum(_overdue(connection, kind.table, now_ms - _GRACE_MS) for kind in KINDS)
    nothing = [each for each in restricted(connection, now_ms) if not each.content_ms_max]
    return Survey(
        rows,
        overdue + len(still_keeping(connection, nothing)),
        _oldest(connection, response, _is_open),
        _oldest(connection, batch, batch.c.ended_at_ms.is_(None)),
    )


def bytes_by_kind(connection: Connection) -> dict[str, int]:
    """Of contents alone.  Looks at every row: for a command."""
    parts = {
        "responses": (
            (response, func.length(response.c.input) + func.length(response.c.body)),
            (response, func.coalesce(func.length(response.c.request), 0)),
            (response_event, func.length(response_event.c.events)),
        ),
        "conversations": (
            (conversation, func.length(conversation.c.metadata)),
            (conversation_item, func.length(conversation_item.c.item)),
        ),
        "batches": (
            (batch_line, func.coalesce(func.length(batch_line.c.request), 0)),
            (batch_line, func.coalesce(func.length(batch_line.c.answer), 0)),
        ),
        "files": ((file, file.c.size_bytes), (upload_part, upload_part.c.size_bytes)),
        "answers": ((idempotency_key, func.coalesce(func.length(idempotency_key.c.answer), 0)),),
    }
    found = {}
    for name, sizes in parts.items():
        each = [
            select(func.coalesce(func.sum(size), 0).label("n")).select_from(table)
            for table, size in sizes
        ]
        total = union_all(*each).subquery()
        found[name] = int(connection.execute(select(func.sum(total.c.n))).scalar_one())
    return found


def _overdue(connection: Connection, table: Table, before_ms: int) -> int:
    c = table.c
    query = select(func.count()).where(c.expires_at_ms <= before_ms)
    return int(connection.execute(query).scalar_one())


def _oldest(connection: Connection, table: Table, is_open: ColumnElement[bool]) -> Oldest:
    c = table.c
    dead = c.owner.is_not(None) & ~exists().where(instance.c.id == c.owner)
    query = select(func.count(), func.coalesce(func.sum(case((dead, 1), else_=0)), 0))
    count, orphaned = connection.execute(query.where(is_open)).one()
    if not count:
        return Oldest(0)
    first = select(c.id, c.created_at_ms).where(is_open).order_by(c.created_at_ms).limit(1)
    row = connection.execute(first).one_or_none()
    return Oldest(0) if row is None else Oldest(int(count), row[0], row[1], int(orphaned))
