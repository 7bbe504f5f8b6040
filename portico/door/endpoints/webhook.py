"""POST /v1/webhooks/stripe: events of the payment provider, for whoever knows what they mean."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from portico import errors
from portico.door.endpoints.answering import answer_json
from portico.door.exchange import Exchange

_BODY_BYTES_MAX = 262_144
"""Of an event; Stripe's have a few thousand bytes."""


class Received(Protocol):
    """accepted: whether the sender may forget the event.  outcome: what came of it, or why not."""

    @property
    def accepted(self) -> bool: ...

    @property
    def outcome(self) -> str: ...


Receive = Callable[[bytes, str], Awaitable[Received]]
"""The body as it was sent, and its signature."""


class Webhook:
    def __init__(self, receive: Receive) -> None:
        self._receive = receive

    async def handle(self, exchange: Exchange, _: str) -> None:
        body = await exchange.body(_BODY_BYTES_MAX)
        signature = exchange.headers.get(b"stripe-signature", b"").decode("latin-1")
        received = await self._receive(body, signature)
        if not received.accepted:
            raise errors.BAD_REQUEST(
                f"This is no event of our payment provider: {received.outcome}",
                field="stripe-signature",
                remedy="Check that both sides have the same webhook secret, and the right time.",
            )
        answer_json(exchange, 200, {"received": True})
