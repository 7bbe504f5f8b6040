"""Rows of the chain."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, and_, func, insert, select, update

from portico.audit.model import Actor, Event
from portico.audit.verify import Entry, Head
from portico.db.tables import audit_detail, audit_event, audit_head

_PAGE = 5_000
_ENTRIES = select(
    audit_event, audit_detail.c.before, audit_detail.c.after, audit_detail.c.redacted_at_ms
).outerjoin(
    audit_detail,
    and_(
        audit_detail.c.organisation_id == audit_event.c.organisation_id,
        audit_detail.c.sequence == audit_event.c.sequence,
    ),
)


def end(connection: Connection, organisation_id: str) -> tuple[int, bytes] | None:
    """Sequence and hash of the last event; None before the first."""
    row = connection.execute(
        select(audit_event.c.sequence, audit_event.c.hash)
        .where(audit_event.c.organisation_id == organisation_id)
        .order_by(audit_event.c.sequence.desc())
        .limit(1)
    ).first()
    return None if row is None else (row.sequence, row.hash)


def add(connection: Connection, event: Event, before: str | None, after: str | None) -> None:
    connection.execute(
        insert(audit_event).values(
            organisation_id=event.organisation_id,
            sequence=event.sequence,
            at_ms=event.at_ms,
            actor_kind=event.actor.kind,
            actor_id=event.actor.id,
            credential_id=event.actor.credential_id,
            address=event.actor.address,
            action=event.action,
            target=event.target,
            details_hash=event.details_hash,
            previous_hash=event.previous_hash,
            hash=event.hash,
        )
    )
    connection.execute(
        insert(audit_detail).values(
            organisation_id=event.organisation_id,
            sequence=event.sequence,
            before=before,
            after=after,
        )
    )


def entries(connection: Connection, organisation_id: str | None = None) -> Iterator[Entry]:
    """All of them, chain by chain, from the first; organisation_id: of that chain only."""
    query = _ENTRIES.order_by(audit_event.c.organisation_id, audit_event.c.sequence)
    if organisation_id is not None:
        query = query.where(audit_event.c.organisation_id == organisation_id)
    for rows in connection.execution_options(yield_per=_PAGE).execute(query).partitions():
        for row in rows:
            yield _entry(row)


def newest(
    connection: Connection, organisation_id: str, before_sequence: int | None, most: int
) -> list[Entry]:
    """Of one chain, the newest first.  before_sequence: older than this one."""
    query = (
        _ENTRIES.where(audit_event.c.organisation_id == organisation_id)
        .order_by(audit_event.c.sequence.desc())
        .limit(most)
    )
    if before_sequence is not None:
        query = query.where(audit_event.c.sequence < before_sequence)
    return [_entry(row) for row in connection.execute(query)]


def heads(connection: Connection) -> list[Head]:
    return [Head(**row._mapping) for row in connection.execute(select(audit_head))]


def unsigned_ends(connection: Connection, key_id: str) -> list[tuple[str, int, bytes]]:
    """(organisation, sequence, hash) of the end of each chain that this key has not signed."""
    last = (
        select(audit_event.c.organisation_id, func.max(audit_event.c.sequence).label("sequence"))
        .group_by(audit_event.c.organisation_id)
        .subquery()
    )
    found = connection.execute(
        select(audit_event.c.organisation_id, audit_event.c.sequence, audit_event.c.hash)
        .join(
            last,
            and_(
                last.c.organisation_id == audit_event.c.organisation_id,
                last.c.sequence == audit_event.c.sequence,
            ),
        )
        .outerjoin(
            audit_head,
            and_(
                audit_head.c.organisation_id == audit_event.c.organisation_id,
                audit_head.c.sequence == audit_event.c.sequence,
                audit_head.c.key_id == key_id,
            ),
        )
        .where(audit_head.c.sequence.is_(None))
    )
    return [(row[0], row[1], row[2]) for row in found]


def add_head(connection: Connection, head: Head) -> None:
    values = {name: getattr(head, name) for name in Head.__dataclass_fields__}
    connection.execute(insert(audit_head).values(**values))


def black_out(connection: Connection, organisation_id: str, sequence: int, now_ms: int) -> bool:
    """Take away what an event changed; was there anything?"""
    done = connection.execute(
        update(audit_detail)
        .where(
            audit_detail.c.organisation_id == organisation_id,
            audit_detail.c.sequence == sequence,
            audit_detail.c.redacted_at_ms.is_(None),
        )
        .values(before=None, after=None, redacted_at_ms=now_ms)
    )
    return done.rowcount > 0


def _entry(row: Row[Any]) -> Entry:
    actor = Actor(row.actor_kind, row.actor_id, row.credential_id, row.address)
    event = Event(
        row.organisation_id,
        row.sequence,
        row.at_ms,
        actor,
        row.action,
        row.target,
        bytes(row.details_hash),
        bytes(row.previous_hash),
        bytes(row.hash),
    )
    return Entry(event, row.before, row.after, row.redacted_at_ms is not None)
