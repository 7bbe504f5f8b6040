"""Our side leaves: the upstream knows at once, and nothing stays behind (conftest counts)."""

import asyncio

import pytest

from portico.engines.transport.base import TransportFailed

from .conftest import World
from .upstream import Peer, answering, chunked, sized

pytestmark = pytest.mark.anyio
RESPONSE = chunked([b"data: 1\n\n", b"data: [DONE]\n\n"], b"X-T: 1\r\n")


async def test_a_hang_up_at_every_byte_reaches_the_upstream(world: World) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(RESPONSE[: peer.number])
        sent[peer.number].set()
        await peer.until_client_closes()

    sent = [asyncio.Event() for _ in RESPONSE]
    upstream = await world.upstream(script)
    transport = world.transport()
    head_bytes = RESPONSE.index(b"\r\n\r\n") + 4
    for count in range(len(RESPONSE)):
        if count < head_bytes:
            calling = asyncio.create_task(transport.send(upstream.call()))
            await sent[count].wait()
            await asyncio.sleep(0)
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
        else:
            answer = await transport.send(upstream.call())
            await sent[count].wait()
            answer.close()
            answer.close()
        await upstream.until_ended(count + 1)


async def test_a_hang_up_before_a_single_byte_was_sent_to_us(world: World) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        asked.set()
        await peer.until_client_closes()

    asked = asyncio.Event()
    upstream = await world.upstream(script)
    calling = asyncio.create_task(world.transport().send(upstream.call()))
    await asked.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await upstream.until_ended(1)


async def test_close_wakes_a_reader_elsewhere(world: World) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await peer.until_client_closes()

    upstream = await world.upstream(script)
    answer = await world.transport().send(upstream.call())
    reading = asyncio.create_task(answer.next())
    await asyncio.sleep(0)
    answer.close()
    with pytest.raises(TransportFailed) as failed:
        await reading
    assert failed.value.stage == "closed"
    with pytest.raises(TransportFailed):
        await answer.next()
    await upstream.until_ended(1)


async def test_closing_a_complete_answer_leaves_its_connection_alone(world: World) -> None:
    upstream = await world.upstream(answering(sized(b"ok")))
    transport = world.transport()
    first = await transport.send(upstream.call())
    await first.read(10)
    first.close()
    second = await transport.send(upstream.call())
    first.close()
    assert await second.read(10) == b"ok"
    assert len(upstream.peers) == 1


async def test_cancelling_a_wait_for_body_and_closing_hangs_up(world: World) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        await peer.until_client_closes()

    upstream = await world.upstream(script)
    answer = await world.transport().send(upstream.call())
    reading = asyncio.create_task(answer.read(10))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    answer.close()
    await upstream.until_ended(1)


async def test_closing_the_transport_ends_what_is_open(world: World) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n" if peer.number == 0 else sized(b"ok"))
        await peer.until_client_closes()

    upstream = await world.upstream(script)
    transport = world.transport()
    streaming = await transport.send(upstream.call())
    complete = await transport.send(upstream.call())
    assert await complete.read(10) == b"ok"
    await transport.close()
    await transport.close()
    with pytest.raises(TransportFailed):
        await streaming.next()
    with pytest.raises(TransportFailed) as failed:
        await transport.send(upstream.call())
    assert failed.value.stage == "connect"
    await upstream.until_ended(2)
