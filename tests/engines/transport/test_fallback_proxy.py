"""What the fallback is for: an HTTP proxy between us and the upstream."""

import asyncio
import ssl

import pytest

from portico.engines.transport import tls
from portico.engines.transport.base import TransportFailed
from portico.engines.transport.fallback import FallbackTransport

from .conftest import World
from .upstream import Peer, Upstream, answering, certified, sized

pytestmark = pytest.mark.anyio
ONLY_FALLBACK = pytest.mark.parametrize("kind", ["aiohttp-uvloop"], indirect=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


async def _tunnel(peer: Peer) -> None:
    """A proxy that knows CONNECT."""
    request = await peer.request()
    host, port = request.line.split()[1].decode().rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    await peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
    outward = asyncio.create_task(_copy(peer.reader, writer))
    await _copy(reader, peer.writer)
    outward.cancel()


def _by(proxy: Upstream, trust: ssl.SSLContext | None = None) -> FallbackTransport:
    return FallbackTransport(tls=trust, proxy=f"http://127.0.0.1:{proxy.origin.port}")


@ONLY_FALLBACK
async def test_a_plain_call_is_handed_to_the_proxy_whole(world: World) -> None:
    proxy = await world.upstream(answering(sized(b"ok")))
    transport = _by(proxy)
    proxy.origin = type(proxy.origin)("http", "upstream.example", 80)
    answer = await transport.send(proxy.call("GET", "/v1/models", body=b""))
    assert await answer.read(10) == b"ok"
    assert proxy.requests[0].line == b"GET http://upstream.example/v1/models HTTP/1.1"
    assert proxy.requests[0].values(b"host") == [b"upstream.example"]
    await transport.close()


@ONLY_FALLBACK
async def test_a_tls_call_goes_through_a_tunnel_the_proxy_cannot_read(world: World) -> None:
    upstream = await world.upstream(answering(sized(b"ok")), tls=certified(world.ca, "127.0.0.1"))
    proxy = await world.upstream(_tunnel)
    transport = _by(proxy, tls.trusting_anyone())
    answer = await transport.send(upstream.call())
    assert await answer.read(10) == b"ok"
    assert proxy.requests[0].line.startswith(b"CONNECT 127.0.0.1:")
    assert len(upstream.requests) == 1
    await transport.close()


@ONLY_FALLBACK
async def test_a_proxy_that_says_no_is_a_failure_to_connect(world: World) -> None:
    proxy = await world.upstream(answering(sized(b"", status=b"407 Proxy Authentication Required")))
    transport = _by(proxy)
    proxy.origin = type(proxy.origin)("https", "upstream.example", 443)
    with pytest.raises(TransportFailed) as failed:
        await transport.send(proxy.call())
    assert failed.value.stage == "connect"
    await transport.close()
