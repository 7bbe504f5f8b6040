"""Streams as engines send them, and what every stream we give must look like."""

import json
from collections.abc import Iterable
from typing import Any, Protocol

from openai.types.chat import ChatCompletionChunk

from portico.canon.delta import Delta
from portico.canon.usage import Usage
from portico.dialects.openai_chat.failures import BrokenAnswer
from portico.dialects.openai_chat.repair import judge

DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def event(payload: Any) -> bytes:
    return b"data: " + json.dumps(payload, separators=(",", ":")).encode() + b"\n\n"


def chunk(*choices: dict[str, Any], **fields: Any) -> bytes:
    start = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "e"}
    return event({**start, "choices": list(choices), **fields})


def choice(delta: Any = None, finish: str | None = None, index: int = 0, **fields: Any) -> Any:
    return {"index": index, "delta": delta or {}, **fields, "finish_reason": finish}


def role(index: int = 0) -> bytes:
    return chunk(choice({"role": "assistant", "content": ""}, index=index))


def text(words: str, index: int = 0, **fields: Any) -> bytes:
    return chunk(choice({"content": words}, index=index), **fields)


def ends(reason: str = "stop", index: int = 0) -> bytes:
    return chunk(choice({}, reason, index))


def usage(**fields: Any) -> bytes:
    return chunk(usage={**USAGE, **fields})


CLEAN = [role(), text("Hel"), text("lo"), text(" é🙂"), ends(), usage(), DONE]


class Reader(Protocol):
    def feed(self, data: bytes) -> Delta | None: ...
    def finish(self) -> Delta | None: ...


class Told:
    """Everything a reader gave, as metering and the client see it."""

    def __init__(self, reader: Reader, reads: Iterable[bytes]) -> None:
        self.raw = b""
        self.writes: list[bytes] = []
        self.usage = Usage()
        self.finish = ""
        self.ended = False
        self.broken: BrokenAnswer | None = None
        try:
            for data in reads:
                self._take(reader.feed(data))
            self._take(reader.finish())
        except BrokenAnswer as broken:
            self._take(broken.delta)
            self.broken = broken

    def _take(self, delta: Delta | None) -> None:
        if delta is None:
            return
        assert not self.ended, "something came after the last delta"
        if delta.meters is not None:
            self.usage.told, self.usage.counted_output = delta.meters, 0
        self.usage.started = True
        self.usage.counted_output += delta.output_tokens
        self.writes += [delta.raw] if delta.raw else []
        self.raw += delta.raw
        self.finish = delta.finish
        self.ended = delta.last

    @property
    def output_tokens(self) -> int:
        return self.usage.meters().output_tokens

    @property
    def chunks(self) -> list[dict[str, Any]]:
        return chunks_in(self.raw)


def chunks_in(stream: bytes) -> list[dict[str, Any]]:
    lines = stream.split(b"\n\n")[:-1]
    return [json.loads(line[6:]) for line in lines if line != b"data: [DONE]"]


def said(stream: bytes, index: int = 0) -> str:
    """The text of one choice."""
    choices = [c for chunk in chunks_in(stream) for c in chunk["choices"] if c["index"] == index]
    return "".join(c["delta"].get("content") or "" for c in choices)


def check_framing(writes: list[bytes]) -> None:
    """02 section 11.2, byte by byte, over every write of a stream."""
    for write in writes:
        assert write.endswith(b"\n\n"), "a write ends inside an event"
        assert b"\r" not in write
        assert b"\n\n\n" not in write
        for line in write.removesuffix(b"\n\n").split(b"\n\n"):
            assert line.startswith(b"data: "), line
            assert line[6:].strip(), "an empty data line"
            assert b"\n" not in line, "more than one line in an event"


def check_stream(writes: list[bytes]) -> None:
    """A whole stream as clients expect it: framing, order, and the official SDK's own models."""
    check_framing(writes)
    stream = b"".join(writes)
    assert judge(stream) == []
    assert stream.endswith(DONE)
    assert stream.count(b"data: [DONE]") == 1
    for payload in chunks_in(stream):
        ChatCompletionChunk.model_validate_json(json.dumps(payload), strict=True)
