"""Credit that goes back to the card it was paid with, never more than is left of it.

It leaves the credit before Stripe is asked, so that it cannot be spent meanwhile; what Stripe does
not pay out comes back.
"""

from portico.billing.payments import postings, store
from portico.billing.payments.desk import Desk
from portico.billing.payments.model import (
    NANO_PER_MINOR,
    Order,
    PaymentRefused,
    ProviderRefused,
    Refund,
    RefundSeen,
)
from portico.billing.payments.rules import SAME_KEY_MS, checked_id
from portico.db.transaction import Transaction
from portico.kit.ids import new_id

_FAILED = ("failed", "canceled")


class Refunds:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def refund(
        self, top_up_id: str, amount_minor: int | None, reason: str, refund_id: str = ""
    ) -> Refund:
        """amount_minor: None for all that is left, in whole cents.

        Raises: PaymentRefused, and nothing has changed; ProviderUnavailable, and the poller goes
        on with it.
        """
        made_id = checked_id(refund_id or new_id("ref"))
        made = self._desk.do(lambda t: self._taken(t, top_up_id, amount_minor, reason, made_id))
        return self.push(made) if made.state == "open" else made

    def _taken(
        self,
        transaction: Transaction,
        top_up_id: str,
        amount_minor: int | None,
        reason: str,
        refund_id: str,
    ) -> Refund:
        order = _order(transaction, top_up_id)
        known = store.refund(transaction, refund_id)
        if known is not None:
            if (known.top_up_id, amount_minor or known.amount_minor) != (
                top_up_id,
                known.amount_minor,
            ):
                raise PaymentRefused(f"{refund_id} is the id of another refund.")
            return known
        left_minor = _left_minor(transaction, order)
        asked = left_minor if amount_minor is None else amount_minor
        if not 0 < asked <= left_minor:
            raise PaymentRefused(
                f"{top_up_id} has ${left_minor / 100:,.2f} left that is neither spent nor set "
                f"aside; ${asked / 100:,.2f} cannot be paid back."
            )
        now_ms = self._desk.now_ms()
        made = Refund(
            refund_id, top_up_id, asked, asked * NANO_PER_MINOR, "open", "", reason, now_ms, None
        )
        store.add_refund(transaction, made)
        postings.take_back(transaction, order, made, now_ms)
        return made

    def push(self, refund: Refund) -> Refund:
        """Bring an open refund forward.  Raises: ProviderUnavailable."""
        stripe = self._desk.stripe
        order = self._desk.do(lambda t: _order(t, refund.top_up_id))
        seen: RefundSeen | None
        if refund.provider_id:
            seen = stripe.refund_seen(refund.provider_id)
        elif self._desk.now_ms() - refund.created_at_ms < SAME_KEY_MS:
            try:
                # The key may give what was true when it was first asked.
                seen = stripe.refund_seen(stripe.refund(refund, order.intent_id).id)
            except ProviderRefused:
                seen = None
        else:
            seen = stripe.refund_for(refund, order.intent_id)
        if seen is None:
            self._desk.do(lambda t: self._undone(t, order, refund))
        else:
            self._desk.do(lambda t: self._settled(t, order, refund, seen))
        return self._desk.do(lambda t: store.refund(t, refund.id)) or refund

    def follow(self, provider_id: str) -> str:
        """An event told of it: what became of it."""
        seen = self._desk.stripe.refund_seen(provider_id)
        found = self._desk.do(lambda t: store.refund(t, seen.our_id)) if seen.our_id else None
        if found is None:
            return "refused: no refund of ours"
        order = self._desk.do(lambda t: _order(t, found.top_up_id))
        if (seen.intent_id, seen.amount_minor) != (order.intent_id, found.amount_minor):
            return "refused: another payment or amount than was asked for"
        self._desk.do(lambda t: self._settled(t, order, found, seen))
        return f"refund {seen.status}"

    def _settled(
        self, transaction: Transaction, order: Order, refund: Refund, seen: RefundSeen
    ) -> None:
        now_ms = self._desk.now_ms()
        store.note_refund(transaction, refund.id, seen.id)
        if seen.moved and store.close_refund(transaction, refund.id, "open", "paid", now_ms):
            postings.paid_out(transaction, order, refund, seen.id, now_ms)
        if seen.status not in _FAILED:
            return
        if store.close_refund(transaction, refund.id, "paid", "failed", now_ms):
            postings.came_back(transaction, order, refund, seen.id, now_ms)
        else:
            self._undone(transaction, order, refund)

    def _undone(self, transaction: Transaction, order: Order, refund: Refund) -> None:
        now_ms = self._desk.now_ms()
        if store.close_refund(transaction, refund.id, "open", "failed", now_ms):
            postings.not_paid_out(transaction, order, refund, now_ms)


def _order(transaction: Transaction, top_up_id: str) -> Order:
    """Raises: PaymentRefused."""
    found = store.order(transaction, top_up_id)
    if found is None:
        raise PaymentRefused(f"There is no top-up {top_up_id!r}.")
    return found


def _left_minor(transaction: Transaction, order: Order) -> int:
    """Whole cents.  Raises: PaymentRefused."""
    grant = postings.grant(transaction, order)
    if grant is None:
        raise PaymentRefused(f"{order.id} is {order.state}: there is nothing to pay back.")
    if grant.kind != "prepaid":
        raise PaymentRefused(f"{order.id} is disputed: the payer's bank decides first.")
    return (grant.spendable_nano or 0) // NANO_PER_MINOR
