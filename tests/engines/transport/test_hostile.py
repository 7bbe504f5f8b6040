"""Garbage from an upstream, and garbage for one."""

import asyncio

import pytest

from portico.engines.transport.base import Headers, Limits, Stage, TransportFailed

from .conftest import NATIVE, World
from .upstream import Peer, answering, sized

pytestmark = pytest.mark.anyio
SMALL = Limits(head_bytes=8_192, head_fields=32)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def _stage_after(world: World, response: bytes, limits: Limits = SMALL) -> Stage:
    """The upstream sends `response` and closes; what the caller is told."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(response)

    async def exchange() -> None:
        upstream = await world.upstream(script)
        answer = await world.transport(limits).send(upstream.call())
        while await answer.next():
            pass

    with pytest.raises(TransportFailed) as failed:
        await exchange()
    return failed.value.stage


@pytest.mark.parametrize(
    "response",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"<html>not http</html>\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"5\r\nhelloXX0\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello",
    ],
)
async def test_what_is_not_http_is_called_so(world: World, response: bytes) -> None:
    assert await _stage_after(world, response) == "protocol"


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
        CHUNKED,
        CHUNKED + b"5\r\nhel",
        CHUNKED + b"5\r\nhello\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\n",
    ],
)
async def test_what_ends_too_early_is_lost(world: World, response: bytes) -> None:
    assert await _stage_after(world, response) == "lost"


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 10_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Many: 1\r\n" * 40 + b"\r\n",
    ],
)
async def test_a_head_above_the_limit_is_refused(world: World, response: bytes) -> None:
    assert await _stage_after(world, response + b"body") == "too_large"


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Endless: ", b"x" * 1_000),
        (b"HTTP/1.1 200 OK\r\nX-", b"x" * 1_000),
        (b"HTTP/1.1 200 ", b"x" * 1_000),
    ],
)
async def test_edge_18_an_endless_line_ends_at_the_limit(
    world: World, start: bytes, more: bytes
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(start)
        while True:
            await peer.send(more)
            await asyncio.sleep(0)

    upstream = await world.upstream(script)
    with pytest.raises(TransportFailed) as failed:
        await world.transport(SMALL).send(upstream.call())
    assert failed.value.stage == "too_large"
    await upstream.until_ended(1)


@pytest.mark.parametrize("kind", NATIVE, indirect=True)
@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
        (CHUNKED + b"0\r\nX-Trailer: ", b"x" * 1_000),
        (CHUNKED + b"0\r\n", b"X-Trailer: 1\r\n"),
        (CHUNKED + b"5;", b"extension" * 100),
    ],
)
async def test_what_is_neither_head_nor_body_is_bounded_too(
    world: World, start: bytes, more: bytes
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(start)
        while True:
            await peer.send(more)
            await asyncio.sleep(0)

    async def exchange() -> None:
        answer = await world.transport(SMALL).send(upstream.call())
        await answer.next()

    upstream = await world.upstream(script)
    with pytest.raises(TransportFailed) as failed:
        await exchange()
    assert failed.value.stage == "too_large"
    await upstream.until_ended(1)


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/v1\r\nX-Injected: 1", []),
        ("/v1 HTTP/1.1\r\n\r\nGET /admin", []),
        ("/v1 /x", []),
        ("/v1\0", []),
        ("/v1/ü", []),
        ("", []),
        ("/v1", [(b"X-A", b"1\r\nX-Injected: 1")]),
        ("/v1", [(b"X-A", b"1\nX-Injected: 1")]),
        ("/v1", [(b"X-A", b"1\rX-Injected: 1")]),
        ("/v1", [(b"X-A", b"1\0")]),
        ("/v1", [(b"X-A: 1\r\nX-Injected", b"1")]),
        ("/v1", [(b"X-A: 1", b"1")]),
        ("/v1", [(b"X A", b"1")]),
        ("/v1", [(b"", b"1")]),
        ("/v1", [(b"Host", b"elsewhere")]),
        ("/v1", [(b"content-length", b"0")]),
        ("/v1", [(b"Transfer-Encoding", b"chunked")]),
        ("/v1", [(b"Connection", b"upgrade")]),
    ],
)
async def test_a_request_cannot_be_smuggled_in_another(
    world: World, target: str, headers: Headers
) -> None:
    upstream = await world.upstream(answering(sized(b"")))
    transport = world.transport()
    with pytest.raises(ValueError, match=r"target|header|transport itself"):
        await transport.send(upstream.call(target=target, headers=headers))
    assert upstream.peers == []


@pytest.mark.parametrize("host", ["a b", "a/b", "user@host", "", "a\r\nb", "hôte"])
async def test_an_origin_is_a_host_and_nothing_more(world: World, host: str) -> None:
    upstream = await world.upstream(answering(sized(b"")), host=host)
    transport = world.transport()
    with pytest.raises(ValueError, match="host name"):
        await transport.send(upstream.call())
