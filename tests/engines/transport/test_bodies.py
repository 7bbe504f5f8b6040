"""What an upstream may send back, and what the caller then sees."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portico.engines.transport.base import Answer, TransportFailed

from .conftest import World
from .upstream import Peer, answering, chunked, cut, sized

pytestmark = pytest.mark.anyio

BODY = b'{"choices": []}' * 40
CLOSE_DELIMITED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + BODY
FRAMINGS = {
    "content-length": sized(BODY),
    "chunked": chunked([BODY[:7], BODY[7:8], BODY[8:]]),
    "chunked with trailers": chunked([BODY], b"X-Checksum: 1\r\nX-More: 2\r\n"),
    "until close": CLOSE_DELIMITED,
    "until close, 1.0": CLOSE_DELIMITED.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "length and close": sized(BODY, fields=b"Connection: close\r\n"),
    "chunked and close": chunked([BODY]).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1),
}


async def _pulled(answer: Answer) -> bytes:
    pieces = []
    while piece := await answer.next():
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_the_body_arrives_whole_whatever_its_framing(world: World, framing: str) -> None:
    async def script(peer: Peer) -> None:
        closes = "close" in framing
        while not closes or not peer.requests:
            await peer.request()
            await peer.send(FRAMINGS[framing])

    upstream = await world.upstream(script)
    transport = world.transport()
    pulled = await transport.send(upstream.call())
    assert (pulled.status, await _pulled(pulled), await pulled.next()) == (200, BODY, b"")
    read = await transport.send(upstream.call(reuse=False))
    assert await read.read(len(BODY)) == BODY


async def test_the_request_leaves_as_it_was_given(world: World) -> None:
    upstream = await world.upstream(answering(sized(b"")))
    transport = world.transport()
    headers = [(b"Content-Type", b"application/json"), (b"X-Two", b"1"), (b"X-Two", b"2")]
    for body in (b"", b'{"a": 1}', b"x" * 3_000_000):
        await transport.send(upstream.call("POST", "/v1/x?y=%20", headers=headers, body=body))
    await transport.send(upstream.call("GET", "/v1/models", body=b"", reuse=False))
    posts, get = upstream.requests[:3], upstream.requests[3]
    host = f"127.0.0.1:{upstream.origin.port}".encode()
    for post, body in zip(posts, (b"", b'{"a": 1}', b"x" * 3_000_000), strict=True):
        assert post.line == b"POST /v1/x?y=%20 HTTP/1.1"
        assert post.body == body
        assert sorted(post.headers) == sorted(
            [*headers, (b"Host", host), (b"Content-Length", str(len(body)).encode())]
        )
    assert get.line == b"GET /v1/models HTTP/1.1"
    assert sorted(get.headers) == [(b"Connection", b"close"), (b"Host", host)]


async def test_header_names_are_lower_case_and_order_and_doubles_stay(world: World) -> None:
    fields = b"X-B: 2\r\nSet-Cookie: a=1\r\nX-a:   spaced  \r\nSet-Cookie: b=2\r\n"
    upstream = await world.upstream(answering(sized(b"", fields=fields)))
    answer = await world.transport().send(upstream.call())
    assert answer.headers == [
        (b"x-b", b"2"),
        (b"set-cookie", b"a=1"),
        (b"x-a", b"spaced"),
        (b"set-cookie", b"b=2"),
        (b"content-length", b"0"),
    ]


async def test_interim_responses_are_skipped(world: World) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    upstream = await world.upstream(answering(interim + sized(b"ok", status=b"201 Created")))
    transport = world.transport()
    for _ in range(2):
        answer = await transport.send(upstream.call())
        assert (answer.status, await answer.read(10)) == (201, b"ok")
        assert answer.headers == [(b"content-length", b"2")]
    assert len(upstream.peers) == 1


async def test_trailers_are_not_headers(world: World) -> None:
    upstream = await world.upstream(answering(FRAMINGS["chunked with trailers"]))
    transport = world.transport()
    for _ in range(2):
        answer = await transport.send(upstream.call())
        assert await answer.read(10_000) == BODY
        assert answer.headers == [(b"transfer-encoding", b"chunked")]
    assert len(upstream.peers) == 1


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_some_statuses_have_no_body(world: World, status: bytes) -> None:
    upstream = await world.upstream(answering(b"HTTP/1.1 %s\r\nETag: 1\r\n\r\n" % status))
    transport = world.transport()
    for _ in range(2):
        answer = await transport.send(upstream.call())
        assert (answer.status, await answer.next()) == (int(status[:3]), b"")
    assert len(upstream.peers) == 1


async def test_an_answer_to_head_has_no_body(world: World) -> None:
    upstream = await world.upstream(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"))
    transport = world.transport()
    for _ in range(2):
        answer = await transport.send(upstream.call("HEAD", body=b""))
        assert (answer.headers, await answer.next()) == ([(b"content-length", b"99")], b"")


async def test_compressed_bodies_stay_compressed(world: World) -> None:
    """Bytes pass through; what they mean is for others to say."""
    squeezed = bytes.fromhex("1f8b08000000000000034b040043beb7e801000000")
    fields = b"Content-Encoding: gzip\r\n"
    upstream = await world.upstream(answering(sized(squeezed, fields=fields)))
    answer = await world.transport().send(upstream.call())
    assert (b"content-encoding", b"gzip") in answer.headers
    assert await answer.read(100) == squeezed


async def test_redirects_and_cookies_are_the_callers_business(world: World) -> None:
    fields = b"Location: /elsewhere\r\nSet-Cookie: a=1\r\n"
    upstream = await world.upstream(answering(sized(b"", status=b"307 Moved", fields=fields)))
    transport = world.transport()
    assert [(await transport.send(upstream.call())).status for _ in range(2)] == [307, 307]
    assert all(not request.values(b"cookie") for request in upstream.requests)


async def test_one_wake_up_brings_all_that_arrived(world: World) -> None:
    held = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        head, rest = chunked([b"a", b"b", b"c", b"d"]).split(b"\r\n\r\n", 1)
        await peer.send(head + b"\r\n\r\n")
        await held.wait()
        await peer.send(rest)
        await peer.until_client_closes()

    upstream = await world.upstream(script)
    answer = await world.transport().send(upstream.call())
    held.set()
    assert await answer.next() == b"abcd"
    assert await answer.next() == b""


async def test_a_body_above_the_limit_is_refused_and_the_upstream_hung_up_on(world: World) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2_000)
        await peer.until_client_closes()

    upstream = await world.upstream(script)
    answer = await world.transport().send(upstream.call())
    with pytest.raises(TransportFailed) as failed:
        await answer.read(1_999)
    assert failed.value.stage == "too_large"
    await upstream.until_ended(1)


RESPONSES = st.sampled_from(
    [
        sized(BODY, fields=b"X-Long: " + b"v" * 300 + b"\r\n"),
        chunked([BODY[:1], BODY[1:100], BODY[100:]], b"X-Trailer: 1\r\n"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + chunked([BODY]),
        CLOSE_DELIMITED,
    ]
)


@given(response=RESPONSES, at=st.lists(st.integers(0, 900), max_size=12))
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_where_the_bytes_are_split_changes_nothing(
    world: World, response: bytes, at: list[int]
) -> None:
    async def script(peer: Peer) -> None:
        request = await peer.request()
        for piece in cut(response, at if request.line.startswith(b"GET") else []):
            await peer.send(piece)
            await asyncio.sleep(0)  # so that the client, on this same loop, reads it alone

    async def seen(method: str) -> tuple[int, object, bytes]:
        answer = await transport.send(upstream.call(method, reuse=False))
        return answer.status, answer.headers, await _pulled(answer)

    upstream, transport = await world.upstream(script), world.transport()
    assert await seen("GET") == await seen("POST")
    await transport.close()
    await upstream.close()
