"""Answers that are kept until they are whole: an engine that never ends one is given up in time."""

import json
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from portico.app.spoken.dialects import spoken
from portico.canon.delta import (
    Delta,
    Event,
    Finished,
    Reasoning,
    Sealed,
    Text,
    ToolArguments,
    ToolCallBegan,
)
from portico.dialects.writing import KEPT_CHARACTERS_MAX
from portico.door.dialect import Writer
from portico.errors import Refusal
from portico.kit.clock import SystemClock
from portico.kit.sealing import Seal

HELD_MAX = 50_000_000
LONGEST_TOKENS = 128_000
"""The most that models of today are let to write in one answer."""
LIKELY_TOKENS = 20
LIKELY = ({"token": "x", "logprob": -0.5, "bytes": [120], "top_logprobs": []},) * LIKELY_TOKENS
HALF = (Text("and so on"), ToolArguments(0, '{"a":"}'))
WAYS = {
    "chat, whole": ("/v1/chat/completions", "", False),
    "completions, whole": ("/v1/completions", "", False),
    "responses": ("/v1/responses", "", True),
    "responses, whole": ("/v1/responses", "", False),
    "messages": ("/v1/messages", "", True),
    "messages, whole": ("/v1/messages", "", False),
    "gemini": ("/v1beta/models/{id}:streamGenerateContent", "alt=sse", True),
    "gemini, whole": ("/v1beta/models/{id}:generateContent", "", False),
}
PIECES: dict[str, Callable[[int], Event]] = {
    "long pieces": lambda _: Text("x" * 60_000),
    "short pieces": lambda at: Text(f"{at % 100:02}"),
    "thoughts": lambda _: Reasoning("x" * 60_000),
    "arguments": lambda at: ToolArguments(0, "x" * 60_000) if at else ToolCallBegan(0, "c", "f"),
    "lines": lambda _: Text("x" * 400),
    "calls": lambda at: ToolCallBegan(at, f"call_{at}", "look"),
    "half a call between words": lambda at: HALF[at % 2] if at else ToolCallBegan(0, "c", "f"),
    "blobs": lambda _: Sealed("x" * 60_000, "openai"),
}


def writer_of(way: str) -> Writer:
    path, query, stream = WAYS[way]
    dialect = spoken(Seal([bytes(32)]), SystemClock()).generating[path]
    body = json.dumps({**dialect.specimen, "stream": stream}).encode()
    prompt = dialect.parse(body, {":rest": "m", ":query": query})
    return dialect.writer(prompt, "req_1", 1)


def endless(piece: Callable[[int], Event]) -> Iterator[Delta]:
    """A gigabyte at most, or a million pieces."""
    written = 0
    for at in range(1_000_000):
        made = piece(at)
        written += len(getattr(made, "text", "") or getattr(made, "json", ""))
        if written > 1_000_000_000:
            return
        yield Delta(events=(made,), output_tokens=1)


def until_given_up(writer: Writer, piece: Callable[[int], Event]) -> tuple[Any, int]:
    """Why, and how many bytes were held at most."""
    why: Any = None
    tracemalloc.start()
    try:
        for delta in endless(piece):
            try:
                writer.write(delta)
            except Refusal as refusal:
                why = refusal
                break
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return why, peak


SECONDS = {"short pieces", "half a call between words"}
"""Those of which so many come that each takes a second and more."""


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[pytest.mark.long] if kind in SECONDS else []) for kind in PIECES],
)
@pytest.mark.parametrize("way", list(WAYS))
def test_an_answer_without_end_is_given_up(way: str, kind: str) -> None:
    why, peak = until_given_up(writer_of(way), PIECES[kind])
    assert why is not None
    assert why.code == "upstream_failed"
    assert peak < HELD_MAX


@pytest.mark.parametrize("way", list(WAYS))
def test_the_longest_answers_there_are_have_room(way: str) -> None:
    writer = writer_of(way)
    for _ in range(LONGEST_TOKENS):
        writer.write(Delta(events=(Text(" long"),), output_tokens=1))
    written = writer.write(Delta(events=(Finished("stop"),), last=True))
    assert written


@pytest.mark.parametrize("way", ["responses", "chat, whole", "gemini"])
def test_likely_tokens_take_room(way: str) -> None:
    why, peak = until_given_up(writer_of(way), lambda _: Text("x" * LIKELY_TOKENS, 0, LIKELY))
    assert why is not None
    assert peak < 2 * HELD_MAX, "whoever asks for them may have them of a long answer"


def test_what_is_given_at_last_is_not_much_more_than_what_was_kept() -> None:
    writer = writer_of("responses")
    pieces, rest = divmod(KEPT_CHARACTERS_MAX - 1_000_000, 60_000)
    tracemalloc.start()
    try:
        for _ in range(pieces):
            writer.write(Delta(events=(Text("x" * 60_000),)))
        assert writer.write(Delta(events=(Text("x" * rest), Finished("stop")), last=True))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < HELD_MAX
