"""What the benchmark talks about.  Times are microseconds, memory is KB or MB, rates are per second."""

import base64
import json
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

ANSWER = "bench-answer-0ms"
PACED = "bench-stream-100x50ms"
FAST = "bench-stream-100x0ms"
SILENT = "bench-stream-2x15000ms"
MODELS = (ANSWER, PACED, FAST, SILENT)
CHUNKS_PER_STREAM = 100


class BenchError(Exception):
    """The benchmark cannot go on; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of load.  `unit` is what CPU time is divided by: request, chunk or stream (idle)."""

    name: str
    model: str
    unit: str
    connections: int
    warm_s: float
    window_s: float
    rate_per_s: int = 0
    megabyte: bool = False

    @property
    def counts_chunks(self) -> bool:
        return self.unit == "chunk"

    def scaled(self, load_share: float, idle_share: float) -> "Scenario":
        """Fewer streams, or a lower rate.  Closed loops adapt by themselves."""
        if self.name == "idle":
            return replace(self, connections=max(round(self.connections * idle_share), 1))
        if self.name == "stream":
            return replace(self, connections=max(round(self.connections * load_share), 1))
        return replace(self, rate_per_s=math.ceil(self.rate_per_s * load_share))

    @property
    def body(self) -> bytes:
        return image_body(self.model) if self.megabyte else chat_body(self.model)


@dataclass(frozen=True, slots=True)
class Contender:
    """A server to measure.

    `url` is its base, ending in /v1; empty when the server says it in a JSON line on its standard
    output once it is ready (base_url, api_key, pid).
    `judged` servers are held against the limits.  Children whose command line holds `not_counted`
    are no part of the relay.  It starts in `folder`, or where the bench was started.
    A slow peer gets `load_share` of the streams and of the fixed rate, and `idle_share` of the idle
    streams: all of them would measure its queue instead of its cost.
    `then` runs once it is ready, to make it what is to be measured.
    """

    name: str
    command: tuple[str, ...] = ()
    url: str = ""
    key: str = "sk-bench"
    headers: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    judged: bool = False
    not_counted: str = ""
    load_share: float = 1.0
    idle_share: float = 1.0
    start_s: float = 30.0
    then: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Server:
    """A contender that answers."""

    name: str
    port: int
    path: str
    key: str
    headers: tuple[str, ...]
    pid: int | None
    judged: bool
    not_counted: str
    load_share: float
    idle_share: float


@dataclass(frozen=True, slots=True)
class Turn:
    """What one server did in one window of one round.

    `work` counts whole requests or chunks inside the window.  p50/p99 are the latency of a request,
    or the relay delay of a chunk.  `others_share` is how busy the server's core was with anything
    that is not the server: above about 0.1 the delays of this turn are somebody else's.
    """

    scenario: str
    server: str
    round: int
    work: int
    window_us: int
    cpu_us: int | None
    others_share: float
    p50_us: int
    p99_us: int
    errors: int
    note: str
    base_kb: int | None = None
    open_kb: int | None = None
    streams: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """The medians of one server in one scenario; the figures' names carry their units."""

    scenario: str
    server: str
    figures: Mapping[str, float | None]


def chat_body(model: str) -> bytes:
    """About 900 bytes, 6 messages, as a small agent sends them."""
    turns: list[dict[str, str]] = [
        {"role": "system", "content": "You help the staff of a small library. Be brief. " * 3}
    ]
    for i in range(5):
        role = "assistant" if i % 2 else "user"
        turns.append({"role": role, "content": f"Shelf {i} holds atlases and old maps. " * 2})
    body: dict[str, object] = {"model": model, "messages": turns, "temperature": 0.2}
    body |= {"max_tokens": 300, "user": "reader-0042"}
    if "stream" in model:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(body).encode()


def picture() -> bytes:
    """A real PNG of 512 x 512 pixels, stored and not compressed: about 790 KB."""
    rows = b"".join(b"\0" + bytes((x * y) % 256 for x in range(512)) * 3 for y in range(512))
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", 512, 512, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 0)),
        (b"IEND", b""),
    )
    file = b"\x89PNG\r\n\x1a\n"
    for kind, data in parts:
        file += (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )
    return file


def image_body(model: str) -> bytes:
    """About 1 MB: one picture as a data URL."""
    url = "data:image/png;base64," + base64.b64encode(picture()).decode()
    parts: list[dict[str, object]] = [
        {"type": "text", "text": "What does the picture show?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    turn = {"role": "user", "content": parts}
    return json.dumps({"model": model, "messages": [turn], "max_tokens": 60}).encode()


def scenarios(
    *, quick: bool, window_s: float, streams: int, idle: int, rate_per_s: int = 200
) -> dict[str, Scenario]:
    """Every scenario by name, in the order they run: idle first, on memory nobody has used yet."""
    warm_s = 0.2 if quick else 0.5
    every = (
        Scenario("idle", SILENT, "stream", idle, warm_s + idle / 500, 1.0 if quick else 3.0),
        Scenario("json", ANSWER, "request", 32, warm_s, window_s),
        Scenario("rate", ANSWER, "request", 32, warm_s, window_s, rate_per_s=rate_per_s),
        Scenario("stream", PACED, "chunk", streams, warm_s + streams / 500, window_s),
        Scenario("burst", FAST, "chunk", 64, warm_s, window_s),
        Scenario("big", ANSWER, "request", 4, warm_s, window_s, megabyte=True),
    )
    return {scenario.name: scenario for scenario in every}
