"""Which step comes next, and what state follows from those taken.  Pure; the clock comes in."""

from collections.abc import Iterable, Mapping

from portico.admission.rules import dollars
from portico.billing.alerts.model import Alert, Kind
from portico.billing.dunning.model import RESTORED, STATES, Notice, Policy, State, Step
from portico.billing.invoices.model import CENT_NANO, Stored
from portico.billing.invoices.rules import moment

_DAY_MS = 86_400_000
_READ_ONLY = ("receivable",)
_SUSPENDED = ("prepaid", "promo", "receivable")
_ALERTS: dict[str, Kind] = {
    "read_only": "organisation.read_only",
    "suspended": "organisation.suspended",
    RESTORED: "organisation.restored",
}


def next_step(due_at_ms: int, taken: Mapping[str, int], policy: Policy, now_ms: int) -> Step | None:
    """The step of an unpaid invoice whose time has come; None for none yet, or none left.

    taken: when each kind of step was taken.  A step keeps its distance from the one before it, so
    a run that comes late delays everything and bunches nothing: nobody is suspended without having
    had the days in between.
    """
    steps = policy.steps
    done = [place for place, step in enumerate(steps) if step.kind in taken]
    place = done[-1] + 1 if done else 0
    if place == len(steps):
        return None
    step = steps[place]
    at_ms = due_at_ms + step.day * _DAY_MS
    if place:
        before = steps[place - 1]
        at_ms = max(at_ms, taken[before.kind] + (step.day - before.day) * _DAY_MS)
    return step if now_ms >= at_ms else None


def state_of(kinds: Iterable[str]) -> State:
    """The worst state among the steps taken for invoices that are still unpaid."""
    taken = set(kinds)
    return next((state for state in reversed(STATES) if state in taken), "good")


def closes(state: State, account_kind: str) -> bool:
    """Whether nothing may be held in such an account of an organisation in this state."""
    if state == "suspended":
        return account_kind in _SUSPENDED
    return state == "read_only" and account_kind in _READ_ONLY


def alert(notice: Notice, invoice: Stored, unpaid_cents: int) -> Alert:
    """What is told; the operator's own, also where a copy of it goes to the customer."""
    kind = _ALERTS.get(notice.kind, "invoice.overdue")
    return Alert(
        kind=kind,
        subject=f"dunning:{notice.id}",
        organisation_id="",
        says=_says(kind, notice.organisation_id, invoice, unpaid_cents),
        data={
            "notice_id": notice.id,
            "notice": notice.kind,
            "organisation_id": notice.organisation_id,
            "invoice_id": invoice.id,
            "invoice": invoice.number,
            "due_at": moment(invoice.due_at_ms),
            "to_be_paid_cents": str(unpaid_cents),
        },
    )


def _says(kind: Kind, organisation_id: str, invoice: Stored, unpaid_cents: int) -> str:
    if kind == "organisation.restored":
        return f"Nothing is overdue any more: {organisation_id} is in good standing again."
    due = (
        f"{dollars(unpaid_cents * CENT_NANO)} of invoice {invoice.number} was due on "
        f"{moment(invoice.due_at_ms)[:10]} and is not paid"
    )
    if kind == "organisation.read_only":
        return f"{due}: {organisation_id} gets nothing more on account; its own credit still pays."
    if kind == "organisation.suspended":
        return f"{due}: nothing that costs is admitted for {organisation_id}. Its data stays."
    return f"{due}."
