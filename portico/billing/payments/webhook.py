"""Events: whether they are Stripe's, what they are about, and a look at Stripe itself.

No event moves money.  One that is signed, and claims what its order asked for, makes us ask Stripe;
the answer does.
"""

from dataclasses import dataclass

import msgspec

from portico.billing.payments import store
from portico.billing.payments.desk import Desk
from portico.billing.payments.disputes import Disputes
from portico.billing.payments.model import Alarm, Event, ProviderRefused
from portico.billing.payments.provider.signature import NotSigned, Signatures
from portico.billing.payments.provider.wire import Unreadable, event_of
from portico.billing.payments.refunds import Refunds
from portico.billing.payments.rules import mismatch
from portico.billing.payments.service import Mismatched, TopUps

_PAYMENTS = frozenset(
    f"payment_intent.{what}"
    for what in ("succeeded", "payment_failed", "canceled", "processing", "requires_action")
)
_REFUNDS = frozenset(f"refund.{what}" for what in ("created", "updated", "failed"))
_DISPUTES = "charge.dispute."


@dataclass(frozen=True, slots=True)
class Received:
    """accepted: whether Stripe may forget the event."""

    accepted: bool
    outcome: str


class Events:
    """What a webhook brings."""

    def __init__(
        self,
        desk: Desk,
        signatures: Signatures,
        top_ups: TopUps,
        refunds: Refunds,
        disputes: Disputes,
    ) -> None:
        self._desk = desk
        self._signatures = signatures
        self._top_ups = top_ups
        self._refunds = refunds
        self._disputes = disputes

    def receive(self, body: bytes, signature: str) -> Received:
        """Both steps.  Raises: as `handle`."""
        event = self.read(body, signature)
        return event if isinstance(event, Received) else self.handle(event)

    def read(self, body: bytes, signature: str) -> Event | Received:
        """Whether it is Stripe's, and of interest.  Waits for nothing."""
        try:
            self._signatures.check(body, signature, self._desk.now_ms() // 1000)
            event = event_of(msgspec.json.decode(body))
        except (NotSigned, Unreadable, msgspec.DecodeError) as error:
            return Received(False, str(error))
        return event if _matters(event.kind) else Received(True, "ignored")

    def handle(self, event: Event) -> Received:
        """Blocking.  Raises: ProviderUnavailable, and the driver's errors: Stripe sends it again."""
        if self._desk.do(lambda t: store.event_known(t, event.id)):
            return Received(True, "known")
        try:
            outcome = self._act(event)
        except (Mismatched, ProviderRefused) as error:
            outcome = f"refused: {error}"
        if outcome.startswith("refused"):
            says = f"{event.id} ({event.kind}): {outcome}"
            self._desk.tell(Alarm("event_refused", "", says))
        self._desk.do(
            lambda t: store.add_event(
                t, event.id, event.kind, event.object_id, outcome, self._desk.now_ms()
            )
        )
        return Received(True, outcome)

    def _act(self, event: Event) -> str:
        if event.live != self._desk.stripe.live:
            return "refused: an event of the other mode"
        if event.kind in _PAYMENTS:
            return self._payment(event)
        if event.kind in _REFUNDS:
            return self._refunds.follow(event.object_id)
        return self._disputes.follow(event.object_id)

    def _payment(self, event: Event) -> str:
        claimed = event.intent
        if claimed is None:
            return "refused: it carries no payment"
        order = self._desk.do(lambda t: store.order(t, claimed.order_id))
        if order is None:
            return "refused: no top-up of ours"
        wrong = mismatch(order, claimed, live=self._desk.stripe.live)
        if wrong:
            return f"refused: {wrong}"
        if order.state == "paid":
            return "paid before"
        return self._top_ups.follow(order, self._desk.stripe.intent(event.object_id)).state


def _matters(kind: str) -> bool:
    return kind in _PAYMENTS or kind in _REFUNDS or kind.startswith(_DISPUTES)
