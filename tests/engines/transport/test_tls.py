"""Whom we believe to be the upstream."""

import ssl
from pathlib import Path

import pytest
from trustme import CA

from portico.engines.transport import tls
from portico.engines.transport.base import TransportFailed

from .conftest import World
from .upstream import Peer, Upstream, answering, certified, chunked, sized

pytestmark = pytest.mark.anyio
BODY = b"x" * 300_000


def _authority(ca: CA, folder: Path) -> Path:
    file = folder / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    return file


async def _refused(world: World, upstream: Upstream, trust: ssl.SSLContext) -> str:
    with pytest.raises(TransportFailed) as failed:
        await world.transport(tls=trust).send(upstream.call())
    assert (failed.value.stage, failed.value.answered) == ("connect", False)
    assert upstream.requests == []
    return failed.value.detail


async def test_exchanges_over_tls(world: World, tmp_path: Path) -> None:
    chosen = []

    async def script(peer: Peer) -> None:
        chosen.append(peer.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        while True:
            request = await peer.request()
            await peer.send(chunked([request.body[:5], request.body[5:]]))

    upstream = await world.upstream(script, tls=certified(world.ca, "localhost"), host="localhost")
    transport = world.transport(tls=tls.trusting(_authority(world.ca, tmp_path)))
    for body in (BODY, b"0123456789", BODY):
        answer = await transport.send(upstream.call(body=body))
        assert await answer.read(len(BODY)) == body
    assert chosen == ["http/1.1"]


async def test_a_certificate_may_name_an_address(world: World, tmp_path: Path) -> None:
    upstream = await world.upstream(answering(sized(b"ok")), tls=certified(world.ca, "127.0.0.1"))
    transport = world.transport(tls=tls.trusting(_authority(world.ca, tmp_path)))
    assert await (await transport.send(upstream.call())).read(10) == b"ok"


async def test_a_certificate_for_another_name_is_refused(world: World, tmp_path: Path) -> None:
    upstream = await world.upstream(
        answering(sized(b"ok")), tls=certified(world.ca, "elsewhere.example"), host="localhost"
    )
    detail = await _refused(world, upstream, tls.trusting(_authority(world.ca, tmp_path)))
    assert "localhost" in detail


async def test_an_unknown_authority_is_refused(world: World) -> None:
    upstream = await world.upstream(
        answering(sized(b"ok")), tls=certified(world.ca, "localhost"), host="localhost"
    )
    assert "certificate" in await _refused(world, upstream, tls.trusting())


async def test_a_laboratory_may_believe_anyone(world: World) -> None:
    upstream = await world.upstream(answering(sized(b"ok")), tls=certified(CA(), "elsewhere"))
    transport = world.transport(tls=tls.trusting_anyone())
    assert await (await transport.send(upstream.call())).read(10) == b"ok"


async def test_plain_text_is_not_tls(world: World) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(1)
        await peer.send(sized(b"ok"))

    upstream = await world.upstream(script)
    upstream.origin = type(upstream.origin)("https", "127.0.0.1", upstream.origin.port)
    await _refused(world, upstream, tls.trusting_anyone())


async def test_a_hang_up_over_tls_reaches_the_upstream(world: World) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\ndata")
        await peer.until_client_closes()

    upstream = await world.upstream(script, tls=certified(world.ca, "127.0.0.1"))
    answer = await world.transport(tls=tls.trusting_anyone()).send(upstream.call())
    assert await answer.next() == b"data"
    answer.close()
    await upstream.until_ended(1)


async def test_a_stale_tls_connection_is_replaced(world: World) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(sized(b"ok"))
        await peer.request()
        if peer.number:
            await peer.send(sized(b"ok"))

    upstream = await world.upstream(script, tls=certified(world.ca, "127.0.0.1"))
    transport = world.transport(tls=tls.trusting_anyone())
    for _ in range(2):
        assert await (await transport.send(upstream.call())).read(10) == b"ok"
    assert len(upstream.requests) == 3


def test_a_missing_bundle_is_said(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        tls.trusting(tmp_path / "nothing.pem")
