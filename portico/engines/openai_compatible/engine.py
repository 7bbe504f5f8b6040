"""The adapter: one model at one server that speaks Chat Completions.

Where the caller speaks it too, bytes pass through: the request with a few members changed, the
answer read only as far as metering needs.  Any other request is translated first, and its answer
read into events.  The rest of this room says what is changed
(`request`), what failures mean (`refusals`) and what the server is (`survey`, `probe`).
"""

import asyncio
from typing import Protocol

from portico import errors
from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.dialects.openai_chat.failures import BrokenAnswer
from portico.dialects.openai_chat.parse import DIALECT
from portico.dialects.openai_chat.reader import StreamReader, read_answer
from portico.dialects.openai_chat.repair import RepairReader, repair_answer
from portico.dialects.openai_chat.translation import as_chat, custom_tools
from portico.engines.base import Relay, UpstreamFailed
from portico.engines.openai_compatible import refusals
from portico.engines.openai_compatible.collecting import Collecting
from portico.engines.openai_compatible.counting import count
from portico.engines.openai_compatible.profile import Profile
from portico.engines.openai_compatible.request import check_media, request_body, streams
from portico.engines.openai_compatible.server import Server
from portico.engines.transport.base import Answer, Call, Transport, TransportFailed
from portico.kit.backoff import exponential_s
from portico.kit.clock import Clock

_ANSWER_BYTES_MAX = 33_554_432
_ERROR_BYTES_MAX = 65_536
# After its last event a server owes us only the end of the transfer coding.
_LEFTOVER_S = 0.05
# How long a server that could not be reached counts as not ready.
_FIRST_REST_S = 0.5
_MOST_REST_S = 10.0


class Reader(Protocol):
    """Bytes of one stream in, deltas out: `StreamReader` passes them through, `RepairReader`
    writes them anew, `Collecting` makes events of them."""

    def feed(self, data: bytes) -> Delta | None: ...

    def finish(self) -> Delta | None: ...


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
        self._target = server.chat_target
        # llama.cpp promises keep-alive on streams and closes the socket, and every idle
        # connection holds one of its few HTTP threads.
        self._reuse = profile.kind != "llamacpp"
        self._failures = 0
        self._resting_until_s = 0.0

    @property
    def ready(self) -> bool:
        return not self._failures or self._clock.monotonic_s() >= self._resting_until_s

    async def close(self) -> None:
        return

    async def generate(self, prompt: Prompt, relay: Relay) -> None:
        prompt, reader = self._told(prompt)
        check_media(prompt)
        server = self._server
        body = request_body(prompt, self._profile)
        call = Call(
            server.origin, "POST", self._target, server.headers, body, server.deadlines, self._reuse
        )
        try:
            answer = await self._transport.send(call)
        except TransportFailed as failed:
            self._note_failure()
            raise refusals.broken(failed, began=False) from failed
        self._failures = 0
        try:
            if answer.status != 200:
                raise await self._refused(answer, prompt)
            if reader is not None:
                await self._relay_stream(answer, reader, prompt, relay)
            else:
                await self._relay_whole(answer, prompt, relay)
        finally:
            # Also when cancelled: the engine sees a closed socket and stops.
            answer.close()

    async def count(self, prompt: Prompt) -> int | None:
        told, _ = self._told(prompt)
        return await count(self._transport, self._server, self._profile, told)

    # --- one exchange --------------------------------------------------------------------------

    def _told(self, prompt: Prompt) -> tuple[Prompt, Reader | None]:
        """What the server is told, and who reads its stream; None: the answer comes whole."""
        profile = self._profile
        timings = profile.kind == "llamacpp"
        if prompt.dialect != DIALECT:
            conversation = prompt.conversation()
            custom = custom_tools(conversation)
            told = as_chat(prompt, conversation, extras=profile.kind != "generic")
            return told, Collecting(choices=prompt.choices, timings=timings, custom=custom)
        if not streams(prompt, profile):
            return prompt, None
        if not prompt.stream:
            return prompt, Collecting(choices=prompt.choices, timings=timings)
        kind = StreamReader if profile.clean else RepairReader
        return prompt, kind(wants_usage=prompt.wants_usage, choices=prompt.choices, timings=timings)

    async def _relay_stream(
        self, answer: Answer, reader: Reader, prompt: Prompt, relay: Relay
    ) -> None:
        if not _is(answer, b"text/event-stream"):
            raise await self._not_a_stream(answer, prompt)
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

    async def _relay_whole(self, answer: Answer, prompt: Prompt, relay: Relay) -> None:
        if not _is(answer, b"application/json"):
            raise refusals.garbage("it is not JSON")
        try:
            body = await answer.read(_ANSWER_BYTES_MAX)
            delta = read_answer(body) if self._profile.clean else repair_answer(body)
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

    async def _refused(self, answer: Answer, prompt: Prompt) -> errors.Refusal | UpstreamFailed:
        try:
            said = await answer.read(_ERROR_BYTES_MAX)
        except TransportFailed:
            said = b""  # the status alone says enough
        return refusals.refused(answer.status, answer.headers, said, prompt, self._server)

    async def _not_a_stream(self, answer: Answer, prompt: Prompt) -> Exception:
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
