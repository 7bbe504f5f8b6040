"""The adapter: one model at one server that speaks Chat Completions.

Where the caller speaks it too, bytes pass through: the request with a few members changed, the
answer read only as far as metering needs.  Any other request is translated first, and its answer
read into events.  The rest of this room says what is changed
(`request`), what failures mean (`refusals`) and what the server is (`survey`, `probe`).
"""

import asyncio
import dataclasses

from msgspec.structs import replace

from portico import errors
from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.dialects.openai_chat.failures import BrokenAnswer
from portico.dialects.openai_chat.reading.reader import read_answer
from portico.engines.apart import one_by_one
from portico.engines.base import Relay, UpstreamFailed
from portico.engines.openai_compatible import refusals
from portico.engines.openai_compatible.asking import Asking, Reader, asking, told
from portico.engines.openai_compatible.counting import count
from portico.engines.openai_compatible.efforts import efforts_told
from portico.engines.openai_compatible.profile import Profile
from portico.engines.openai_compatible.server import Kind, Server
from portico.engines.promises.asked import NONE
from portico.engines.transport.base import Answer, Call, Transport, TransportFailed
from portico.kit.backoff import exponential_s
from portico.kit.clock import Clock

_ERROR_BYTES_MAX = 65_536
NOT_THERE = frozenset({404, 405, 501})
"""How servers say that they have no such route, or were not started for it (llama.cpp)."""
# After its last event a server owes us only the end of the transfer coding.
_LEFTOVER_S = 0.05
# How long a server that could not be reached counts as not ready.
_FIRST_REST_S = 0.5
_MOST_REST_S = 10.0


