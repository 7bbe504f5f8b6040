"""/v1/batches, in OpenAI's words."""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from portico import errors
from portico.dialects.body import checked, json_object, without_bom
from portico.dialects.openai_chat.rules import check_metadata
from portico.door.endpoints.answering import Verifier, answer_json, identify
from portico.door.exchange import Exchange
from portico.door.intake.decoding import body_of
from portico.door.lines import JSON
from portico.door.resources.repeating import REPLAYED, wish_of
from portico.resources.batches.model import Batch, Counts
from portico.resources.batches.rules import check_endpoint, check_window, openai_shape
from portico.resources.batches.service import Batches
from portico.resources.pages import openai_window

_BODY_BYTES_MAX = 1_048_576
_KEEP_S_MIN, _KEEP_S_MAX = 3_600, 2_592_000


class KeepOutput(Struct):
    """How long its files are kept, from when they are made."""

    anchor: Literal["created_at"]
    seconds: int


class BatchRequest(Struct):
    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[str, Any] | None = None
    output_expires_after: KeepOutput | None = None


class BatchEndpoints:
    def __init__(self, callers: Verifier, batches: Batches, replay_ms: int) -> None:
        """replay_ms: how long an answer is kept under an `Idempotency-Key`."""
        self._callers = callers
        self._batches = batches
        self._replay_ms = replay_ms

    async def create(self, exchange: Exchange, _: str) -> None:
        caller = await identify(self._callers, exchange)
        body = await body_of(exchange, _BODY_BYTES_MAX, compression=True)
        wanted = checked(json_object(without_bom(body)), BatchRequest)
        check_endpoint(wanted.endpoint)
        check_window(wanted.completion_window)
        check_metadata(wanted.metadata or {})
        keep_ms = _keep_ms(wanted.output_expires_after)
        await self._batches.check_input(caller, wanted.input_file_id)
        batch = self._batches.new(
            caller,
            "openai",
            wanted.endpoint,
            wanted.metadata or {},
            input_file_id=wanted.input_file_id,
            output_keep_ms=keep_ms,
        )
        wish = await wish_of(exchange, caller.project_id, body)
        done = await self._batches.add(batch, (), wish, self._replay_ms, _told)
        replayed = REPLAYED if done.again else b""
        named = b"x-request-id: %b\r\n" % exchange.request_id.encode("ascii")
        exchange.reply(200, JSON + named + replayed, done.body)

    async def all(self, exchange: Exchange, _: str) -> None:
        caller = await identify(self._callers, exchange)
        window = openai_window(exchange.query)
        found, more = await self._batches.page(caller, "openai", window)
        data = [openai_shape(batch, counts) for batch, counts in found]
        answer_json(
            exchange,
            200,
            {
                "object": "list",
                "data": data,
                "first_id": data[0]["id"] if data else None,
                "last_id": data[-1]["id"] if data else None,
                "has_more": more,
            },
        )

    async def one(self, exchange: Exchange, batch_id: str) -> None:
        caller = await identify(self._callers, exchange)
        found = await self._batches.get(caller, "openai", batch_id)
        answer_json(exchange, 200, openai_shape(*found))

    async def cancel(self, exchange: Exchange, batch_id: str) -> None:
        caller = await identify(self._callers, exchange)
        found = await self._batches.cancel(caller, "openai", batch_id)
        answer_json(exchange, 200, openai_shape(*found))


def _keep_ms(said: KeepOutput | None) -> int | None:
    """Raises: Refusal: out_of_range."""
    if said is None:
        return None
    if not _KEEP_S_MIN <= said.seconds <= _KEEP_S_MAX:
        raise errors.OUT_OF_RANGE(
            f"'output_expires_after.seconds' is {said.seconds}; it must be {_KEEP_S_MIN} to "
            f"{_KEEP_S_MAX}.",
            field="output_expires_after.seconds",
            value=said.seconds,
            limit=[_KEEP_S_MIN, _KEEP_S_MAX],
        )
    return said.seconds * 1000


def _told(batch: Batch) -> bytes:
    return msgspec.json.encode(openai_shape(batch, Counts()))
