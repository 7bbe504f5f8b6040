"""What is told, and to whom.  Amounts in `data` are strings of nano-USD."""

from dataclasses import dataclass
from typing import Literal

from portico.webhooks.model import Channel, Event, Target

__all__ = ["Alert", "AlertRules", "Channel", "Delivery", "Kind", "Outcome", "Target"]

Kind = Literal[
    "budget.threshold_crossed",
    "credit.expires_soon",
    "ledger.audit_failed",
    "ledger.chain_broken",
    "payment.alarm",
    "invoice.made",
    "invoice.not_made",
    "invoice.overdue",
    "organisation.read_only",
    "organisation.suspended",
    "organisation.restored",
    "alert.test",
]


@dataclass(frozen=True, slots=True)
class Alert(Event):
    """An event of the books."""

    kind: Kind


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt at bringing an alert to an address.

    id: the same with every attempt.  target: an address, or an endpoint's id.
    number: of the attempt, from 1.
    body: JSON, as it was when the alert was made.
    """

    id: str
    channel: Channel
    target: str
    number: int
    organisation_id: str
    body: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """final: there is no use in another try.  gone: nor in any other delivery to that endpoint.
    retry_after_ms: how long the other side asks to be left alone."""

    delivered: bool
    says: str
    final: bool = False
    gone: bool = False
    retry_after_ms: int = 0


@dataclass(frozen=True, slots=True)
class AlertRules:
    """When a budget tells, and whom.  percents: of the cap, rising."""

    percents: tuple[int, ...]
    webhook_url: str
    mail: str
