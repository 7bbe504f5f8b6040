"""What every stream of Messages must look like: the order machine, and the framing."""

import json
from typing import Any

from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from portico.canon.delta import Delta
from portico.dialects.anthropic_messages.answers.writer import (
    AnswerWriter,
    StreamWriter,
    writer_for,
)

from .bodies import SIGNATURES, parsed

_EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
_PIECES = {
    "text": {"text_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
    "redacted_thinking": set[str](),
}


def events_in(stream: bytes) -> list[dict[str, Any]]:
    """Every event; checks each one's two lines."""
    events = []
    for frame in stream.removesuffix(b"\n\n").split(b"\n\n"):
        name, data = frame.split(b"\n")
        payload = json.loads(data.removeprefix(b"data: "))
        assert name == b"event: " + payload["type"].encode()
        assert data.startswith(b"data: ")
        events.append(payload)
    return events


def check_framing(writes: list[bytes]) -> None:
    for write in writes:
        assert write.endswith(b"\n\n"), "a write ends inside an event"
        assert b"\r" not in write
        assert b"\n\n\n" not in write
        assert b"\nid:" not in write
        assert b"[DONE]" not in write
        events_in(write)


class OrderMachine:
    """message_start, blocks one after the other, message_delta, message_stop; ping anywhere."""

    def __init__(self) -> None:
        self.state = "before"
        self.open: dict[str, Any] | None = None
        self.next_index = 0
        self.signed = False

    def take(self, event: dict[str, Any]) -> None:
        assert self.state != "over", f"{event['type']} after the end"
        if event["type"] == "ping":
            return
        if event["type"] == "error":
            self.state = "over"
            return
        getattr(self, f"on_{event['type']}")(event)

    def on_message_start(self, event: dict[str, Any]) -> None:
        assert self.state == "before"
        self.state = "content"
        message = event["message"]
        assert message["content"] == []
        assert message["stop_reason"] is None
        assert message["usage"]["output_tokens"] >= 0

    def on_content_block_start(self, event: dict[str, Any]) -> None:
        assert self.state == "content"
        assert self.open is None, "blocks overlap"
        assert event["index"] == self.next_index
        self.open, self.signed = event["content_block"], False
        assert self.open is not None
        assert self.open.get("input", {}) == {}

    def on_content_block_delta(self, event: dict[str, Any]) -> None:
        assert self.open is not None
        assert event["index"] == self.next_index
        assert event["delta"]["type"] in _PIECES[self.open["type"]]
        assert not self.signed, "the signature is the last delta of a thinking block"
        self.signed = event["delta"]["type"] == "signature_delta"

    def on_content_block_stop(self, event: dict[str, Any]) -> None:
        assert self.open is not None
        assert event["index"] == self.next_index
        assert self.signed == (self.open["type"] == "thinking")
        self.open = None
        self.next_index += 1

    def on_message_delta(self, event: dict[str, Any]) -> None:
        assert self.state == "content"
        assert self.open is None, "a block is left open"
        assert event["delta"]["stop_reason"] is not None
        self.state = "delta"

    def on_message_stop(self, event: dict[str, Any]) -> None:
        assert self.state == "delta"
        self.state = "over"


def check_stream(writes: list[bytes]) -> list[dict[str, Any]]:
    """A whole stream: framing, order, the official SDK's own models.  Gives its events."""
    check_framing(writes)
    events = events_in(b"".join(writes))
    machine = OrderMachine()
    for event in events:
        machine.take(event)
        if event["type"] not in ("ping", "error"):
            _EVENTS.validate_json(json.dumps(event), strict=True)
    assert machine.state == "over", "the stream has no end"
    return events


def streamed(*deltas: Delta, **fields: Any) -> list[dict[str, Any]]:
    """The events our writer makes of `deltas`."""
    writer = writer_for(parsed(stream=True, **fields), "req_7", 0, SIGNATURES)
    assert isinstance(writer, StreamWriter)
    return check_stream([write for delta in deltas if (write := writer.write(delta))])


def whole(*deltas: Delta, **fields: Any) -> dict[str, Any]:
    """The message our writer makes of `deltas`."""
    writer = writer_for(parsed(**fields), "req_7", 0, SIGNATURES)
    assert isinstance(writer, AnswerWriter)
    *before, body = [writer.write(delta) for delta in deltas]
    assert not any(before)
    Message.model_validate_json(body, strict=True)
    message = json.loads(body)
    assert isinstance(message, dict)
    return message


def assembled(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The content a client puts together from a stream."""
    content: list[dict[str, Any]] = []
    written: dict[int, str] = {}
    for event in events:
        if event["type"] == "content_block_start":
            content.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            delta, block = event["delta"], content[event["index"]]
            if delta["type"] == "input_json_delta":
                written[event["index"]] = written.get(event["index"], "") + delta["partial_json"]
            else:
                member = delta["type"].removesuffix("_delta")
                block[member] += delta[member]
    for index, said in written.items():
        content[index]["input"] = json.loads(said)
    return content
