"""Everything about payments, put together."""

from dataclasses import dataclass

from portico.billing.payments.desk import Desk
from portico.billing.payments.disputes import Disputes
from portico.billing.payments.poller import Poller
from portico.billing.payments.provider.signature import Signatures
from portico.billing.payments.recharge import Recharge
from portico.billing.payments.refunds import Refunds
from portico.billing.payments.service import TopUps
from portico.billing.payments.webhook import Events


@dataclass(frozen=True, slots=True)
class Office:
    top_ups: TopUps
    refunds: Refunds
    disputes: Disputes
    recharge: Recharge
    poller: Poller
    events: Events | None
    """None: there is no secret to know Stripe's events by."""


def opened(desk: Desk, webhook_secret: str = "") -> Office:
    """Raises: ValueError, for a webhook secret that could be guessed."""
    top_ups, refunds = TopUps(desk), Refunds(desk)
    disputes = Disputes(desk, top_ups)
    events = None
    if webhook_secret:
        events = Events(desk, Signatures(webhook_secret), top_ups, refunds, disputes)
    return Office(
        top_ups,
        refunds,
        disputes,
        Recharge(desk, top_ups),
        Poller(desk, top_ups, refunds, disputes),
        events,
    )
