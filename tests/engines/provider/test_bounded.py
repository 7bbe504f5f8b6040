"""A provider without end: whatever it sends, what is held of it is bounded."""

import tracemalloc

import pytest

from portico.dialects.openai_chat.failures import BrokenAnswer
from portico.engines.base import UpstreamFailed
from portico.engines.provider.outbound import OUTBOUND, ProviderKind
from tests.engines.transport.upstream import Peer

from .asking import foreign
from .conftest import Bench
from .providers import bare, begun, block, chunk, message_start, named
from .serving import EVENTS

HELD_MAX = 50_000_000
MIB = 1_048_576
TEXT = "x" * 60_000


def endless(kind: ProviderKind) -> tuple[bytes, bytes]:
    """What comes first, and a piece of text that may come as often as one likes."""
    if kind == "gemini":
        return b"", chunk({"text": TEXT})
    if kind == "anthropic":
        opened = block(0, {"type": "text", "text": ""}).split(b"event: content_block_stop")[0]
        delta = {"type": "text_delta", "text": TEXT}
        piece = named({"type": "content_block_delta", "index": 0, "delta": delta})
        return message_start() + opened, piece
    delta = {"type": "response.output_text.delta", "output_index": 0, "delta": TEXT}
    return begun().written, named(delta)


@pytest.mark.parametrize("through", [False, True])
def test_a_stream_of_text_is_never_gathered(kind: ProviderKind, through: bool) -> None:
    """A test of seconds is 100 MiB, held to a twentieth of what would be kept."""
    _passes(kind, 100 * MIB, 5_000_000, through=through)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("through", [False, True])
def test_a_stream_of_a_gigabyte(kind: ProviderKind, through: bool) -> None:
    _passes(kind, 1024 * MIB, HELD_MAX, through=through)


def _passes(kind: ProviderKind, size: int, held_max: int, *, through: bool) -> None:
    ahead, piece = endless(kind)
    reader = OUTBOUND[kind].stream(through, lambda call_id, signature: None)
    reader.feed(ahead)
    tracemalloc.start()
    try:
        for _ in range(size // len(piece)):
            delta = reader.feed(piece)
            assert delta is not None
            assert delta.raw or delta.events
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < held_max


@pytest.mark.parametrize("through", [False, True])
def test_events_that_say_nothing_are_not_gathered(kind: ProviderKind, through: bool) -> None:
    """Held back ahead of the answer, but not without bound."""
    piece = {
        "anthropic": named({"type": "made_up", "filler": "x" * 10_000}),
        "gemini": bare({"filler": "x" * 10_000}),
        "openai-responses": named({"type": "response.made_up", "filler": "x" * 10_000}),
    }[kind]
    reader = OUTBOUND[kind].stream(through, lambda call_id, signature: None)
    tracemalloc.start()
    try:
        for _ in range(3_000):
            reader.feed(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


def test_a_line_without_end_is_given_up_before_it_is_50_mb(kind: ProviderKind) -> None:
    reader = OUTBOUND[kind].stream(False, lambda call_id, signature: None)
    tracemalloc.start()
    try:
        with pytest.raises(BrokenAnswer):
            _feed_for_ever(reader)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < HELD_MAX


def _feed_for_ever(reader) -> None:
    piece = b"data: " + b"x" * 65_536
    while True:
        reader.feed(piece)


@pytest.mark.anyio
async def test_an_error_body_without_end_is_not_read_to_its_end(
    bench: Bench, kind: ProviderKind
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 500 Oh\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            await peer.send(b"x" * 65_536)

    engine = await bench.engine(kind, script)
    with pytest.raises(UpstreamFailed) as failed:
        await engine.generate(foreign(), _ignored)
    assert failed.value.refusal.code == "upstream_failed"


@pytest.mark.anyio
async def test_a_caller_who_leaves_stops_the_provider(bench: Bench, kind: ProviderKind) -> None:
    ahead, piece = endless(kind)

    async def script(peer: Peer) -> None:
        await peer.request()
        head = b"HTTP/1.1 200 OK\r\n" + EVENTS + b"Content-Length: 1000000000\r\n\r\n"
        await peer.send(head + ahead + piece)
        await peer.until_client_closes()

    class Gone(Exception):
        pass

    async def leave(_) -> None:
        raise Gone

    engine = await bench.engine(kind, script)
    with pytest.raises(Gone):
        await engine.generate(foreign(), leave)
    await bench.upstreams[0].until_ended(1)


async def _ignored(_) -> None:
    return
