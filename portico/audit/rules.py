"""How the chain is made.  Pure.

Canonical JSON: UTF-8, members sorted by name, no blanks; so the same facts have the same hash on
every machine and in every release.
"""

import hashlib
from typing import Any

import msgspec

from portico.audit.model import Actor, Details, Event

FIRST = bytes(32)
"""What stands before the first event."""
REDACT = "audit.redact"
"""The action that blacks another event out: its target is the number of that one."""

_CANONICAL = msgspec.json.Encoder(order="deterministic")


def canonical(document: Any) -> bytes:
    return _CANONICAL.encode(document)


def details_hash(before: str | None, after: str | None) -> bytes:
    """before, after: as they are stored, canonical JSON; None where there was nothing."""
    return hashlib.sha256(canonical([before, after])).digest()


def link(
    organisation_id: str,
    sequence: int,
    at_ms: int,
    actor: Actor,
    action: str,
    target: str,
    details: bytes,
    previous: bytes,
) -> Event:
    """The event that follows one whose hash is `previous`."""
    facts = [
        organisation_id,
        sequence,
        at_ms,
        [actor.kind, actor.id, actor.credential_id, actor.address],
        action,
        target,
        details.hex(),
        previous.hex(),
    ]
    own = hashlib.sha256(canonical(facts)).digest()
    return Event(organisation_id, sequence, at_ms, actor, action, target, details, previous, own)


def told(details: Details | None) -> str | None:
    return None if details is None else canonical(details).decode()
