"""What is told, and to whom.  Amounts in `data` are strings of nano-USD."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Channel = Literal["webhook", "mail"]
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
class Target:
    """address: a URL, or a mail address."""

    channel: Channel
    address: str


@dataclass(frozen=True, slots=True)
class Alert:
    """subject: what it is about; a second alert about the same is not made.
    organisation_id: "" for the operator's own.
    says: one sentence for people.
    """

    kind: Kind
    subject: str
    organisation_id: str
    says: str
    data: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt at bringing an alert to an address.

    id: the same with every attempt.  number: of the attempt, from 1.
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
    """final: there is no use in another try."""

    delivered: bool
    says: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class AlertRules:
    """When a budget tells, and whom.  percents: of the cap, rising."""

    percents: tuple[int, ...]
    webhook_url: str
    mail: str
