"""What may be charged, credited, paid back.  Pure; see `model` for units."""

import math
import re

from portico.billing.payments.model import (
    AMOUNT_MINOR_MAX,
    AMOUNT_MINOR_MIN,
    NANO_PER_MINOR,
    DisputeSeen,
    DisputeState,
    Intent,
    Order,
    PaymentRefused,
    RechargeRule,
)

REST_MS = 3_600_000
"""After a decline."""
DECLINES_MAX = 3
ALARM_COUNT, ALARM_WITHIN_MS = 3, 600_000
WAITS_MS = 86_400_000
"""How long an order waits for its payer."""
SAME_KEY_MS = 20 * 3_600_000
"""How long asking again under the same key is safe: Stripe keeps keys for 24 hours at least."""

CREDITED, WAITING, DECLINED, GONE = "succeeded", "requires_action", "declined", "canceled"
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)
_TRYING = frozenset({"processing", "requires_capture"})
_DECLINED = frozenset({"requires_payment_method", "requires_confirmation"})


def checked_minor(amount_minor: int) -> int:
    """Raises: PaymentRefused."""
    if not AMOUNT_MINOR_MIN <= amount_minor <= AMOUNT_MINOR_MAX:
        raise PaymentRefused(
            f"A top-up is between ${AMOUNT_MINOR_MIN / 100:.2f} and "
            f"${AMOUNT_MINOR_MAX / 100:,.2f}; this one is ${amount_minor / 100:,.2f}."
        )
    return amount_minor


def checked_id(id: str) -> str:
    """Of the caller's own; it goes into a header.  Raises: PaymentRefused."""
    if not _ID.fullmatch(id):
        raise PaymentRefused(
            f"{id[:80]!r} is no id: 1 to 64 letters, digits and any of the marks _ - . : are one."
        )
    return id


def minor_of(nano: int) -> int:
    """Whole cents.  Raises: PaymentRefused, where there is a part of one."""
    minor, rest = divmod(nano, NANO_PER_MINOR)
    if rest:
        raise PaymentRefused("Cards are charged in whole cents.")
    return minor


def mismatch(order: Order, intent: Intent, *, live: bool) -> str:
    """What a payment has other than the order it claims to be for, "" where nothing."""
    wanted = {
        "order": (order.id, intent.order_id),
        "payment": (order.intent_id or intent.id, intent.id),
        "amount": (order.amount_minor, intent.amount_minor),
        "currency": (order.currency, intent.currency),
        "customer": (order.customer_id, intent.customer_id),
        "method": ((order.method,), intent.methods),
        "mode": (live, intent.live),
    }
    wrong = [
        f"{name} {got!r} instead of {want!r}" for name, (want, got) in wanted.items() if got != want
    ]
    if not wrong and intent.status == CREDITED and intent.received_minor != order.amount_minor:
        return f"received {intent.received_minor} instead of {order.amount_minor}"
    return ", ".join(wrong)


def stands(order: Order, intent: Intent, now_ms: int) -> str:
    """How it stands with the payment of an open order: CREDITED, WAITING, DECLINED, GONE, or ""
    while the provider works on it."""
    if intent.status in (CREDITED, GONE):
        return intent.status
    if intent.status in _TRYING:
        return ""
    if intent.status == "requires_action":
        late = now_ms - order.created_at_ms >= WAITS_MS
        # Nobody is there to confirm what happens by itself.
        return DECLINED if late or order.origin == "recharge" else WAITING
    return DECLINED if intent.status in _DECLINED else ""


def recharge_minor(rule: RechargeRule, available_nano: int, charged_minor: int) -> int:
    """Cents to charge now, 0 for none.  charged_minor: this month already, or under way."""
    if not rule.enabled or available_nano >= rule.threshold_nano:
        return 0
    wanted = math.ceil((rule.target_nano - available_nano) / NANO_PER_MINOR)
    left = rule.cap_minor - charged_minor
    amount = min(max(wanted, AMOUNT_MINOR_MIN), left, AMOUNT_MINOR_MAX)
    return amount if amount >= AMOUNT_MINOR_MIN else 0


def dispute_state(seen: DisputeSeen) -> DisputeState:
    if seen.status == "won":
        return "won"
    return "lost" if seen.status == "lost" else "open"


def takes_money(seen: DisputeSeen) -> bool:
    """An inquiry (`warning_...`), and one that was prevented, take nothing from the balance."""
    return not seen.status.startswith("warning_") and seen.status != "prevented"
