"""What events did not bring: everything open is looked at again, until it is not."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from portico.billing.payments import store
from portico.billing.payments.desk import DAY_MS, Desk
from portico.billing.payments.disputes import Disputes
from portico.billing.payments.model import Alarm, Order, ProviderRefused
from portico.billing.payments.refunds import Refunds
from portico.billing.payments.rules import takes_money
from portico.billing.payments.service import Mismatched, TopUps

_AT_ONCE = 100
_SETTLES_MS = 15_000
"""Whoever asked first is given this long to see it through."""
_DISPUTES_SINCE_MS = 7 * DAY_MS
log = logging.getLogger(__name__)


@contextmanager
def _seen_to(what: str) -> Iterator[None]:
    """One that Stripe refuses must not keep the others waiting."""
    try:
        yield
    except (Mismatched, ProviderRefused) as error:
        log.error("%s: %s", what, error)


@dataclass(frozen=True, slots=True)
class Polled:
    """How many were looked at."""

    orders: int
    refunds: int
    disputes: int


class Poller:
    def __init__(self, desk: Desk, top_ups: TopUps, refunds: Refunds, disputes: Disputes) -> None:
        self._desk = desk
        self._top_ups = top_ups
        self._refunds = refunds
        self._disputes = disputes

    def run(self) -> Polled:
        """One round.  Raises: ProviderUnavailable: the next round goes on from there; the driver's
        errors."""
        before_ms = self._desk.now_ms() - _SETTLES_MS
        orders = self._desk.do(lambda t: store.due_orders(t, before_ms, _AT_ONCE))
        for order in orders:
            self._push(order)
        refunds = self._desk.do(lambda t: store.open_refunds(t, before_ms, _AT_ONCE))
        for refund in refunds:
            with _seen_to(refund.id):
                self._refunds.push(refund)
        return Polled(len(orders), len(refunds), self._look_at_disputes())

    def _push(self, order: Order) -> None:
        try:
            self._top_ups.push(order)
        except (Mismatched, ProviderRefused) as error:
            says, now_ms = str(error), self._desk.now_ms()
            self._desk.do(lambda t: store.note_order(t, order.id, order.intent_id, says, now_ms))
            self._desk.tell(Alarm("event_refused", order.organisation_id, says))

    def _look_at_disputes(self) -> int:
        """Those still open here, and those that are new there."""
        since_s = (self._desk.now_ms() - _DISPUTES_SINCE_MS) // 1000
        seen = [each.id for each in self._desk.stripe.disputes(since_s) if takes_money(each)]
        due = self._desk.do(lambda t: store.undecided_disputes(t, seen))
        for dispute_id in due:
            with _seen_to(dispute_id):
                outcome = self._disputes.follow(dispute_id)
                log.debug("dispute %s: %s", dispute_id, outcome)
        return len(due)
