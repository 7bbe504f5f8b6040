"""Write down who changed what, sign where the chains end, and walk them again."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from sqlalchemy import Connection

from portico.audit import store
from portico.audit.model import Actor, Details, Event
from portico.audit.rules import FIRST, REDACT, details_hash, link, told
from portico.audit.verify import Entry, Head, IsSigned, Verdict, message, verify


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


def newest(
    connection: Connection, organisation_id: str, before_sequence: int | None, most: int
) -> list[Entry]:
    """Of one chain ("" for the installation's), newest first.  before_sequence: older ones only."""
    return store.newest(connection, organisation_id, before_sequence, most)


def entries(connection: Connection, organisation_id: str | None = None) -> Iterator[Entry]:
    """Chain by chain, from the first; organisation_id: of that chain only."""
    return store.entries(connection, organisation_id)


def sign_heads(
    connection: Connection, key_id: str, sign: Callable[[bytes], bytes], now_ms: int
) -> list[Head]:
    """Sign the end of every chain that has grown since; for copies that are kept elsewhere."""
    made = []
    for organisation_id, sequence, hash in store.unsigned_ends(connection, key_id):
        signature = sign(message(organisation_id, sequence, hash))
        head = Head(organisation_id, sequence, key_id, bytes(hash), now_ms, signature)
        store.add_head(connection, head)
        made.append(head)
    return made


def heads(connection: Connection) -> list[Head]:
    """All that were signed, for copies that are kept elsewhere."""
    return store.heads(connection)


def verify_all(
    connection: Connection, keys: Mapping[str, IsSigned], kept: Iterable[Head] = ()
) -> Verdict:
    """In one snapshot of the database.  keys: those that heads were signed with, by id.
    kept: copies of heads from elsewhere; whoever can write the database can take its own away."""
    both = dict.fromkeys((*store.heads(connection), *kept))
    return verify(store.entries(connection), both, keys)


def redact(
    connection: Connection, at_ms: int, actor: Actor, organisation_id: str, sequence: int
) -> bool:
    """Black out what an event changed: its hash stays, and that it was done is an event itself.

    Gives False where there is no such event, or it was done before.
    """
    if not store.black_out(connection, organisation_id, sequence, at_ms):
        return False
    record(connection, at_ms, actor, organisation_id, REDACT, str(sequence), None, None)
    return True
