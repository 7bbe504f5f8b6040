"""Who changed what: the audit log."""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from portico import errors
from portico.accounts.actors.model import unknown
from portico.accounts.reports import service
from portico.accounts.reports.service import INSTALLATION
from portico.admin.answers import page_of
from portico.admin.operation import Ask, Operation, Told
from portico.admin.shapes import PAGED, Moment, limit_of, page, rfc3339
from portico.admin.tenants.organisations import organisation_id_of
from portico.audit.verify import Entry

_SEQUENCE_DIGITS = 18


class EventActor(Struct):
    """Who did it: a person, a program, the operator or Portico itself."""

    kind: str
    id: str
    credential_id: str | None
    address: str | None


class AuditEvent(Struct):
    """id: its number in its chain.  before, after: null also where they were blacked out (redacted).
    hash: of the chain up to here, in hexadecimal."""

    object: Literal["audit_event"]
    id: str
    organisation_id: str | None
    at: Moment
    actor: EventActor
    action: str
    target: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    redacted: bool
    hash: str


def _audit(ask: Ask) -> Told:
    return _log(ask, organisation_id_of(ask))


def _installation_audit(ask: Ask) -> Told:
    return _log(ask, INSTALLATION)


def _one(ask: Ask) -> Told:
    return _event(service.audit_event(ask.errand, organisation_id_of(ask), _number(ask.id)))


def _one_of_installation(ask: Ask) -> Told:
    return _event(service.audit_event(ask.errand, INSTALLATION, _number(ask.id)))


def _number(text: str) -> int:
    """Of an event.  Raises: Refusal: resource_not_found."""
    if not _is_number(text):
        raise unknown("audit event", text)
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _SEQUENCE_DIGITS


def _log(ask: Ask, organisation_id: str) -> Told:
    """`after` is a sequence number here: the page goes on with older events."""
    found = service.audit_log(ask.errand, organisation_id, _before(ask), limit_of(ask) + 1)
    return page(ask, found, _event)


def _before(ask: Ask) -> int | None:
    text = ask.query.get("after", "")
    if not text:
        return None
    if not _is_number(text):
        raise errors.INVALID_VALUE(
            f"'after' is {text[:100]!r}; it must be the `last_id` of the page before.",
            field="after",
            value=text[:100],
        )
    return int(text)


def _event(entry: Entry) -> Told:
    event, actor = entry.event, entry.event.actor
    return {
        "object": "audit_event",
        "id": str(event.sequence),
        "organisation_id": event.organisation_id or None,
        "at": rfc3339(event.at_ms),
        "actor": {
            "kind": actor.kind,
            "id": actor.id,
            "credential_id": actor.credential_id or None,
            "address": actor.address or None,
        },
        "action": event.action,
        "target": event.target,
        "before": _details(entry.before),
        "after": _details(entry.after),
        "redacted": entry.redacted,
        "hash": event.hash.hex(),
    }


def _details(text: str | None) -> Any:
    return None if text is None else msgspec.Raw(text.encode())


def operations() -> tuple[Operation, ...]:
    some, its = "/audit_log", "/installation/audit_log"
    read, of = "audit:read", ("organisation_id",)
    events = page_of("AuditEvent", AuditEvent)
    return (
        Operation(
            "GET",
            some,
            read,
            "Who changed what, newest first.",
            _audit,
            events,
            query=(*of, *PAGED),
            long=True,
        ),
        Operation(
            "GET", f"{some}/{{id}}", read, "One change, by its number.", _one, AuditEvent, query=of
        ),
        Operation(
            "GET",
            its,
            "installation:audit",
            "Who changed what belongs to no organisation.",
            _installation_audit,
            events,
            query=PAGED,
            long=True,
        ),
        Operation(
            "GET",
            f"{its}/{{id}}",
            "installation:audit",
            "One change that belongs to no organisation.",
            _one_of_installation,
            AuditEvent,
        ),
    )
