"""Each part of an exchange has its own deadline; which one passed is said."""

import asyncio
import time
from dataclasses import replace
from itertools import pairwise

import pytest

from portico.engines.transport import tls
from portico.engines.transport.base import Deadlines, Stage, Transport, TransportFailed

from .conftest import NATIVE, World
from .upstream import Peer, Upstream, certified, sized

pytestmark = pytest.mark.anyio
LONG = Deadlines(connect_s=20, first_byte_s=20, idle_s=20, total_s=20, write_s=20)
BIG = b"x" * 24_000_000  # more than the kernel keeps for a reader who does not read


async def _silent(peer: Peer) -> None:
    await peer.until_client_closes()


async def _deaf(peer: Peer) -> None:
    await asyncio.Event().wait()


async def _stage_reached(
    transport: Transport, upstream: Upstream, deadlines: Deadlines, body: bytes = b"{}"
) -> tuple[Stage, bool]:
    async def exchange() -> None:
        answer = await transport.send(upstream.call(body=body, deadlines=deadlines))
        while await answer.next():
            pass

    with pytest.raises(TransportFailed) as failed:
        await exchange()
    return failed.value.stage, failed.value.answered


async def test_connect_includes_the_tls_handshake(world: World) -> None:
    upstream = await world.upstream(_silent)
    upstream.origin = upstream.origin._replace(scheme="https")
    transport = world.transport(tls=tls.trusting_anyone())
    deadlines = replace(LONG, connect_s=0.1)
    assert await _stage_reached(transport, upstream, deadlines) == ("connect", False)
    await upstream.until_ended(1)


async def test_nobody_listens(world: World) -> None:
    upstream = await world.upstream(_silent)
    await upstream.close()
    assert await _stage_reached(world.transport(), upstream, LONG) == ("connect", False)


async def test_first_byte(world: World) -> None:
    upstream = await world.upstream(_silent)
    deadlines = replace(LONG, first_byte_s=0.1)
    assert await _stage_reached(world.transport(), upstream, deadlines) == ("first_byte", False)
    await upstream.until_ended(1)


async def test_an_interim_response_is_not_the_first_byte(world: World) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        await asyncio.sleep(0.3)
        await peer.send(sized(b"ok"))
        await peer.until_client_closes()

    upstream = await world.upstream(script)
    patient = replace(LONG, idle_s=0.1)
    answer = await world.transport().send(upstream.call(deadlines=patient))
    assert await answer.read(10) == b"ok"


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nabc"]
)
async def test_idle(world: World, start: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(start)
        await peer.until_client_closes()

    upstream = await world.upstream(script)
    deadlines = replace(LONG, idle_s=0.1)
    assert await _stage_reached(world.transport(), upstream, deadlines) == ("idle", True)
    await upstream.until_ended(1)


async def test_silence_shorter_than_idle_is_forgiven_for_ever(world: World) -> None:
    idle_s = 0.3
    sent_s: list[float] = []

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
        sent_s[:] = [time.monotonic()]
        for _ in range(20):
            await asyncio.sleep(0.02)
            await peer.send(b"x")
            sent_s.append(time.monotonic())
        await peer.until_client_closes()

    upstream = await world.upstream(script)
    transport = world.transport()
    while True:
        try:
            answer = await transport.send(upstream.call(deadlines=replace(LONG, idle_s=idle_s)))
            assert await answer.read(20) == b"x" * 20
            return
        except TransportFailed:
            longest_s = max(b - a for a, b in pairwise([*sent_s, time.monotonic()]))
            if longest_s < idle_s / 2:
                raise
        # A busy machine did not let this process run: it was longer than said.  Once more.


async def test_total(world: World) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await peer.send(b"x")
            await asyncio.sleep(0.01)

    upstream = await world.upstream(script)
    deadlines = replace(LONG, total_s=0.5)
    assert await _stage_reached(world.transport(), upstream, deadlines) == ("total", True)
    await upstream.until_ended(1)


async def test_total_covers_the_wait_for_the_first_byte(world: World) -> None:
    upstream = await world.upstream(_silent)
    deadlines = replace(LONG, total_s=0.1)
    assert await _stage_reached(world.transport(), upstream, deadlines) == ("total", False)


async def test_edge_29_a_body_that_is_not_taken_has_a_deadline_of_its_own(world: World) -> None:
    upstream = await world.upstream(_deaf)
    deadlines = replace(LONG, write_s=0.1)
    assert await _stage_reached(world.transport(), upstream, deadlines, BIG) == ("write", False)


async def test_write_over_tls(world: World) -> None:
    upstream = await world.upstream(_deaf, tls=certified(world.ca, "127.0.0.1"))
    transport = world.transport(tls=tls.trusting_anyone())
    deadlines = replace(LONG, write_s=0.1)
    assert await _stage_reached(transport, upstream, deadlines, BIG) == ("write", False)


async def test_a_slow_reader_of_our_body_is_forgiven(world: World) -> None:
    async def script(peer: Peer) -> None:
        taken = 0
        while taken < len(BIG):
            taken += len(await peer.reader.read(2_000_000))
            await asyncio.sleep(0.005)
        await peer.send(sized(b"ok"))
        await peer.until_client_closes()

    upstream = await world.upstream(script)
    deadlines = replace(LONG, write_s=0.4, first_byte_s=10)
    answer = await world.transport().send(upstream.call(body=BIG, deadlines=deadlines))
    assert await answer.read(10) == b"ok"


async def test_an_early_answer_to_a_body_not_yet_sent_is_heard(world: World) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(sized(b"too much", status=b"413 Content Too Large"))
        await _deaf(peer)

    upstream = await world.upstream(script)
    transport = world.transport()
    answer = await transport.send(upstream.call(body=BIG, deadlines=LONG))
    assert (answer.status, await answer.read(100)) == (413, b"too much")
    answer.close()
    answer = await transport.send(upstream.call(body=BIG, deadlines=LONG))
    assert answer.status == 413
    assert len(upstream.peers) == 2


@pytest.mark.parametrize("kind", NATIVE, indirect=True)
async def test_bytes_before_the_silence_are_delivered(world: World) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        await peer.until_client_closes()

    upstream = await world.upstream(script)
    answer = await world.transport().send(upstream.call(deadlines=replace(LONG, idle_s=0.1)))
    await upstream.until_ended(1)
    assert await answer.next() == b"abc"
    with pytest.raises(TransportFailed) as failed:
        await answer.next()
    assert failed.value.stage == "idle"


async def test_deadlines_of_one_call_do_not_follow_its_connection(world: World) -> None:
    passed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(sized(b"first"))
        await peer.request()
        await passed.wait()
        await peer.send(sized(b"second"))
        await peer.until_client_closes()

    upstream = await world.upstream(script)
    transport = world.transport()
    allowed_s = await _answered_in_time(transport, upstream)
    peers = len(upstream.peers)
    second = asyncio.create_task(transport.send(upstream.call(deadlines=LONG)))
    await asyncio.sleep(2 * allowed_s)  # whatever the first call left behind is due before this
    passed.set()
    assert await (await second).read(10) == b"second"
    assert len(upstream.peers) == peers


async def _answered_in_time(transport: Transport, upstream: Upstream) -> float:
    """One call with deadlines it can just keep: how long they are depends on the machine."""
    allowed_s = 0.1
    while True:
        short = Deadlines(connect_s=20, first_byte_s=allowed_s, idle_s=allowed_s, total_s=allowed_s)
        try:
            answer = await transport.send(upstream.call(deadlines=short))
            assert await answer.read(10) == b"first"
        except TransportFailed:
            allowed_s *= 2
        else:
            return allowed_s
