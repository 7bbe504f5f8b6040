"""Write down who changed what."""

from sqlalchemy import Connection

from portico.audit import store
from portico.audit.model import Actor, Details, Event
from portico.audit.rules import FIRST, details_hash, link, told


def record(
    connection: Connection,
    at_ms: int,
    actor: Actor,
    organisation_id: str,
    action: str,
    target: str,
    before: Details | None,
    after: Details | None,
) -> Event:
    """Add the next link, in the transaction of the change: either both are on disk or neither.

    Whoever changes holds the only writer's turn, so no two events get one number.
    """
    sequence, previous = store.end(connection, organisation_id) or (0, FIRST)
    was, now = told(before), told(after)
    details = details_hash(was, now)
    event = link(organisation_id, sequence + 1, at_ms, actor, action, target, details, previous)
    store.add(connection, event, was, now)
    return event
