"""Answers written from canon events, for engines that have no Messages bytes of their own.

Bytes that an engine of this dialect did give (`Delta.raw`) go through untouched.
"""

from typing import Any

import msgspec

from portico.canon.delta import Delta, Finished
from portico.canon.prompt import Prompt
from portico.dialects.anthropic_messages.answers.blocks import Blocks, Piece
from portico.dialects.anthropic_messages.answers.usage import totals_of, usage_of
from portico.dialects.anthropic_messages.signatures import Signatures
from portico.dialects.writing import Kept, encode
from portico.errors import Refusal

PING = b'event: ping\ndata: {"type": "ping"}\n\n'
INVALID_JSON = "INVALID_JSON"
"""The one member of a tool's input whose JSON was cut off or is none: `input` is an object."""

_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_MESSAGE_BEGAN = b"event: message_start\n"
_BLOCK_BEGAN = b"event: content_block_start\n"
_BLOCK_ENDED = b"event: content_block_stop\n"
_DELTAS: dict[Piece, str] = {
    "text": "text_delta",
    "thinking": "thinking_delta",
    "signature": "signature_delta",
    "partial_json": "input_json_delta",
}


def _frame(name: bytes, payload: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name, payload)


def _message(prompt: Prompt, request_id: str) -> dict[str, Any]:
    return {
        "id": f"msg_{request_id.removeprefix('req_')}",
        "type": "message",
        "role": "assistant",
        "model": prompt.model,
    }


class _Events:
    """A sink: every block as its events."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.index = 0
        """Of the block that is open, or opens next."""

    def open(self, block: dict[str, Any]) -> None:
        body = {"type": "content_block_start", "index": self.index, "content_block": block}
        self.written.append(_frame(b"content_block_start", encode(body)))

    def add(self, piece: Piece, text: str) -> None:
        self.written.append(
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
            b'"delta":{"type":"%b","%b":%b}}\n\n'
            % (self.index, _DELTAS[piece].encode(), piece.encode(), encode(text))
        )

    def shut(self) -> None:
        body = b'{"type":"content_block_stop","index":%d}' % self.index
        self.written.append(_frame(b"content_block_stop", body))
        self.index += 1

    def taken(self) -> bytes:
        """What was written since this was asked last."""
        data = b"".join(self.written)
        self.written.clear()
        return data


class StreamWriter:
    """One stream: message_start, blocks one after the other, message_delta, message_stop.

    request_id: becomes the id of the message.
    """

    def __init__(self, prompt: Prompt, request_id: str, signatures: Signatures) -> None:
        self._prompt = prompt
        self._request_id = request_id
        self._events = _Events()
        self._blocks = Blocks(prompt, request_id, signatures, self._events)
        self._running = Kept()
        self._begun = False
        self._relayed_open = 0
        """Blocks an engine's own bytes have opened and not closed."""

    def write(self, delta: Delta) -> bytes:
        """The events for `delta`; after the one with `last`, nothing may follow."""
        self._running.count(delta)
        if delta.raw:
            return self._relay(delta.raw)
        self._begin()
        for event in delta.events:
            self._blocks.take(event)
        if delta.last:
            self._end(delta.cut)
        return self._events.taken()

    def ping(self) -> bytes:
        self._begin()
        return self._events.taken() + PING

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        message = {
            **_message(self._prompt, self._request_id),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "usage": usage_of(self._running.total(), self._prompt.service_tier),
        }
        body = {"type": "message_start", "message": message}
        self._events.written.append(_frame(b"message_start", encode(body)))

    def _relay(self, raw: bytes) -> bytes:
        """Only how far it has come is noted: we may have to end it ourselves."""
        if self._begun and raw.startswith(_MESSAGE_BEGAN):  # a ping was before it
            raw = raw[raw.index(b"\n\n") + 2 :]
        began, ended = raw.count(_BLOCK_BEGAN), raw.count(_BLOCK_ENDED)
        self._begun = True
        self._events.index += ended
        self._relayed_open += began - ended
        return raw

    def _end(self, cut: str) -> None:
        if self._relayed_open > 0:
            self._events.shut()
        self._blocks.end()
        body = {
            "type": "message_delta",
            "delta": self._blocks.ending.told(cut),
            "usage": totals_of(self._running.total()),
        }
        self._events.written += [_frame(b"message_delta", encode(body)), _STOP]


class _Whole:
    """A sink: the blocks themselves."""

    def __init__(self) -> None:
        self.content: list[dict[str, Any]] = []
        self._pieces: dict[Piece, list[str]] = {}

    def open(self, block: dict[str, Any]) -> None:
        self.content.append(block)
        self._pieces = {}

    def add(self, piece: Piece, text: str) -> None:
        self._pieces.setdefault(piece, []).append(text)

    def shut(self) -> None:
        for piece, texts in self._pieces.items():
            text = "".join(texts)
            if piece == "partial_json":
                self.content[-1]["input"] = _input_of(text)
            else:
                self.content[-1][piece] = text


def _input_of(text: str) -> dict[str, Any]:
    try:
        given = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        given = None
    return given if isinstance(given, dict) else {INVALID_JSON: text}


class AnswerWriter:
    """One message, written with the last delta.  Made like a StreamWriter."""

    def __init__(self, prompt: Prompt, request_id: str, signatures: Signatures) -> None:
        self._prompt = prompt
        self._request_id = request_id
        self._whole = _Whole()
        self._blocks = Blocks(prompt, request_id, signatures, self._whole)
        self._running = Kept()

    def write(self, delta: Delta) -> bytes:
        """b"" until the last delta, then the whole body."""
        if delta.raw:
            return delta.raw
        self._running.count(delta)
        for event in delta.events:
            self._blocks.take(event)
        if not delta.last:
            return b""
        self._blocks.end()
        return encode(
            {
                **_message(self._prompt, self._request_id),
                "content": self._whole.content,
                **self._blocks.ending.told(delta.cut),
                "usage": usage_of(self._running.total(), self._prompt.service_tier),
            }
        )

    def fail(self, refusal: Refusal) -> bytes:
        """An answer that breaks off between two rounds: what there is, for it is paid; sent back, it is
        gone on with, or refused for the same reason."""
        event = Finished("tool_limit", native=refusal.code)
        return self.write(Delta(events=(event,), last=True))

    def ping(self) -> bytes:
        return b""


def writer_for(
    prompt: Prompt, request_id: str, _created_s: int, signatures: Signatures
) -> StreamWriter | AnswerWriter:
    """The writer of one answer, streamed or whole as `prompt` asks."""
    kind = StreamWriter if prompt.stream else AnswerWriter
    return kind(prompt, request_id, signatures.of(prompt.project_id))
