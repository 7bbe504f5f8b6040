"""How many connections there may be, who waits, and for how long."""

import asyncio
from dataclasses import replace

import pytest

from portico.engines.transport.base import Deadlines, Limits, Transport, TransportFailed

from .conftest import NATIVE, World
from .upstream import Peer, Script, Upstream, answering, sized

pytestmark = pytest.mark.anyio
PATIENT = Deadlines(connect_s=10)


def _answering_when(ready: asyncio.Event) -> Script:
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await ready.wait()
            await peer.send(sized(b"ok"))

    return script


async def _body(transport: Transport, upstream: Upstream, deadlines: Deadlines = PATIENT) -> bytes:
    answer = await transport.send(upstream.call(deadlines=deadlines))
    return await answer.read(10)


@pytest.mark.parametrize("limit", [1, 3])
async def test_never_more_connections_than_allowed(world: World, limit: int) -> None:
    upstream = await world.upstream(answering(sized(b"ok")))
    transport = world.transport(Limits(connections=limit))
    assert await asyncio.gather(*(_body(transport, upstream) for _ in range(40))) == [b"ok"] * 40
    assert len(upstream.peers) <= limit


async def test_a_call_that_gets_no_place_in_time_fails_to_connect(world: World) -> None:
    ready = asyncio.Event()
    upstream = await world.upstream(_answering_when(ready))
    transport = world.transport(Limits(connections=1))
    first = asyncio.create_task(_body(transport, upstream))
    await upstream.until_asked(1)
    with pytest.raises(TransportFailed) as failed:
        await _body(transport, upstream, Deadlines(connect_s=0.05))
    assert (failed.value.stage, failed.value.answered) == ("connect", False)
    ready.set()
    assert await first == b"ok"
    assert await _body(transport, upstream) == b"ok"
    assert len(upstream.peers) == 1


async def test_the_queue_is_bounded(world: World) -> None:
    ready = asyncio.Event()
    upstream = await world.upstream(_answering_when(ready))
    transport = world.transport(Limits(connections=1, waiting=2))
    allowed = [asyncio.create_task(_body(transport, upstream)) for _ in range(3)]
    await upstream.until_asked(1)
    with pytest.raises(TransportFailed) as failed:
        await _body(transport, upstream)
    assert failed.value.stage == "connect"
    ready.set()
    assert await asyncio.gather(*allowed) == [b"ok"] * 3


async def test_those_who_left_the_queue_take_no_place_in_it(world: World) -> None:
    ready = asyncio.Event()
    upstream = await world.upstream(_answering_when(ready))
    transport = world.transport(Limits(connections=1, waiting=2))
    first = asyncio.create_task(_body(transport, upstream))
    await upstream.until_asked(1)
    hasty = replace(PATIENT, connect_s=0.02)
    for _ in range(4):
        with pytest.raises(TransportFailed, match=r"in time|nothing happened"):
            await _body(transport, upstream, hasty)
    waiting = [asyncio.create_task(_body(transport, upstream)) for _ in range(2)]
    await asyncio.sleep(0)
    ready.set()
    assert await asyncio.gather(first, *waiting) == [b"ok"] * 3


async def test_first_come_first_served(world: World) -> None:
    ready = asyncio.Event()
    upstream = await world.upstream(_answering_when(ready))
    transport = world.transport(Limits(connections=1))

    async def numbered(number: int) -> None:
        call = upstream.call(target=f"/{number}", deadlines=PATIENT)
        await (await transport.send(call)).read(10)

    calls = []
    for number in range(6):
        calls.append(asyncio.create_task(numbered(number)))
        await asyncio.sleep(0)
    ready.set()
    await asyncio.gather(*calls)
    seen = [request.line.split()[1] for request in upstream.requests]
    assert seen == [b"/%d" % number for number in range(6)]


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancelled_wait_loses_no_place(world: World, turns: int) -> None:
    """Cancelled before, while and after it is handed the connection."""
    ready = asyncio.Event()
    upstream = await world.upstream(_answering_when(ready))
    transport = world.transport(Limits(connections=1))
    first = asyncio.create_task(_body(transport, upstream))
    await upstream.until_asked(1)
    waiting = asyncio.create_task(_body(transport, upstream))
    await asyncio.sleep(0)
    ready.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert await first == b"ok"
    assert await _body(transport, upstream) == b"ok"


async def test_an_upstream_that_refuses_gives_the_place_back(world: World) -> None:
    upstream = await world.upstream(answering(sized(b"ok")))
    transport = world.transport(Limits(connections=1, connecting=1))
    await upstream.close()
    for _ in range(3):
        with pytest.raises(TransportFailed) as failed:
            await _body(transport, upstream)
        assert failed.value.stage == "connect"


@pytest.mark.parametrize("kind", NATIVE, indirect=True)
async def test_a_cold_burst_is_not_a_thundering_herd(world: World) -> None:
    """Each handshake waits for the one before when only one may be under way: connections that
    come free meanwhile serve the rest of the burst."""
    upstream = await world.upstream(answering(sized(b"ok")))
    transport = world.transport(Limits(connecting=2))
    bodies = await asyncio.gather(*(_body(transport, upstream) for _ in range(200)))
    assert bodies == [b"ok"] * 200
    assert len(upstream.peers) < 100


@pytest.mark.parametrize("kind", NATIVE, indirect=True)
async def test_a_replacement_waits_its_turn_for_a_fresh_connection(world: World) -> None:
    """A stale connection's call must not be handed another used one, which may be stale too."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(sized(b"ok"))
        await peer.request()  # and dies over it

    upstream = await world.upstream(script)
    transport = world.transport(Limits(connections=1))
    await _body(transport, upstream)
    again = await asyncio.gather(*(_body(transport, upstream) for _ in range(2)))
    assert again == [b"ok"] * 2
    assert [len(peer.requests) for peer in upstream.peers] == [2, 1, 1]


async def test_each_origin_has_its_own_places(world: World) -> None:
    ready = asyncio.Event()
    one = await world.upstream(_answering_when(ready))
    two = await world.upstream(answering(sized(b"ok")))
    transport = world.transport(Limits(connections=1))
    held = asyncio.create_task(_body(transport, one))
    await one.until_asked(1)
    assert await _body(transport, two) == b"ok"
    ready.set()
    assert await held == b"ok"
