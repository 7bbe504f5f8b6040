"""One model at one provider, spoken to in the provider's own dialect.

A caller who speaks it too gets the provider's events as they are; for everybody else the request is
translated, the provider asked to stream, and its events read into canon.
"""

import asyncio
from functools import partial

import msgspec

from portico import errors
from portico.canon.prompt import Prompt
from portico.dialects.openai_chat.failures import BrokenAnswer
from portico.engines.base import Abilities, Relay, UpstreamFailed
from portico.engines.openai_compatible import refusals
from portico.engines.openai_compatible.server import Server
from portico.engines.provider.asking import Asking, Reader, Told, asking, counting
from portico.engines.provider.outbound import Outbound
from portico.engines.provider.signatures import Signatures
from portico.engines.transport.base import Answer, Call, Deadlines, Transport, TransportFailed
from portico.kit.backoff import exponential_s
from portico.kit.clock import Clock

_ANSWER_BYTES_MAX = 33_554_432
_ERROR_BYTES_MAX = 65_536
_COUNT_DEADLINES = Deadlines(connect_s=5.0, first_byte_s=10.0, idle_s=5.0, total_s=20.0)
_LEFTOVER_S = 0.05
_FIRST_REST_S = 0.5
_MOST_REST_S = 10.0


class ProviderEngine:
    """See `base.Engine`.  Holds nothing that needs closing: the transport belongs to the app."""

    def __init__(
        self,
        server: Server,
        outbound: Outbound,
        told: Told,
        abilities: Abilities,
        transport: Transport,
        clock: Clock,
    ) -> None:
        self.abilities = abilities
        self._server = server
        self._outbound = outbound
        self._told = told
        self._transport = transport
        self._clock = clock
        self._signatures = Signatures(clock)
        self._failures = 0
        self._resting_until_s = 0.0

    @property
    def ready(self) -> bool:
        return not self._failures or self._clock.monotonic_s() >= self._resting_until_s

    async def close(self) -> None:
        return

    async def generate(self, prompt: Prompt, relay: Relay) -> None:
        if prompt.to_embed is not None:
            raise refusals.lacking(prompt)
        kept, whose = self._signatures, prompt.project_id
        asked = asking(
            prompt,
            self._told,
            self._outbound,
            partial(kept.keep, whose),
            partial(kept.find, whose),
        )
        answer = await self._send(asked)
        relay = asked.promises.kept(relay, prompt.choices)
        try:
            if answer.status != 200:
                raise await self._refused(answer)
            if asked.reader is not None:
                await self._relay_stream(answer, asked.reader, relay)
            else:
                await self._relay_whole(answer, relay)
        finally:
            # Also when cancelled: the provider sees a closed socket and stops.
            answer.close()

    async def count(self, prompt: Prompt) -> int | None:
        if prompt.to_embed is not None:
            return None
        body = counting(prompt, self._told, self._outbound)
        target = self._server.base_path + self._outbound.counting(self._told.model)
        try:
            answer = await self._transport.send(self._call(target, body, _COUNT_DEADLINES))
            try:
                said = await answer.read(_ERROR_BYTES_MAX)
            finally:
                answer.close()
            found = msgspec.json.decode(said, type=dict[str, msgspec.Raw])
            return msgspec.json.decode(found[self._outbound.counted], type=int)
        except (TransportFailed, KeyError, ValueError):
            return None

    # --- one exchange --------------------------------------------------------------------------

    def _call(self, target: str, body: bytes, deadlines: Deadlines) -> Call:
        server = self._server
        return Call(server.origin, "POST", target, server.headers, body, deadlines)

    async def _send(self, asked: Asking) -> Answer:
        target = self._server.base_path + asked.target
        try:
            answer = await self._transport.send(
                self._call(target, asked.body, self._server.deadlines)
            )
        except TransportFailed as failed:
            self._failures += 1
            rest_s = exponential_s(self._failures, _FIRST_REST_S, _MOST_REST_S)
            self._resting_until_s = self._clock.monotonic_s() + rest_s
            raise refusals.broken(failed, began=False) from failed
        self._failures = 0
        return answer

    async def _relay_stream(self, answer: Answer, reader: Reader, relay: Relay) -> None:
        if not _is(answer, b"text/event-stream"):
            raise await self._not_a_stream(answer)
        began = False
        try:
            while data := await answer.next():
                delta = reader.feed(data)
                if delta is None:
                    continue
                began = True
                await relay(delta)
                if delta.last:
                    await _take_leftover(answer)
                    return
            delta = reader.finish()
            if delta is not None:
                await relay(delta)
        except TransportFailed as failed:
            raise refusals.broken(failed, began=began) from failed
        except BrokenAnswer as broken:
            if broken.delta is not None:  # what had come before it broke counts
                began = True
                await relay(broken.delta)
            raise self._failure(broken.refusal, began=began) from broken

    async def _relay_whole(self, answer: Answer, relay: Relay) -> None:
        if not _is(answer, b"application/json"):
            raise refusals.garbage("it is not JSON")
        try:
            delta = self._outbound.whole(await answer.read(_ANSWER_BYTES_MAX))
        except TransportFailed as failed:
            raise refusals.broken(failed, began=False) from failed
        except BrokenAnswer as broken:
            raise self._failure(broken.refusal, began=False) from broken
        await relay(delta)

    # --- what went wrong -----------------------------------------------------------------------

    async def _refused(self, answer: Answer) -> errors.Refusal | UpstreamFailed:
        if 300 <= answer.status < 400:
            return refusals.garbage("it redirects, which is not followed")
        try:
            said = await answer.read(_ERROR_BYTES_MAX)
        except TransportFailed:
            said = b""  # the status alone says enough
        refusal = self._outbound.refusal(answer.status, said)
        waits = any(name.startswith(b"retry-after") for name, _ in answer.headers)
        if waits and refusal.entry.retryable:
            refusal.retry_after_ms = refusals.retry_after_ms(answer.headers)
        return self._failure(refusal, began=False)

    async def _not_a_stream(self, answer: Answer) -> Exception:
        """A stream was asked for and something else came: an error object, or a stranger."""
        if not _is(answer, b"application/json"):
            return refusals.garbage("it is not a stream of events")
        try:
            self._outbound.whole(await answer.read(_ERROR_BYTES_MAX))
        except TransportFailed as failed:
            return refusals.broken(failed, began=False)
        except BrokenAnswer as broken:
            return self._failure(broken.refusal, began=False)
        return refusals.garbage("it ignores that a stream was asked for")

    def _failure(self, refusal: errors.Refusal, *, began: bool) -> errors.Refusal | UpstreamFailed:
        """The caller's fault only while nothing is out: after that, it is a broken answer."""
        refusal.message = refusals.sanitised(refusal.message, self._server)
        if refusal.entry.fault == "caller" and not began:
            return refusal
        return UpstreamFailed(refusal)


async def _take_leftover(answer: Answer) -> None:
    """Let the exchange complete, so that its connection can be used again."""
    try:
        async with asyncio.timeout(_LEFTOVER_S):
            await answer.next()
    except (TimeoutError, TransportFailed):
        return


def _is(answer: Answer, content_type: bytes) -> bool:
    for name, value in answer.headers:
        if name == b"content-type":
            return value.lower().startswith(content_type)
    return False
