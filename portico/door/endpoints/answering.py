"""What all endpoints share: who may ask, and answers in JSON."""

from typing import Any, Protocol

import msgspec

from portico.callers.model import Caller
from portico.door.exchange import Exchange
from portico.door.lines import JSON

UNCACHED = b"cache-control: no-store\r\n"


class Verifier(Protocol):
    async def verify(self, credential: str) -> Caller:
        """Raises: Refusal."""
        ...


def answer_json(exchange: Exchange, status: int, content: Any) -> None:
    lines = b"%bx-request-id: %b\r\n" % (JSON, exchange.request_id.encode("ascii"))
    exchange.reply(status, lines + UNCACHED, msgspec.json.encode(content))
