"""Where one request ends and the next begins is never open to two readings."""

import pytest

from tests.door.scene import Echo, request, serving

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: door.test\r\n\r\n"
HEAD = b"POST /first HTTP/1.1\r\n"
HOST = b"Host: door.test\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

CORPUS = {
    "CL with TE": HEAD + HOST + b"Content-Length: 6\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "TE with CL": HEAD + HOST + CHUNKED + b"Content-Length: 6\r\n\r\n0\r\n\r\n",
    "two differing CL": HEAD + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "CL with a sign": HEAD + HOST + b"Content-Length: +1\r\n\r\na",
    "CL as a list": HEAD + HOST + b"Content-Length: 1, 1\r\n\r\na",
    "space before colon": HEAD + HOST + b"Content-Length : 1\r\n\r\na",
    "unknown TE": HEAD + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "TE gzip, chunked": HEAD + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "TE chunked, identity": HEAD + HOST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "TE twice": HEAD + HOST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n",
    "TE in HTTP/1.0": b"POST /first HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n0\r\n\r\n",
    "bare LF lines": b"POST /first HTTP/1.1\nHost: door.test\n\n",
    "bare LF in a header": HEAD + b"Host: door.test\nX: 1\r\n\r\n",
    "obs-fold": HEAD + HOST + b"X: a\r\n b\r\n\r\n",
    "duplicate Host": HEAD + HOST + b"Host: other.test\r\n\r\n",
    "same Host twice": HEAD + HOST + HOST + b"\r\n",
    "no Host": HEAD + b"\r\n",
    "empty Host": HEAD + b"Host:\r\n\r\n",
    "Host holding a path": HEAD + b"Host: door.test/admin\r\n\r\n",
    "Host with a user": HEAD + b"Host: a@door.test\r\n\r\n",
    "another host in the target": b"POST http://other.test/first HTTP/1.1\r\n" + HOST + b"\r\n",
    "chunk extension with a bare LF": HEAD + HOST + CHUNKED + b"\r\n1;a\nb\r\na\r\n0\r\n\r\n",
    "chunk size with a sign": HEAD + HOST + CHUNKED + b"\r\n+1\r\na\r\n0\r\n\r\n",
    "chunk longer than said": HEAD + HOST + CHUNKED + b"\r\n1\r\nabc\r\n0\r\n\r\n",
    "70 kB header": HEAD + HOST + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
    "70 kB target": b"POST /" + b"a" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "NUL in a value": HEAD + HOST + b"X: a\0b\r\n\r\n",
    "CR in a value": HEAD + HOST + b"X: a\rb\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2.0": b"POST /first HTTP/2.0\r\n" + HOST + b"\r\n",
    "a fragment in the target": b"POST /first#x HTTP/1.1\r\n" + HOST + b"\r\n",
    "not HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.anyio
@pytest.mark.parametrize("case", CORPUS, ids=list(CORPUS))
async def test_a_doubtful_request_gets_one_refusal_and_the_connection_ends(case: str) -> None:
    echo = Echo()
    async with serving(echo) as scene:
        wire = await scene.connect()
        await wire.send(CORPUS[case] + HIDDEN)
        answer = await wire.answer()
        assert answer.status == (431 if "70 kB" in case else 400)
        assert answer.headers["connection"] == "close"
        assert answer.headers["x-request-id"].startswith("req_")
        assert answer.code in ("bad_request", "bad_host", "headers_too_large")
        assert await wire.rest() == b""
        assert "/hidden" not in echo.served


@pytest.mark.anyio
@pytest.mark.parametrize("case", [case for case in CORPUS if "70 kB" not in case])
async def test_bytes_one_at_a_time_change_nothing(case: str) -> None:
    echo = Echo()
    async with serving(echo) as scene:
        wire = await scene.connect()
        for index in range(len(CORPUS[case])):
            await wire.send(CORPUS[case][index : index + 1])
        await wire.send(HIDDEN)
        assert (await wire.answer()).status == 400
        assert await wire.rest() == b""
        assert "/hidden" not in echo.served


@pytest.mark.anyio
async def test_a_refused_host_is_told_what_is_wrong_with_it() -> None:
    async with serving(Echo()) as scene:
        for case, says in (
            ("no Host", "no Host header"),
            ("duplicate Host", "more than one Host header"),
            ("Host holding a path", "'door.test/admin'"),
        ):
            answer = await scene.ask(CORPUS[case])
            assert says in answer.json["error"]["message"]


@pytest.mark.anyio
async def test_what_came_before_the_doubtful_request_is_still_answered_first() -> None:
    echo = Echo()
    async with serving(echo) as scene:
        wire = await scene.connect()
        await wire.send(request("/a") + request("/b") + CORPUS["CL with TE"] + HIDDEN)
        assert (await wire.answer()).body == b"/a "
        assert (await wire.answer()).body == b"/b "
        assert (await wire.answer()).status == 400
        assert await wire.rest() == b""
        assert echo.served == ["/a", "/b"]


@pytest.mark.anyio
async def test_nothing_after_connection_close_is_served() -> None:
    echo = Echo()
    async with serving(echo) as scene:
        wire = await scene.connect()
        await wire.send(request("/last", b"", "Connection: close") + HIDDEN)
        answer = await wire.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await wire.rest() == b""
        assert echo.served == ["/last"]


@pytest.mark.anyio
async def test_an_upgrade_is_declined_and_what_follows_it_is_not_read() -> None:
    echo = Echo()
    async with serving(echo) as scene:
        wire = await scene.connect()
        await wire.send(request("/plain", b"body", "Connection: Upgrade", "Upgrade: h2c") + HIDDEN)
        answer = await wire.answer()
        assert (answer.status, answer.body) == (200, b"/plain body")
        assert answer.headers["connection"] == "close"
        assert await wire.rest() == b""
        assert echo.served == ["/plain"]


@pytest.mark.anyio
async def test_trailers_are_not_headers() -> None:
    seen: list[dict[bytes, bytes]] = []

    async def serve(exchange) -> None:  # type: ignore[no-untyped-def]
        await exchange.body(100)
        seen.append(exchange.headers)
        exchange.reply(200, b"", b"")

    async with serving(serve) as scene:
        trailers = b"0\r\nAuthorization: Bearer stolen\r\nHost: other\r\n\r\n"
        answer = await scene.ask(HEAD + HOST + CHUNKED + b"\r\n1\r\na\r\n" + trailers)
        assert answer.status == 200
        assert seen == [{b"host": b"door.test", b"transfer-encoding": b"chunked"}]


@pytest.mark.anyio
async def test_only_the_hosts_the_operator_named() -> None:
    async with serving(Echo(), hosts_allowed=frozenset({b"door.test", b"[::1]"})) as scene:
        assert (await scene.ask(request())).status == 200
        for host, status in (
            ("DOOR.test:8080", 200),
            ("[::1]:80", 200),
            ("evil.test", 400),
            ("door.test.evil.test", 400),
        ):
            answer = await scene.ask(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert answer.status == status, host
