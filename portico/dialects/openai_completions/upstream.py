"""The request for an engine with Completions of its own, and its answer, passed through as bytes
and read only as far as metering needs."""

from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.dialects.openai_chat import failures
from portico.dialects.openai_chat.chunks import read_untyped, rewritten
from portico.dialects.openai_chat.failures import BrokenAnswer
from portico.dialects.openai_chat.reading.tally import Tally
from portico.dialects.openai_chat.usage import meters_of, usage_in
from portico.dialects.openai_completions.parse import check_written_here, read
from portico.kit.sse import Event, EventReader, EventTooLarge, frame

_NOT_OURS = ("tool_choice", "max_completion_tokens")
"""Fields of Chat, which mean nothing here; some engines would obey them all the same, and lift a
limit that was checked."""


class _TextChoice(Struct):
    index: int = 0
    text: Any = None
    finish_reason: Any = None


class _TextChunk(Struct):
    choices: list[_TextChoice] | None = None
    usage: Any = None
    error: Any = None
    object: Any = None


_chunk = msgspec.json.Decoder(_TextChunk)


def bounded(prompt: Prompt) -> Prompt:
    """The same with its limit said: engines differ in what they do where nothing is."""
    fields = {name: raw for name, raw in prompt.fields.items() if name not in _NOT_OURS}
    fields["max_tokens"] = msgspec.Raw(b"%d" % (prompt.output_tokens_max or 1))
    return replace(prompt, fields=fields)


def for_events(prompt: Prompt) -> Prompt:
    """For an engine whose stream is read into events and written here.

    Raises: Refusal: it asks for what only an engine could write.
    """
    check_written_here(read(prompt.body))
    said = bounded(prompt)
    fields = {name: raw for name, raw in said.fields.items() if name not in ("echo", "suffix")}
    if "logprobs" in prompt.needs:
        wanted = int(bytes(fields["logprobs"]))
        fields["logprobs"] = msgspec.Raw(b"%d" % max(1, wanted))  # 0 would be none at all
    return replace(said, fields=fields)


def read_completion(body: bytes) -> Delta:
    """A whole answer.  Raises: BrokenAnswer."""
    answer = _read(body)
    if not answer.choices:
        raise failures.malformed("an answer without choices")
    usage = usage_in(answer.usage)
    reason = next((each.finish_reason for each in answer.choices if each.index == 0), "")
    return Delta(
        raw=body,
        meters=meters_of(usage) if usage else None,
        last=True,
        finish=reason if isinstance(reason, str) else "",
    )


class CompletionsReader:
    """One stream.  wants_usage: the client asked for the usage chunk; else it is read and hidden.
    choices: answers asked for."""

    def __init__(self, *, wants_usage: bool, choices: int) -> None:
        self._choices = choices
        self._tally = Tally(wants_usage=wants_usage, choices=1)
        self._events = EventReader()
        self._done = False

    def feed(self, data: bytes) -> Delta | None:
        """Raises: BrokenAnswer."""
        if self._done:
            return None
        try:
            events = self._events.feed(data)
        except EventTooLarge:
            raise failures.malformed("an event over 8 MiB") from None
        return self._relay(events)

    def finish(self) -> Delta | None:
        """The engine closed the stream.  Raises: BrokenAnswer: before its end."""
        if self._done:
            return None
        delta = self._relay(self._events.finish())
        if self._done:
            return delta
        if len(self._tally.finished) < self._choices:
            raise failures.ended_early(delta)
        self._done = True
        delta = delta or self._tally.delta(b"")
        delta.raw += self._tally.ending()
        delta.last = True
        return delta

    def _relay(self, events: list[Event]) -> Delta | None:
        kept: list[bytes] = []
        for event in events:
            if event.data.strip() == b"[DONE]":
                self._done = True
                kept.append(self._tally.ending())
                break
            try:
                kept.append(self._pass(event.data))
            except BrokenAnswer as broken:
                broken.delta = self._tally.delta(b"".join(kept)) if any(kept) else None
                raise
        raw = b"".join(kept)
        if not raw and not self._tally.changed:
            return None
        return self._tally.delta(raw, last=self._done)

    def _pass(self, payload: bytes) -> bytes:
        """What the caller is sent for one event."""
        chunk = _read(payload)
        usage = usage_in(chunk.usage)
        if not chunk.choices:
            if usage is not None:
                self._tally.told(usage, payload)
            return b""
        for choice in chunk.choices:
            if choice.text:
                self._tally.count()
            if isinstance(choice.finish_reason, str):
                self._tally.finishes(choice.index, choice.finish_reason)
        self._tally.sample = self._tally.sample or payload
        if usage is not None:
            self._tally.told(usage, rewritten(payload, {"choices": b"[]"}))
            payload = rewritten(payload, {"usage": None})
        return frame(payload.replace(b"\n", b" "))


def as_chat_chunk(payload: bytes) -> bytes:
    """An event of this dialect as one of Chat, b"" for one that says nothing: llama.cpp begins
    some streams with a bare null."""
    if payload.strip() == b"null":
        return b""
    chunk = read_untyped(payload)
    choices = chunk.get("choices")
    if isinstance(choices, list):
        chunk["choices"] = [_chat_choice(each) for each in choices if isinstance(each, dict)]
    return msgspec.json.encode(chunk)


def _chat_choice(choice: dict[str, Any]) -> dict[str, Any]:
    text = choice.pop("text", None)
    return {**choice, "delta": {"content": text} if text else {}}


def _read(payload: bytes) -> _TextChunk:
    """Raises: BrokenAnswer."""
    try:
        chunk = _chunk.decode(payload)
    except (ValueError, RecursionError) as error:
        raise failures.malformed(f"a chunk that cannot be read ({error})") from None
    if chunk.error or chunk.object == "error":
        refusal = failures.error_in(read_untyped(payload))
        if refusal is not None:
            raise BrokenAnswer(refusal)
    return chunk
