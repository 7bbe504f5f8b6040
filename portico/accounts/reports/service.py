"""Usage, costs and the audit log, for whoever may see them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from portico import errors
from portico.accounts.actors.model import Errand, unknown
from portico.accounts.projects.service import project_of
from portico.accounts.projects.theirs import theirs
from portico.audit import service as audit
from portico.audit.verify import Entry
from portico.ledger.costs import Charged, Cost
from portico.ledger.costs import costs as costs_of
from portico.metering.sums import Used, Wanted
from portico.metering.sums import used as used_by

INSTALLATION = ""
"""Whose chain holds what belongs to no organisation."""
Group = Literal["project", "key", "model"]


@dataclass(frozen=True, slots=True)
class Span:
    """Whose, and when.  organisation_id, project_id: None for every one that whoever asks may see.
    key_id, model: of that one only.  since_ms, until_ms: wall clock, the end not included."""

    since_ms: int
    until_ms: int
    organisation_id: str | None = None
    project_id: str | None = None
    key_id: str | None = None
    model: str | None = None


def usage(
    errand: Errand, span: Span, by: Sequence[Group], width_ms: int | None, most: int
) -> list[Used]:
    """By time, then by names.  width_ms: of a stretch of time; None for all of it as one.

    Raises: Refusal: resource_not_found, permission_denied, out_of_range.
    """
    wanted = Wanted(**asdict(seen(errand, span, "usage:read")))
    return used_by(errand.connection, wanted, by, width_ms, most)


def costs(
    errand: Errand, span: Span, by: Sequence[Group], width_ms: int | None, most: int
) -> list[Cost]:
    """As `usage`."""
    wanted = Charged(**asdict(seen(errand, span, "costs:read")))
    return costs_of(errand.connection, wanted, by, width_ms, most)


def audit_log(
    errand: Errand, organisation_id: str, before_sequence: int | None, most: int
) -> list[Entry]:
    """Newest first.  organisation_id: INSTALLATION for what belongs to no organisation.

    Raises: Refusal: resource_not_found, permission_denied.
    """
    if organisation_id == INSTALLATION:
        errand.require("installation:audit")
    else:
        theirs(errand, organisation_id)
        errand.require("audit:read")
    return audit.newest(errand.connection, organisation_id, before_sequence, most)


def audit_event(errand: Errand, organisation_id: str, sequence: int) -> Entry:
    """As `audit_log`.  Raises: Refusal: resource_not_found, permission_denied."""
    for each in audit_log(errand, organisation_id, sequence + 1, 1):
        if each.event.sequence == sequence:
            return each
    raise unknown("audit event", str(sequence))


def seen(errand: Errand, span: Span, scope: str) -> Span:
    """The same, where it asks for nothing that is somebody else's.

    Raises: Refusal: resource_not_found, permission_denied, out_of_range.
    """
    if span.since_ms >= span.until_ms:
        raise errors.OUT_OF_RANGE("'since' must be earlier than 'until'.", field="since")
    if span.project_id is not None:
        project = project_of(errand, span.project_id)
        errand.require(scope, span.project_id)
        return replace(span, organisation_id=project.organisation_id)
    organisation_id = span.organisation_id or errand.by.organisation_id
    if organisation_id is not None:
        theirs(errand, organisation_id)
    errand.require(scope)
    return replace(span, organisation_id=organisation_id)
