"""POST /v1/moderations: what a text says outright, and what a guard model says of it.  Free."""

from typing import Protocol

from portico.callers.model import Caller
from portico.dialects.losses import header
from portico.door.dialect import Dialect
from portico.door.endpoints.answering import Verifier, identify
from portico.door.exchange import Exchange
from portico.door.intake.decoding import body_of
from portico.door.lines import JSON, line
from portico.kit.leaving import Leaving
from portico.safety.service import Answered


class Judging(Protocol):
    async def answer(self, body: bytes, caller: Caller, leaving: Leaving) -> Answered:
        """Raises: Refusal; Left."""
        ...


class Moderations:
    def __init__(
        self,
        dialect: Dialect,
        callers: Verifier,
        judging: Judging,
        *,
        body_bytes_max: int,
        compression: bool,
    ) -> None:
        """dialect: whose way it is to name the request."""
        self._dialect = dialect
        self._callers = callers
        self._judging = judging
        self._body_bytes_max = body_bytes_max
        self._compression = compression

    async def handle(self, exchange: Exchange, _: str) -> None:
        """Raises: Refusal; Left."""
        caller = await identify(self._callers, exchange)
        body = await body_of(exchange, self._body_bytes_max, compression=self._compression)
        answered = await self._judging.answer(body, caller, exchange.leaving)
        lines = JSON + self._dialect.named(exchange.request_id.encode("ascii")) + answered.lines
        if answered.warnings:
            lines += line("portico-warnings", header(answered.warnings))
        exchange.reply(200, lines, answered.body)
