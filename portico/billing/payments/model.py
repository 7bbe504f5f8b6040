"""Orders, and what the payment provider says about them.  Amounts: `_minor` are cents, `_nano`
nano-USD."""

from dataclasses import dataclass
from typing import Literal

Origin = Literal["manual", "recharge"]
OrderState = Literal["open", "paid", "failed"]
RefundState = Literal["open", "paid", "failed"]
DisputeState = Literal["open", "won", "lost"]

NANO_PER_MINOR = 10_000_000
"""Nano-USD in a cent."""
AMOUNT_MINOR_MIN, AMOUNT_MINOR_MAX = 50, 99_999_999
"""What Stripe charges at least and at most in dollars: 0.50 and 999,999.99."""


class PaymentRefused(Exception):
    """What was asked for is not possible, and why.  Nothing was charged or paid out."""


class ProviderUnavailable(Exception):
    """The provider did not answer, or nobody knows what it did.  Asked again under the same key
    it does nothing twice."""


class ProviderRefused(Exception):
    """The provider says that a request is wrong: asking again changes nothing."""


@dataclass(frozen=True, slots=True)
class Payer:
    """payment_method_id: "" until one is kept."""

    organisation_id: str
    customer_id: str
    payment_method_id: str


@dataclass(frozen=True, slots=True)
class Order:
    """A top-up: everything the provider is asked is in here, so that asking again is the same.

    id: also the idempotency key.  intent_id: the provider's payment, "" until it is known.
    says: why it failed, or what it waits for.
    """

    id: str
    organisation_id: str
    origin: Origin
    state: OrderState
    amount_minor: int
    amount_nano: int
    currency: str
    method: str
    customer_id: str
    payment_method_id: str
    intent_id: str
    says: str
    created_at_ms: int
    checked_at_ms: int
    closed_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Intent:
    """A payment as the provider tells of it.

    order_id: what we told it to remember.  methods: what it may be, or was, paid with.
    received_minor: what was paid.  problem: why the last attempt failed, "" where none did.
    """

    id: str
    order_id: str
    status: str
    amount_minor: int
    received_minor: int
    currency: str
    customer_id: str
    methods: tuple[str, ...]
    live: bool
    problem: str
    client_secret: str = ""


@dataclass(frozen=True, slots=True)
class Refund:
    """Credit on its way back to the card it was paid with.  state: paid, once it has left the
    provider's balance; failed, once it is credit again."""

    id: str
    top_up_id: str
    amount_minor: int
    amount_nano: int
    state: RefundState
    provider_id: str
    reason: str
    created_at_ms: int
    closed_at_ms: int | None


@dataclass(frozen=True, slots=True)
class RefundSeen:
    """A refund as the provider tells of it.  our_id: what we told it to remember, "" for one that
    was not made here.  moved: it has left the provider's balance, wherever it is now."""

    id: str
    our_id: str
    intent_id: str
    status: str
    amount_minor: int
    moved: bool


@dataclass(frozen=True, slots=True)
class DisputeSeen:
    """A dispute as the provider tells of it."""

    id: str
    intent_id: str
    status: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Dispute:
    id: str
    top_up_id: str
    amount_minor: int
    amount_nano: int
    state: DisputeState
    opened_at_ms: int
    closed_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Event:
    """What a webhook brought: a hint to look, never a reason to pay.

    intent: what it claims of a payment, None where it is about something else.
    """

    id: str
    kind: str
    object_id: str
    live: bool
    intent: Intent | None


@dataclass(frozen=True, slots=True)
class BalanceLine:
    """One movement of the provider's balance, before fees, under the id of the ledger transaction
    that it should have here."""

    txn_id: str
    amount_nano: int
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class RechargeRule:
    """rests_until_ms: nothing is tried before.  declines: in a row."""

    organisation_id: str
    enabled: bool
    threshold_nano: int
    target_nano: int
    cap_minor: int
    declines: int
    rests_until_ms: int
    says: str
    author: str
    changed_at_ms: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something about money that a person should look at.  organisation_id: "" for the platform."""

    kind: Literal["recharge_rate", "recharge_off", "recharge_frozen", "event_refused"]
    organisation_id: str
    says: str
