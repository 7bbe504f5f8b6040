"""Usage, costs and the audit log."""

from typing import Any, get_args

import msgspec

from portico import errors
from portico.accounts.reports import service
from portico.accounts.reports.service import INSTALLATION, Span
from portico.admin.operation import Ask, Operation, Told
from portico.admin.organisations import organisation_id_of
from portico.admin.shapes import PAGED, choice_of, limit_of, moment_of, page, rfc3339
from portico.audit.verify import Entry
from portico.ledger.costs import Cost, CostGroup
from portico.metering.model import GroupBy, Totals

_SPAN_MS = 30 * 86_400_000
_SEQUENCE_DIGITS = 18
_SUMMED = ("organisation_id", "project_id", "since", "until", "group_by")


def _span(ask: Ask) -> Span:
    """30 days up to now, unless it says otherwise."""
    until_ms = moment_of(ask, "until")
    until_ms = ask.errand.clock.wall_ms() + 1 if until_ms is None else until_ms
    since_ms = moment_of(ask, "since")
    since_ms = max(0, until_ms - _SPAN_MS) if since_ms is None else since_ms
    organisation_id = ask.query.get("organisation_id") or None
    return Span(since_ms, until_ms, organisation_id, ask.query.get("project_id") or None)


def _told(kind: str, span: Span, by: str, data: list[Told]) -> Told:
    return {
        "object": kind,
        "organisation_id": span.organisation_id,
        "project_id": span.project_id,
        "since": rfc3339(span.since_ms),
        "until": rfc3339(span.until_ms),
        "group_by": by,
        "data": data,
    }


def _usage(ask: Ask) -> Told:
    span = _span(ask)
    by: GroupBy = choice_of(ask, "group_by", get_args(GroupBy), "model")  # type: ignore[assignment]  # one of them
    found = service.usage(ask.errand, span, by)
    data = [{by: name, **_used(totals)} for name, totals in found.items()]
    return _told("usage", span, by, data)


def _used(totals: Totals) -> Told:
    return {
        "requests": totals.requests,
        "estimated_requests": totals.estimated,
        "input_tokens": totals.meters.input_tokens,
        "output_tokens": totals.meters.output_tokens,
        "meters": msgspec.structs.asdict(totals.meters),
    }


def _costs(ask: Ask) -> Told:
    span = _span(ask)
    by: CostGroup = choice_of(ask, "group_by", get_args(CostGroup), "model")  # type: ignore[assignment]  # one of them
    found = service.costs(ask.errand, span, by)
    data = [{by: name, **_paid(cost)} for name, cost in found.items()]
    return {**_told("costs", span, by, data), "currency": "USD"}


def _paid(cost: Cost) -> Told:
    return {
        "charges": cost.charges,
        "list_nano_usd": str(cost.list_nano),
        "net_nano_usd": str(cost.net_nano),
        "absorbed_nano_usd": str(cost.absorbed_nano),
    }


def _audit(ask: Ask) -> Told:
    return _log(ask, organisation_id_of(ask))


def _installation_audit(ask: Ask) -> Told:
    return _log(ask, INSTALLATION)


def _log(ask: Ask, organisation_id: str) -> Told:
    """`after` is a sequence number here: the page goes on with older events."""
    found = service.audit_log(ask.errand, organisation_id, _before(ask), limit_of(ask) + 1)
    return page(ask, found, _event)


def _before(ask: Ask) -> int | None:
    text = ask.query.get("after", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _SEQUENCE_DIGITS):
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
    return (
        Operation("GET", "/usage", "usage:read", "What was used.", _usage, query=_SUMMED),
        Operation("GET", "/costs", "costs:read", "What was charged.", _costs, query=_SUMMED),
        Operation(
            "GET",
            "/audit_log",
            "audit:read",
            "Who changed what, newest first.",
            _audit,
            query=("organisation_id", *PAGED),
        ),
        Operation(
            "GET",
            "/installation/audit_log",
            "installation:audit",
            "Who changed what belongs to no organisation.",
            _installation_audit,
            query=PAGED,
        ),
    )