class OpenAICompatible:
    """See `base.Engine`.  Holds nothing that needs closing: the transport belongs to the app."""

    def __init__(
        self, server: Server, profile: Profile, transport: Transport, clock: Clock
    ) -> None:
        self.abilities = profile.abilities
        self._server = server
        self._profile = profile
        self._transport = transport
        self._clock = clock
        # llama.cpp promises keep-alive on streams and closes the socket, and every idle
        # connection holds one of its few HTTP threads.
        self._reuse = profile.kind != "llamacpp"
        self._failures = 0
        self._resting_until_s = 0.0
        self._completes = True
        """Until it says otherwise: that costs one exchange, in which nothing is generated."""

    @property
    def ready(self) -> bool:
        return not self._failures or self._clock.monotonic_s() >= self._resting_until_s

    @property
    def measured(self) -> tuple[Server, Kind] | None:
        """See `load.Measured`."""
        return self._server, self._profile.kind

    @property
    def _takes_several(self) -> bool:
        """Prompts in one request.  llama.cpp would put them into its slots all at once."""
        return self._completes and self._profile.kind != "llamacpp"

    async def close(self) -> None:
        return

    async def generate(self, prompt: Prompt, relay: Relay) -> None:
        if prompt.apart is not None and not self._takes_several:
            salted = [replace(one, cache_salt=prompt.cache_salt) for one in prompt.apart()]
            await one_by_one(salted, self.generate, relay)
            return
        asked = asking(prompt, self._profile, self._server, completes=self._completes)
        try:
            answer = await self._transport.send(self._call(asked))
        except TransportFailed as failed:
            self._note_failure()
            raise refusals.broken(failed, began=False) from failed
        self._failures = 0
        if answer.status != 200:
            await self._learn(answer, asked, prompt)
            await self.generate(prompt, relay)
            return
        if asked.promises is not NONE:
            relay = asked.promises.kept(relay, prompt.choices)
        try:
            if asked.reader is not None:
                await self._relay_stream(answer, asked.reader, relay)
            else:
                await self._relay_whole(answer, asked, relay)
        finally:
            # Also when cancelled: the engine sees a closed socket and stops.
            answer.close()

    async def count(self, prompt: Prompt) -> int | None:
        if prompt.to_embed is not None or prompt.apart is not None or prompt.media_characters:
            return None  # nobody counts images and sound
        chat, _ = told(prompt, self._profile)
        return await count(self._transport, self._server, self._profile, chat)

    # --- one exchange --------------------------------------------------------------------------

    def _call(self, asked: Asking) -> Call:
        server = self._server
        return Call(
            server.origin,
            "POST",
            asked.target,
            server.headers,
            asked.body,
            server.deadlines,
            self._reuse,
        )

    async def _relay_stream(self, answer: Answer, reader: Reader, relay: Relay) -> None:
        if not _is(answer, b"text/event-stream"):
            raise await self._not_a_stream(answer)
        began = False
        try:
            while data := await answer.next():
                delta = reader.feed(data)
                if delta is None:
                    continue
                if delta.last and not began and _says_nothing(delta):
                    raise refusals.garbage("the stream ended before it began")
                began = True
                await relay(delta)
                if delta.last:
                    await self._take_leftover(answer)
                    return
        except TransportFailed as failed:
            raise refusals.broken(failed, began=began) from failed
        except BrokenAnswer as broken:
            began = await _relay_rest(broken, relay) or began
            raise self._failure(broken, began=began) from broken
        await self._relay_end(reader, relay, began=began)

    async def _relay_end(self, reader: Reader, relay: Relay, *, began: bool) -> None:
        """The server closed the stream by itself: some do instead of saying `[DONE]`, and one
        that dies does too."""
        try:
            delta = reader.finish()
        except BrokenAnswer as broken:
            began = await _relay_rest(broken, relay) or began
            raise refusals.EngineLost(broken.refusal, began=began) from broken
        if delta is not None:
            await relay(delta)

    async def _relay_whole(self, answer: Answer, asked: Asking, relay: Relay) -> None:
        if not _is(answer, b"application/json"):
            raise refusals.garbage("it is not JSON")
        try:
            delta = asked.whole(await answer.read(asked.answer_bytes_max))
        except TransportFailed as failed:
            raise refusals.broken(failed, began=False) from failed
        except BrokenAnswer as broken:
            raise self._failure(broken, began=False) from broken
        await relay(delta)

    async def _take_leftover(self, answer: Answer) -> None:
        """Let the exchange complete, so that its connection can be used again."""
        if self._reuse:
            try:
                async with asyncio.timeout(_LEFTOVER_S):
                    await answer.next()
            except (TimeoutError, TransportFailed):
                return

    # --- what went wrong -----------------------------------------------------------------------

    async def _learn(self, answer: Answer, asked: Asking, prompt: Prompt) -> None:
        """It did not answer.  Returns where that taught us to ask in another way, which happens once
        for each thing there is to know.  Raises: Refusal, UpstreamFailed, where it did not."""
        try:
            if answer.status in NOT_THERE and asked.target == self._server.completions_target:
                self._completes = False
                return
            if asked.optional and answer.status in NOT_THERE:
                raise refusals.lacking(prompt)
            try:
                said = await answer.read(_ERROR_BYTES_MAX)
            except TransportFailed:
                said = b""  # the status alone says enough
        finally:
            answer.close()
        if not self._learns_efforts(answer.status, said, asked):
            raise refusals.refused(answer.status, answer.headers, said, prompt, self._server)

    def _learns_efforts(self, status: int, said: bytes, asked: Asking) -> bool:
        if status not in (400, 422) or self._profile.efforts is not None:
            return False
        efforts = efforts_told(refusals.Said(said, self._server).message, asked.body)
        if efforts is None:
            return False
        self._profile = dataclasses.replace(self._profile, efforts=efforts)
        return True

    async def _not_a_stream(self, answer: Answer) -> Exception:
        """A stream was asked for and something else came: an error object, or a stranger."""
        if not _is(answer, b"application/json"):
            return refusals.garbage("it is not a stream of events")
        try:
            read_answer(await answer.read(_ERROR_BYTES_MAX))
        except TransportFailed as failed:
            return refusals.broken(failed, began=False)
        except BrokenAnswer as broken:
            return self._failure(broken, began=False)
        return refusals.garbage("it ignores that a stream was asked for")

    def _failure(self, broken: BrokenAnswer, *, began: bool) -> errors.Refusal | UpstreamFailed:
        """The caller's fault only while nothing is out: after that, it is a broken answer."""
        refusal = broken.refusal
        refusal.message = refusals.sanitised(refusal.message, self._server)
        if refusal.entry.fault == "caller" and not began:
            return refusal
        return UpstreamFailed(refusal)

    def _note_failure(self) -> None:
        self._failures += 1
        rest_s = exponential_s(self._failures, _FIRST_REST_S, _MOST_REST_S)
        self._resting_until_s = self._clock.monotonic_s() + rest_s


def _is(answer: Answer, content_type: bytes) -> bool:
    for name, value in answer.headers:
        if name == b"content-type":
            return value.lower().startswith(content_type)
    return False


async def _relay_rest(broken: BrokenAnswer, relay: Relay) -> bool:
    """What had come before it broke counts.  Was there any?"""
    if broken.delta is None:
        return False
    await relay(broken.delta)
    return True


def _says_nothing(delta: Delta) -> bool:
    return not (delta.output_tokens or delta.meters or delta.finish)
