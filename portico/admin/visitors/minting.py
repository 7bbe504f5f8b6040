"""POST /v1/ephemeral_keys: a key for a browser, made with an ordinary key.

Each is a request of the caller's limits per minute, and besides a key makes so many in a minute and no
more: making one is a write, which every other customer's settlement waits behind.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct
from sqlalchemy import Connection

from portico.accounts.keys.ephemeral import ALIVE_MAX, EXPIRES_IN_S, EphemeralWish, mint
from portico.accounts.keys.model import IssuedKey
from portico.admin.throttle import Throttle
from portico.callers.model import Caller
from portico.callers.pepper import Pepper
from portico.callers.scopes import MINT
from portico.dialects.body import checked, json_object
from portico.door.endpoints.answering import Verifier, answer_json, identify
from portico.door.exchange import Exchange
from portico.door.intake.decoding import body_of
from portico.door.routes import Route
from portico.kit.clock import Clock

Write = Callable[[Callable[[Connection], IssuedKey]], Awaitable[IssuedKey]]
"""Run a change in the writer's next transaction."""

_BODY_BYTES_MAX = 65_536
PER_MINUTE = ALIVE_MAX
"""Made with one key: as many as it may have alive, so that those of a second are no way around that."""


class Limits(Protocol):
    async def take_request(self, caller: Caller) -> None:
        """Raises: Refusal."""
        ...


class Wish(Struct):
    """expires_in: seconds.  scopes, models: left out for all that the key itself has."""

    name: str = "ephemeral"
    expires_in: int = EXPIRES_IN_S
    scopes: list[str] | None = None
    models: list[str] | None = None


class Minting:
    """One event loop owns this object."""

    def __init__(
        self,
        callers: Verifier,
        peppers: tuple[Pepper, ...],
        write: Write,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._callers = callers
        self._limits = limits
        self._throttle = Throttle(clock, PER_MINUTE, "A key")
        self._peppers = peppers
        self._write = write
        self._clock = clock

    def route(self) -> Route:
        summary = "A key that lives for minutes and can do no more than yours; for browsers."
        return Route("POST", "/v1/ephemeral_keys", self.handle, summary, Wish, MINT)

    async def handle(self, exchange: Exchange, _: str) -> None:
        """Raises: Refusal."""
        caller = await identify(self._callers, exchange)
        self._throttle.admit(caller.key_id)
        await self._limits.take_request(caller)
        body = await body_of(exchange, _BODY_BYTES_MAX, compression=False)
        asked = checked(json_object(body), Wish)
        wish = EphemeralWish(
            asked.name,
            asked.expires_in,
            None if asked.scopes is None else tuple(asked.scopes),
            None if asked.models is None else tuple(asked.models),
        )
        issued = await self._write(
            lambda connection: mint(connection, self._clock, self._peppers, caller, wish)
        )
        key = issued.key
        assert key.expires_at_ms is not None
        answer_json(
            exchange,
            200,
            {
                "object": "ephemeral_key",
                "id": key.id,
                "value": issued.secret,
                "expires_at": f"{datetime.fromtimestamp(key.expires_at_ms // 1000, UTC):%FT%TZ}",
                "scopes": key.scopes,
                "models": key.models,
            },
        )
