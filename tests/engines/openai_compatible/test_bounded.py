"""A server that speaks Chat or Completions and never ends: what is held of it is bounded."""

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from portico.dialects.openai_chat.failures import BrokenAnswer
from portico.dialects.openai_chat.reading.reader import StreamReader
from portico.dialects.openai_chat.repair import RepairReader
from portico.dialects.openai_completions.upstream import CompletionsReader
from portico.engines.openai_compatible.collecting import Collecting, FromCompletions

from .test_hostile import chunk

HELD_MAX = 50_000_000
MIB = 1_048_576
LONG = "x" * 60_000
COMPLETION = {"index": 0, "text": LONG, "finish_reason": None}
PIECES = {
    "chat": chunk({"content": LONG}),
    "completions": b"data: " + json.dumps({"choices": [COMPLETION]}).encode() + b"\n\n",
}
READERS: dict[str, tuple[Callable[[], Any], bytes]] = {
    "as it is": (lambda: StreamReader(wants_usage=False), PIECES["chat"]),
    "put right": (lambda: RepairReader(wants_usage=False), PIECES["chat"]),
    "in events": (lambda: Collecting(choices=1, timings=False), PIECES["chat"]),
    "completions": (
        lambda: CompletionsReader(wants_usage=False, choices=1),
        PIECES["completions"],
    ),
    "completions in events": (lambda: FromCompletions(choices=1), PIECES["completions"]),
}
KINDS = pytest.mark.parametrize("kind", list(READERS))


def held(reader: Any, piece: bytes, size: int) -> int:
    """The most bytes, while it is read."""
    tracemalloc.start()
    try:
        for _ in range(size // len(piece)):
            delta = reader.feed(piece)
            assert delta is not None
            assert delta.raw or delta.events
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak


@KINDS
def test_a_stream_of_text_is_never_gathered(kind: str) -> None:
    """A test of seconds is 100 MiB, held to a tenth of what would be kept."""
    made, piece = READERS[kind]
    assert held(made(), piece, 100 * MIB) < 10_000_000


@pytest.mark.long
@pytest.mark.timeout(600)
@KINDS
def test_a_stream_of_a_gigabyte(kind: str) -> None:
    made, piece = READERS[kind]
    assert held(made(), piece, 1024 * MIB) < HELD_MAX


@KINDS
def test_a_line_without_end_is_given_up_before_it_is_50_mb(kind: str) -> None:
    reader = READERS[kind][0]()
    tracemalloc.start()
    try:
        with pytest.raises(BrokenAnswer):
            feed(reader, b"data: " + b"x" * 65_536)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < HELD_MAX


def feed(reader: Any, piece: bytes) -> None:
    """Again and again, up to 50 MB: nothing comes of it, and no arguments."""
    for _ in range(HELD_MAX // len(piece)):
        delta = reader.feed(piece)
        assert delta is None or not delta.events


def test_free_text_that_does_not_end_is_given_up() -> None:
    """It can be read only once it is whole, and so is kept."""
    reader = Collecting(choices=1, timings=False, custom=frozenset({"patch"}))
    function = {"name": "patch", "arguments": ""}
    begins = {"index": 0, "id": "a", "type": "function", "function": function}
    reader.feed(chunk({"tool_calls": [begins]}))
    piece = chunk({"tool_calls": [{"index": 0, "function": {"arguments": LONG}}]})
    with pytest.raises(BrokenAnswer) as broken:
        feed(reader, piece)
    assert broken.value.refusal.code == "upstream_failed"


@KINDS
def test_a_stream_split_at_every_byte_boundary_gives_the_same(kind: str) -> None:
    made, _ = READERS[kind]
    text = {"content": "é🙂 Hi"} if "completions" not in kind else None
    words = {"index": 0, "text": "é🙂 Hi", "finish_reason": None}
    ends = {"index": 0, "text": "", "finish_reason": "stop"}
    pieces = (
        [chunk(text), chunk(finish="stop")]
        if text
        else [
            b"data: " + json.dumps({"choices": [each]}).encode() + b"\n\n" for each in (words, ends)
        ]
    )
    stream = b"".join([*pieces, b"data: [DONE]\n\n"])
    whole = said(made(), [stream])
    assert whole[-1] is True
    for at in range(1, len(stream)):
        assert said(made(), [stream[:at], stream[at:]]) == whole


def said(reader: Any, reads: list[bytes]) -> tuple[bytes, tuple[Any, ...], int, bool]:
    """All bytes, all events, tokens, and whether it has ended."""
    deltas = [delta for read in reads if (delta := reader.feed(read)) is not None]
    return (
        b"".join(delta.raw for delta in deltas),
        tuple(event for delta in deltas for event in delta.events),
        sum(delta.output_tokens for delta in deltas),
        deltas[-1].last,
    )
