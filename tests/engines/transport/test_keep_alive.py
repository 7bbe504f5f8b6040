"""When a connection serves again, and what happens when it no longer can."""

import asyncio
import contextlib

import pytest

from portico.engines.transport.base import Limits, Transport, TransportFailed

from .conftest import NATIVE, World
from .upstream import Peer, Script, Upstream, answering, chunked, sized

pytestmark = pytest.mark.anyio
OK = sized(b"ok")


async def _exchange(transport: Transport, upstream: Upstream, method: str = "POST") -> bytes:
    answer = await transport.send(upstream.call(method))
    try:
        return await answer.read(1_000)
    finally:
        answer.close()


async def test_one_connection_serves_call_after_call(world: World) -> None:
    upstream = await world.upstream(answering(OK))
    transport = world.transport()
    for _ in range(20):
        assert await _exchange(transport, upstream) == b"ok"
    assert len(upstream.peers) == 1


@pytest.mark.parametrize("kind", NATIVE, indirect=True)
async def test_the_warmest_connection_goes_out_first(world: World) -> None:
    upstream = await world.upstream(answering(OK))
    transport = world.transport()
    await asyncio.gather(*(_exchange(transport, upstream) for _ in range(3)))
    before = [len(peer.requests) for peer in upstream.peers]
    for _ in range(5):
        await _exchange(transport, upstream)
    after = [len(peer.requests) for peer in upstream.peers]
    grown = [late - early for early, late in zip(before, after, strict=False)]
    assert sorted(grown)[-1] == 5


async def test_a_call_may_ask_for_a_connection_of_its_own(world: World) -> None:
    upstream = await world.upstream(answering(OK))
    transport = world.transport()
    for _ in range(3):
        answer = await transport.send(upstream.call(reuse=False))
        assert await answer.read(10) == b"ok"
    assert [len(peer.requests) for peer in upstream.peers] == [1, 1, 1]
    await upstream.until_ended(3)


async def test_close_in_the_response_is_obeyed(world: World) -> None:
    upstream = await world.upstream(answering(sized(b"ok", fields=b"Connection: close\r\n")))
    transport = world.transport()
    for _ in range(2):
        assert await _exchange(transport, upstream) == b"ok"
    await upstream.until_ended(2)
    assert len(upstream.peers) == 2


def _dies_on_its_second_request(last_words: bytes, *, for_ever: bool = False) -> Script:
    """The first connection answers once, then dies over the next request; later ones answer
    (or die at once, `for_ever`)."""

    async def script(peer: Peer) -> None:
        if peer.number == 0:
            await peer.request()
            await peer.send(OK)
        while peer.number and not for_ever:
            await peer.request()
            await peer.send(OK)
        await peer.request()
        await peer.send(last_words)

    return script


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_stale_connection_is_replaced_once(world: World, method: str) -> None:
    upstream = await world.upstream(_dies_on_its_second_request(b""))
    transport = world.transport()
    for _ in range(3):
        assert await _exchange(transport, upstream, method) == b"ok"
    assert len(upstream.peers[0].requests) == 2
    assert len(upstream.requests) == 4
    assert len({(request.line, request.body) for request in upstream.requests}) == 1


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_the_replacement_is_not_replaced(world: World, method: str) -> None:
    upstream = await world.upstream(_dies_on_its_second_request(b"", for_ever=True))
    transport = world.transport()
    await _exchange(transport, upstream, method)
    with pytest.raises(TransportFailed) as failed:
        await transport.send(upstream.call(method))
    assert (failed.value.stage, failed.value.answered) == ("lost", False)
    assert len(upstream.requests) == 3


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_fresh_connection_that_dies_is_not_retried(world: World, method: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()

    upstream = await world.upstream(script)
    with pytest.raises(TransportFailed) as failed:
        await world.transport().send(upstream.call(method))
    assert (failed.value.stage, failed.value.answered) == ("lost", False)
    assert len(upstream.requests) == 1


async def _no_retry_after(world: World, last_words: bytes) -> None:
    upstream = await world.upstream(_dies_on_its_second_request(last_words))
    transport = world.transport()
    await _exchange(transport, upstream)
    with pytest.raises(TransportFailed) as failed:
        await transport.send(upstream.call())
    assert (failed.value.stage, failed.value.answered) == ("lost", True)
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("last_words", [b"H", b"HTTP/1.1 200 OK\r\n"])
async def test_one_response_byte_forbids_the_retry(world: World, last_words: bytes) -> None:
    await _no_retry_after(world, last_words)


@pytest.mark.parametrize("kind", NATIVE, indirect=True)
async def test_an_interim_response_forbids_the_retry(world: World) -> None:
    await _no_retry_after(world, b"HTTP/1.1 100 Continue\r\n\r\n")


async def test_a_connection_closed_while_idle_is_not_even_tried(world: World) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)

    upstream = await world.upstream(script)
    transport = world.transport()
    for count in (1, 2, 3):
        assert await _exchange(transport, upstream) == b"ok"
        await upstream.until_ended(count)
        await asyncio.sleep(0.01)  # lets the end of the stream reach the client's loop
    assert [len(peer.requests) for peer in upstream.peers] == [1, 1, 1]


async def test_an_idle_connection_is_closed_when_it_grows_old(world: World) -> None:
    upstream = await world.upstream(answering(OK))
    transport = world.transport(Limits(idle_age_s=0.05))
    await _exchange(transport, upstream)
    await upstream.until_ended(1)


@pytest.mark.parametrize("kind", NATIVE, indirect=True)
async def test_no_more_idle_connections_than_allowed(world: World) -> None:
    upstream = await world.upstream(answering(OK))
    transport = world.transport(Limits(idle=2))
    await asyncio.gather(*(_exchange(transport, upstream) for _ in range(6)))
    await upstream.until_ended(len(upstream.peers) - 2)


EXTRA = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    b"HTTP/1.1 200 OK\r\nX-Half: ",
    b"evil",
]


async def _answers_too_much(world: World, extra: bytes) -> Upstream:
    upstream = await world.upstream(answering(chunked([b"good"]) + extra))
    transport = world.transport()
    for _ in range(2):
        with contextlib.suppress(TransportFailed):
            assert await _exchange(transport, upstream) == b"good"
    return upstream


@pytest.mark.parametrize("extra", EXTRA)
async def test_bytes_after_the_response_never_answer_the_next_call(
    world: World, extra: bytes
) -> None:
    await _answers_too_much(world, extra)


@pytest.mark.parametrize("kind", NATIVE, indirect=True)
@pytest.mark.parametrize("extra", EXTRA)
async def test_bytes_after_the_response_cost_the_connection(world: World, extra: bytes) -> None:
    await (await _answers_too_much(world, extra)).until_ended(2)


@pytest.mark.parametrize("kind", NATIVE, indirect=True)
async def test_an_upstream_that_speaks_unasked_is_hung_up_on(world: World) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await idle.wait()
        await peer.send(sized(b"evil"))
        await peer.until_client_closes()

    idle = asyncio.Event()
    upstream = await world.upstream(script)
    transport = world.transport(Limits(idle_age_s=600))
    assert await _exchange(transport, upstream) == b"ok"
    idle.set()
    await upstream.until_ended(1)
    assert await _exchange(transport, upstream) == b"ok"
    assert len(upstream.peers) == 2
