"""/v1/messages/batches, in Anthropic's words."""

import asyncio
from collections.abc import Callable

import msgspec

from portico import errors
from portico.callers.model import Caller
from portico.door.dialect import Dialect
from portico.door.endpoints.answering import Verifier, answer_json, identify
from portico.door.exchange import Exchange
from portico.door.intake.decoding import body_of
from portico.door.lines import JSON
from portico.door.resources.repeating import REPLAYED, wish_of
from portico.kit.leaving import Left
from portico.resources.batches import messages
from portico.resources.batches.model import MESSAGES, Batch, Counts
from portico.resources.batches.rules import check_kept
from portico.resources.batches.service import Batches, not_found
from portico.resources.pages import anthropic_window

_LINES_AT_ONCE = 200
_INLINE_BYTES_MAX = 262_144
"""More is read on a thread, so that nobody's stream waits for it."""
_LINES = b"content-type: application/x-jsonl\r\nx-content-type-options: nosniff\r\n"


class MessageBatchEndpoints:
    def __init__(
        self,
        callers: Verifier,
        batches: Batches,
        dialect: Dialect,
        *,
        replay_ms: int,
        body_bytes_max: int,
        https: bool,
    ) -> None:
        """dialect: of Messages.  replay_ms: how long an answer is kept under an `Idempotency-Key`.
        https: clients come by it, through whoever stands in front."""
        self._callers = callers
        self._batches = batches
        self._dialect = dialect
        self._replay_ms = replay_ms
        self._body_bytes_max = body_bytes_max
        self._scheme = "https" if https else "http"

    async def create(self, exchange: Exchange, _: str) -> None:
        caller = await identify(self._callers, exchange)
        check_kept(caller)
        body = await body_of(exchange, self._body_bytes_max, compression=True)
        if len(body) > _INLINE_BYTES_MAX:
            lines = await asyncio.to_thread(messages.read, body, self._batches.limits)
        else:
            lines = messages.read(body, self._batches.limits)
        batch = self._batches.new(caller, "anthropic", MESSAGES, {})
        wish = await wish_of(exchange, caller.project_id, body)

        def told(made: Batch) -> bytes:
            counts = Counts(waiting=made.lines)
            return msgspec.json.encode(messages.shown(made, counts, self._url(exchange)))

        done = await self._batches.add(batch, lines, wish, self._replay_ms, told)
        replayed = REPLAYED if done.again else b""
        named = self._dialect.named(exchange.request_id.encode("ascii"))
        exchange.reply(200, JSON + named + replayed, done.body)

    async def all(self, exchange: Exchange, _: str) -> None:
        caller = await identify(self._callers, exchange)
        window = anthropic_window(exchange.query)
        found, more = await self._batches.page(caller, "anthropic", window)
        data = [messages.shown(*each, self._url(exchange)) for each in found]
        told = {
            "data": data,
            "has_more": more,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
        }
        answer_json(exchange, 200, told, self._dialect)

    async def one(self, exchange: Exchange, batch_id: str) -> None:
        caller = await identify(self._callers, exchange)
        self._show(exchange, await self._batches.get(caller, "anthropic", batch_id))

    async def cancel(self, exchange: Exchange, batch_id: str) -> None:
        caller = await identify(self._callers, exchange)
        self._show(exchange, await self._batches.cancel(caller, "anthropic", batch_id))

    async def delete(self, exchange: Exchange, batch_id: str) -> None:
        caller = await identify(self._callers, exchange)
        await self._batches.delete(caller, "anthropic", batch_id)
        told = {"id": batch_id, "type": "message_batch_deleted"}
        answer_json(exchange, 200, told, self._dialect)

    async def results(self, exchange: Exchange, batch_id: str) -> None:
        """Raises: Refusal: resource_not_found, also where it goes while it is read: the answer ends
        there, and not as if that were all; conflict, while it has not ended; Left."""
        caller = await identify(self._callers, exchange)
        batch, _ = await self._batches.get(caller, "anthropic", batch_id)
        if batch.ended_at_ms is None:
            raise errors.CONFLICT(
                f"The batch {batch_id[:100]!r} has not ended; it has no results yet.",
                field="id",
                value=batch_id[:100],
                remedy="Wait until its `processing_status` is `ended`.",
            )
        exchange.open(200, _LINES + self._dialect.named(exchange.request_id.encode("ascii")))
        await self._write_results(exchange, caller, batch)
        if exchange.leaving.left:
            raise Left(exchange.leaving.reason)
        exchange.end()

    async def _write_results(self, exchange: Exchange, caller: Caller, batch: Batch) -> None:
        after, left = 0, batch.lines if exchange.method != "HEAD" else 0
        while left > 0 and not exchange.leaving.left:
            lines = await self._batches.lines(caller, batch, after, _LINES_AT_ONCE)
            if not lines:
                raise not_found(batch.id)
            after, left = lines[-1].number, left - len(lines)
            await exchange.write(messages.results(lines))

    def _show(self, exchange: Exchange, found: tuple[Batch, Counts]) -> None:
        answer_json(exchange, 200, messages.shown(*found, self._url(exchange)), self._dialect)

    def _url(self, exchange: Exchange) -> Callable[[str], str]:
        """Of results, where this client has found us."""
        host = exchange.headers.get(b"host", b"").decode("latin-1")
        return lambda batch_id: f"{self._scheme}://{host}{MESSAGES}/batches/{batch_id}/results"
