"""A payer's bank takes a payment back.  The credit it bought is frozen, nothing else of the
organisation is; in the end it is free again, or pays for the loss as far as it goes.
"""

from portico.billing.payments import postings, store
from portico.billing.payments.desk import Desk
from portico.billing.payments.model import (
    NANO_PER_MINOR,
    Dispute,
    DisputeSeen,
    Order,
)
from portico.billing.payments.rules import dispute_state, takes_money
from portico.billing.payments.service import CURRENCY, TopUps
from portico.db.transaction import Transaction

FREE, FROZEN = "prepaid", "disputed"


class Disputes:
    def __init__(self, desk: Desk, top_ups: TopUps) -> None:
        self._desk = desk
        self._top_ups = top_ups

    def follow(self, dispute_id: str) -> str:
        """Look at it, and do here what became of it there; in words.

        Raises: ProviderUnavailable; ProviderRefused; service.Mismatched.
        """
        seen = self._desk.stripe.dispute(dispute_id)
        if not takes_money(seen):
            return "ignored: nothing was taken"
        order = self._order_of(seen)
        if order is None or seen.currency != CURRENCY or seen.amount_minor > order.amount_minor:
            return "refused: no top-up of ours"
        return self._desk.do(lambda t: self._apply(t, order, seen))

    def _order_of(self, seen: DisputeSeen) -> Order | None:
        """Credited first, where the event of its payment got lost or comes later."""
        order = self._desk.do(lambda t: store.order_of_intent(t, seen.intent_id))
        if order is None:
            intent = self._desk.stripe.intent(seen.intent_id)
            order = self._desk.do(lambda t: store.order(t, intent.order_id))
        if order is not None and order.state != "paid":
            order = self._top_ups.follow(order, self._desk.stripe.intent(seen.intent_id))
        return order if order is not None and order.state == "paid" else None

    def _apply(self, transaction: Transaction, order: Order, seen: DisputeSeen) -> str:
        now_ms = self._desk.now_ms()
        found = Dispute(
            seen.id,
            order.id,
            seen.amount_minor,
            seen.amount_minor * NANO_PER_MINOR,
            "open",
            now_ms,
            None,
        )
        if store.add_dispute(transaction, found):
            store.set_kind(transaction, postings.grant_of(order), FREE, FROZEN)
            postings.disputed(transaction, order, found, now_ms)
        else:
            known = store.disputes(transaction, order.id)
            found = next(each for each in known if each.id == seen.id)
        state = dispute_state(seen)
        if state == "won":
            self._won(transaction, order, found)
        elif state == "lost" and not self._lost(transaction, order, found):
            return "lost; requests that still hold the credit end first"
        return f"dispute {state}"

    def _won(self, transaction: Transaction, order: Order, found: Dispute) -> None:
        now_ms = self._desk.now_ms()
        if store.close_dispute(transaction, found.id, "won", now_ms):
            postings.dispute_won(transaction, order, found, now_ms)
            self._free(transaction, order)

    def _lost(self, transaction: Transaction, order: Order, found: Dispute) -> bool:
        """False where it has to wait."""
        grant = postings.grant(transaction, order)
        if grant is None or grant.held_nano:
            return False
        now_ms = self._desk.now_ms()
        if store.close_dispute(transaction, found.id, "lost", now_ms):
            postings.dispute_lost(transaction, order, found, grant.posted_nano, now_ms)
            self._free(transaction, order)
        return True

    def _free(self, transaction: Transaction, order: Order) -> None:
        """What is left, unless another dispute holds it."""
        if not any(each.state == "open" for each in store.disputes(transaction, order.id)):
            store.set_kind(transaction, postings.grant_of(order), FROZEN, FREE)
