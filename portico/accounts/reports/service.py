"""Usage, costs and the audit log, for whoever may see them."""

from dataclasses import dataclass

from portico import errors
from portico.accounts.actors.model import Errand
from portico.accounts.projects.service import project_of
from portico.accounts.projects.theirs import theirs
from portico.audit import service as audit
from portico.audit.verify import Entry
from portico.ledger.costs import Cost, CostGroup
from portico.ledger.costs import costs as costs_of
from portico.metering import reports
from portico.metering.model import GroupBy, Question, Totals

INSTALLATION = ""
"""Whose chain holds what belongs to no organisation."""


@dataclass(frozen=True, slots=True)
class Span:
    """Whose, and when.  organisation_id, project_id: None for every one that whoever asks may see.
    since_ms, until_ms: wall clock, the end not included."""

    since_ms: int
    until_ms: int
    organisation_id: str | None = None
    project_id: str | None = None


def usage(errand: Errand, span: Span, by: GroupBy) -> dict[str, Totals]:
    """Raises: Refusal: resource_not_found, permission_denied, out_of_range."""
    span = _seen(errand, span, "usage:read")
    question = Question(span.project_id, span.since_ms, span.until_ms, span.organisation_id)
    return reports.groups(errand.connection, question, by)


def costs(errand: Errand, span: Span, by: CostGroup) -> dict[str, Cost]:
    """Raises: Refusal: resource_not_found, permission_denied, out_of_range."""
    span = _seen(errand, span, "costs:read")
    moments = (span.since_ms, span.until_ms)
    return costs_of(errand.connection, span.organisation_id, span.project_id, moments, by)


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


def _seen(errand: Errand, span: Span, scope: str) -> Span:
    """The same, where it asks for nothing that is somebody else's."""
    if span.since_ms >= span.until_ms:
        raise errors.OUT_OF_RANGE("'since' must be earlier than 'until'.", field="since")
    if span.project_id is not None:
        project = project_of(errand, span.project_id)
        errand.require(scope, span.project_id)
        return Span(span.since_ms, span.until_ms, project.organisation_id, project.id)
    organisation_id = span.organisation_id or errand.by.organisation_id
    if organisation_id is not None:
        theirs(errand, organisation_id)
    errand.require(scope)
    return Span(span.since_ms, span.until_ms, organisation_id)
