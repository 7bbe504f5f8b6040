"""Stripe's JSON as our nouns: what an event claims and what an answer says, read the same way."""

from collections.abc import Mapping
from typing import Any

from portico.billing.payments.model import (
    NANO_PER_MINOR,
    BalanceLine,
    DisputeSeen,
    Event,
    Intent,
    RefundSeen,
)

ORDER, REFUND = "portico_order", "portico_refund"
"""Names in the metadata we ask Stripe to remember."""
Json = Mapping[str, Any]
_KINDS = {
    # reporting category: how the id of the ledger transaction begins
    "charge": "topup",
    "refund": "refund_paid",
    "refund_failure": "refund_failed",
    "dispute": "dispute",
    "dispute_reversal": "dispute_won",
}


class Unreadable(ValueError):
    """Not what Stripe sends."""


def event_of(found: Json) -> Event:
    """Raises: Unreadable."""
    try:
        about = found["data"]["object"]
        intent = intent_of(about) if about["object"] == "payment_intent" else None
        event = Event(found["id"], found["type"], about["id"], found["livemode"], intent)
    except (KeyError, TypeError, AttributeError) as error:
        raise Unreadable(f"an event lacks or garbles {error}") from error
    if not all(isinstance(each, str) for each in (event.id, event.kind, event.object_id)):
        raise Unreadable("an event has an id, a type and an object that are texts")
    return event


def intent_of(found: Json) -> Intent:
    """A PaymentIntent, its latest charge expanded or not."""
    charge = found.get("latest_charge")
    paid_with = charge["payment_method_details"]["type"] if isinstance(charge, Mapping) else None
    problem = found.get("last_payment_error") or {}
    return Intent(
        found["id"],
        _metadata(found).get(ORDER, ""),
        found["status"],
        found["amount"],
        found.get("amount_received") or 0,
        found["currency"],
        named(found.get("customer")),
        (paid_with,) if paid_with else tuple(found["payment_method_types"]),
        found["livemode"],
        problem.get("decline_code") or problem.get("code") or "",
        found.get("client_secret") or "",
    )


def refund_of(found: Json) -> RefundSeen:
    return RefundSeen(
        found["id"],
        _metadata(found).get(REFUND, ""),
        named(found.get("payment_intent")),
        found["status"],
        found["amount"],
        found["status"] == "succeeded" or bool(found.get("balance_transaction")),
    )


def dispute_of(found: Json) -> DisputeSeen:
    return DisputeSeen(
        found["id"],
        named(found.get("payment_intent")),
        found["status"],
        found["amount"],
        found["currency"],
    )


def balance_line_of(found: Json) -> BalanceLine | None:
    """A balance transaction with its source expanded.  None for what is the operator's own
    business with Stripe: fees, payouts."""
    kind = _KINDS.get(found["reporting_category"])
    if kind is None:
        return None
    source = found["source"]
    about = named(source)
    if kind == "topup" and isinstance(source, Mapping):
        about = named(source.get("payment_intent")) or about
    return BalanceLine(f"{kind}:{about}", found["amount"] * NANO_PER_MINOR, found["created"] * 1000)


def named(reference: Any) -> str:
    """The id of what is referred to, expanded or not; "" for nothing."""
    if isinstance(reference, Mapping):
        return str(reference["id"])
    return str(reference or "")


def _metadata(found: Json) -> Json:
    return found.get("metadata") or {}
