"""What all endpoints share: who may ask, and answers in JSON."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from portico.callers.model import Caller
from portico.door.credentials import credential_of
from portico.door.dialect import Dialect
from portico.door.exchange import Exchange
from portico.door.lines import JSON
from portico.door.speech import Speech, speech_of
from portico.rates import told
from portico.rates.model import Standing

UNCACHED = b"cache-control: no-store\r\n"


class Verifier(Protocol):
    async def verify(self, credential: str, scope: str, address: str) -> Caller:
        """Raises: Refusal."""
        ...


class Places(Protocol):
    def places_lines(self, caller: Caller) -> bytes: ...

    async def standing(self, caller: Caller) -> Standing | None: ...


class Reception:
    """A `Verifier` for what runs nothing: its answers, refusals too, say what is left of the limits
    that are known without asking the database."""

    def __init__(
        self, callers: Verifier, places: Places, others: Mapping[Speech, Dialect] | None = None
    ) -> None:
        """others: dialects that tell of limits in other words than OpenAI's."""
        self._callers = callers
        self._places = places
        self._others = others or {}

    async def verify(self, credential: str, scope: str, address: str) -> Caller:
        """Raises: Refusal."""
        return await self._callers.verify(credential, scope, address)

    async def left(self, caller: Caller, exchange: Exchange) -> bytes:
        """Header lines.  Limits per minute are those for all models together: it is about none."""
        lines = self._places.places_lines(caller)
        standing = await self._places.standing(caller)
        if standing is None:
            return lines
        spoken = self._others.get(speech_of(exchange.path, exchange.headers, exchange.query))
        return lines + (told.openai if spoken is None else spoken.limits)(standing)


async def identify(callers: Verifier, exchange: Exchange) -> Caller:
    """Who asks, with the scope that the route names.  Raises: Refusal."""
    credential = credential_of(exchange.headers, exchange.query)
    caller = await callers.verify(credential, exchange.scope, exchange.peer)
    exchange.also += caller.lines
    if isinstance(callers, Reception):
        exchange.also += await callers.left(caller, exchange)
    return caller


def answer_json(
    exchange: Exchange, status: int, content: Any, dialect: Dialect | None = None
) -> None:
    """dialect: whose way it is to name the request in a header; OpenAI's where it is None."""
    request_id = exchange.request_id.encode("ascii")
    named = b"x-request-id: %b\r\n" % request_id if dialect is None else dialect.named(request_id)
    exchange.reply(status, JSON + named, msgspec.json.encode(content))
