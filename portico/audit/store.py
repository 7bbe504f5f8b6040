"""Rows of the chain."""

from sqlalchemy import Connection, insert, select

from portico.audit.model import Event
from portico.db.tables import audit_detail, audit_event


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
