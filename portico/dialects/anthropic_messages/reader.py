"""A stream of Messages, read into canon events, and its usage into meters."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from portico.canon.delta import (
    Delta,
    Finished,
    FinishReason,
    Reasoning,
    Sealed,
    Text,
    ToolArguments,
    ToolCallBegan,
)
from portico.canon.usage import Meters
from portico.dialects.anthropic_messages.failures import refusal_in
from portico.dialects.openai_chat.failures import BrokenAnswer, malformed
from portico.dialects.outbound.stream import ProviderStream, converted, decoded
from portico.kit import sse

ISSUER = "anthropic"
REDACTED = "redacted_thinking:"
"""What a sealed thought begins with that came in a block of its own; a signature has no colon."""

_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "pause_turn": "paused",
    "refusal": "refused",
    "model_context_window_exceeded": "context",
}
_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_Count = Annotated[int, Meta(ge=0)]


class _CacheCreation(Struct):
    ephemeral_5m_input_tokens: _Count | None = None
    ephemeral_1h_input_tokens: _Count | None = None


class _OutputDetails(Struct):
    thinking_tokens: _Count | None = None


class _Usage(Struct):
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens_details: _OutputDetails | None = None


class _Piece(Struct):
    """The `delta` of content_block_delta and of message_delta."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Block(Struct):
    type: str
    id: str = ""
    name: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Message(Struct):
    usage: Any = None


class _Event(Struct):
    type: str
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Piece | None = None
    usage: Any = None
    error: Any = None


class _Whole(Struct):
    type: str | None = None
    content: list[Any] | None = None
    stop_reason: str | None = None
    usage: Any = None
    error: Any = None


_event = msgspec.json.Decoder(_Event)
_whole = msgspec.json.Decoder(_Whole)


def read_answer(body: bytes) -> Delta:
    """A whole answer, for a caller of this dialect.

    Raises: BrokenAnswer: an error object in a 200, or no message.
    """
    whole = decoded(_whole, body)
    if whole.error is not None:
        raise BrokenAnswer(refusal_in(whole.error))
    if whole.content is None:
        raise malformed("an answer without content")
    usage = converted(whole.usage, _Usage)
    return Delta(
        raw=body,
        meters=_Totals().add(usage) if usage else None,
        last=True,
        finish=_REASONS.get(whole.stop_reason or "", "stop"),
    )


class _Totals:
    """Usage comes in two halves: of the prompt at the start, of the answer at the end.  The later
    figure of each kind wins; an explicit zero is a zero."""

    def __init__(self) -> None:
        self._latest = _Usage()

    def add(self, usage: _Usage) -> Meters:
        for name in _Usage.__struct_fields__:
            value = getattr(usage, name)
            if value is not None:
                setattr(self._latest, name, value)
        return self._meters()

    def _meters(self) -> Meters:
        latest = self._latest
        written = latest.cache_creation_input_tokens or 0
        parts = latest.cache_creation or _CacheCreation()
        long = min(parts.ephemeral_1h_input_tokens or 0, written)
        made = latest.output_tokens or 0
        details = latest.output_tokens_details or _OutputDetails()
        thought = min(details.thinking_tokens or 0, made)
        return Meters(
            input_text=latest.input_tokens or 0,
            input_cache_read=latest.cache_read_input_tokens or 0,
            input_cache_write_5m=written - long,
            input_cache_write_1h=long,
            output_text=made - thought,
            output_reasoning=thought,
        )


class _Open:
    """A content block that has begun.  call: its place among the tool calls, -1 for no call."""

    __slots__ = ("call", "input", "sealed", "written")

    def __init__(self, call: int = -1, input: bytes = b"{}", sealed: str = "") -> None:
        self.call = call
        self.input = input
        self.sealed = sealed
        self.written = False


class MessagesStream(ProviderStream):
    """Blocks become events in the order they come in; calls are numbered from 0."""

    def __init__(self, *, through: bool) -> None:
        super().__init__(through=through)
        self._totals = _Totals()
        self._open: dict[int, _Open] = {}
        self._calls = 0
        self._finished = False

    def _take(self, event: sse.Event) -> None:
        read = decoded(_event, event.data)
        if read.type == "content_block_delta":
            self._piece(read)
        elif read.type == "error":
            raise BrokenAnswer(refusal_in(read.error))
        elif read.type == "ping":
            return
        else:
            self._other(read)
        self.keep(event)
        if read.type == "message_stop":
            self._done = True
            if not self._finished:
                raise malformed("a message that ends without a reason")

    def _other(self, read: _Event) -> None:
        match read.type:
            case "message_start" if read.message is not None:
                self._use(read.message.usage)
            case "content_block_start" if read.content_block is not None:
                self._begin(read.index, read.content_block)
            case "content_block_stop":
                self._close(read.index)
            case "message_delta":
                self._use(read.usage)
                self._reason(read.delta or _Piece())

    def _use(self, usage: Any) -> None:
        told = converted(usage, _Usage)
        if told is not None:
            self.count(self._totals.add(told))

    def _begin(self, index: int, block: _Block) -> None:
        opened = self._open[index] = _Open()
        match block.type:
            case "text" if block.text:
                self.say(Text(block.text))
            case "thinking":
                opened.sealed = block.signature or ""
                if block.thinking:
                    self.say(Reasoning(block.thinking))
            case "redacted_thinking":
                opened.sealed = REDACTED + block.data
            case "tool_use":
                opened.call, opened.input = self._calls, bytes(block.input)
                self._calls += 1
                self.say(ToolCallBegan(opened.call, block.id, block.name))

    def _piece(self, read: _Event) -> None:
        piece, opened = read.delta, self._open.get(read.index)
        if piece is None or opened is None:
            raise malformed("a piece of a block that never began")
        if piece.text:
            self.say(Text(piece.text))
        elif piece.thinking:
            self.say(Reasoning(piece.thinking))
        elif piece.partial_json and opened.call >= 0:
            opened.written = True
            self.say(ToolArguments(opened.call, piece.partial_json))
        elif piece.signature:
            opened.sealed += piece.signature

    def _close(self, index: int) -> None:
        opened = self._open.pop(index, None)
        if opened is None:
            return
        if opened.call >= 0 and not opened.written:
            self.say(ToolArguments(opened.call, opened.input.decode("utf-8", "replace")))
        if opened.sealed:
            self.say(Sealed(opened.sealed, ISSUER))

    def _reason(self, piece: _Piece) -> None:
        said = piece.stop_reason
        if said is None or self._finished:
            return
        self._finished = True
        reason = _REASONS.get(said, "stop")
        if reason == "stop" and self._calls:
            reason = "tool_calls"
        self.say(Finished(reason, sequence=piece.stop_sequence or "", native=said))

    def _complete(self) -> bool:
        return self._finished

    def _end(self) -> None:
        super()._end()
        if self.through:
            self._held += _STOP
