"""One request, one answer: keep-alive, order, framing, and one write per step."""

import asyncio
from typing import Any

import pytest

from portico.door.exchange import Exchange
from tests.door.scene import Echo, limits, request, serving

pytestmark = pytest.mark.anyio


class Counting:
    """A transport that counts its writes."""

    def __init__(self, transport: Any) -> None:
        self.writes: list[bytes] = []
        self._transport = transport

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def count_writes(exchange: Exchange) -> Counting:
    counting = Counting(exchange._connection.transport)
    exchange._connection.transport = counting  # type: ignore[assignment]
    return counting


async def test_an_answer_is_one_write() -> None:
    counted: list[Counting] = []

    async def serve(exchange: Exchange) -> None:
        counted.append(count_writes(exchange))
        exchange.reply(200, b"content-type: text/plain\r\n", b"hello")

    async with serving(serve) as scene:
        answer = await scene.ask(request(method="GET"))
        assert (answer.status, answer.body) == (200, b"hello")
        assert answer.headers["content-type"] == "text/plain"
        assert "date" in answer.headers
        assert "server" not in answer.headers
        assert len(counted[0].writes) == 1


async def test_a_stream_is_one_write_per_step_and_its_head_waits_for_the_first() -> None:
    counted: list[Counting] = []

    async def serve(exchange: Exchange) -> None:
        counting = count_writes(exchange)
        counted.append(counting)
        exchange.open(200, b"content-type: text/event-stream\r\n")
        assert counting.writes == []
        for piece in (b"one", b"two", b"three"):
            await exchange.write(piece)
        await exchange.write(b"")
        exchange.end(b"four")

    async with serving(serve) as scene:
        wire = await scene.connect()
        await wire.send(request(method="GET") * 2)
        for _ in range(2):
            answer = await wire.answer()
            assert answer.body == b"onetwothreefour"
            assert answer.headers["transfer-encoding"] == "chunked"
        first = counted[0].writes[:4]
        assert first[0].startswith(b"HTTP/1.1 200 OK\r\n")
        assert first[0].endswith(b"\r\n\r\n3\r\none\r\n")
        assert first[1:] == [b"3\r\ntwo\r\n", b"5\r\nthree\r\n", b"4\r\nfour\r\n0\r\n\r\n"]


async def test_a_stream_without_content_is_still_whole() -> None:
    async def serve(exchange: Exchange) -> None:
        exchange.open(200, b"")
        exchange.end()

    async with serving(serve) as scene:
        wire = await scene.connect()
        await wire.send(request() * 2)
        assert (await wire.answer()).body == b""
        assert (await wire.answer()).body == b""


async def test_a_connection_is_kept_for_the_next_request() -> None:
    echo = Echo()
    async with serving(echo) as scene:
        wire = await scene.connect()
        for body in (b"a", b"b" * 200_000, b"", b"c"):
            await wire.send(request("/k", body))
            answer = await wire.answer()
            assert (answer.status, answer.body) == (200, b"/k " + body)
            assert "connection" not in answer.headers
        assert scene.watching.answered_ == [("unknown", 200)] * 4


async def test_pipelined_requests_are_answered_in_order_one_at_a_time() -> None:
    running = most = 0

    async def serve(exchange: Exchange) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        body = await exchange.body(100)
        await asyncio.sleep(0)
        running -= 1
        exchange.reply(200, b"", exchange.path.encode() + body)

    async with serving(serve) as scene:
        wire = await scene.connect()
        await wire.send(b"".join(request(f"/{n}", b"x" * (n % 3)) for n in range(50)))
        for n in range(50):
            assert (await wire.answer()).body == f"/{n}".encode() + b"x" * (n % 3)
        assert most == 1


async def test_a_request_may_come_in_any_pieces() -> None:
    echo = Echo()
    async with serving(echo) as scene:
        wire = await scene.connect()
        chunked = (
            b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5;note=x\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"
        )
        whole = request("/a", b"body") + chunked + request("/z")
        for index in range(len(whole)):
            await wire.send(whole[index : index + 1])
            await asyncio.sleep(0)
        assert (await wire.answer()).body == b"/a body"
        assert (await wire.answer()).body == b"/c hello!"
        assert (await wire.answer()).body == b"/z "


async def test_expect_is_answered_only_when_the_body_is_wanted() -> None:
    refused = asyncio.Event()

    async def serve(exchange: Exchange) -> None:
        if exchange.path == "/refuse":
            exchange.reply(401, b"", b"no")
            return
        await refused.wait()
        exchange.reply(200, b"", await exchange.body(100))

    head = "HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
    async with serving(serve) as scene:
        wire = await scene.connect()
        await wire.send(f"POST /refuse {head}".encode())
        answer = await wire.answer()
        assert (answer.status, answer.headers["connection"]) == (401, "close")
        assert await wire.rest() == b""
        refused.set()
        wire = await scene.connect()
        await wire.send(f"POST /ask {head}".encode())
        assert (await wire.answer()).status == 100
        await wire.send(b"body")
        assert (await wire.answer()).body == b"body"


async def test_http_1_0_gets_no_chunks_and_a_closed_connection() -> None:
    async def serve(exchange: Exchange) -> None:
        exchange.open(200, b"")
        await exchange.write(b"one ")
        await exchange.write(b"two ")
        exchange.end(b"three")

    async with serving(serve) as scene:
        wire = await scene.connect()
        await wire.send(b"GET / HTTP/1.0\r\n\r\n")
        answer = await wire.answer()
        assert answer.body == b"one two three"
        assert "transfer-encoding" not in answer.headers
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("streamed", [False, True])
async def test_head_gets_the_head_only(streamed: bool) -> None:
    async def serve(exchange: Exchange) -> None:
        if streamed:
            exchange.open(200, b"")
            await exchange.write(b"content")
            exchange.end(b"more")
        else:
            exchange.reply(200, b"", b"content")

    async with serving(serve) as scene:
        wire = await scene.connect()
        await wire.send(request(method="HEAD"))
        answer = await wire.answer(head_only=True)
        assert answer.headers.get("content-length") == (None if streamed else "7")
        await wire.send(b"GET / HTTP/1.1\r\n\r\n")
        assert (await wire.answer()).status == 400, "nothing of the body was sent"


async def test_the_path_is_decoded_and_the_query_is_not() -> None:
    seen: list[tuple[str, bytes, bytes]] = []

    async def serve(exchange: Exchange) -> None:
        seen.append((exchange.path, exchange.raw_path, exchange.query))
        exchange.reply(204, b"", b"")

    async with serving(serve) as scene:
        for target in ("/m/a%2Fb%C3%A9?x=%20", "http://door.test/abs?y", "/plain"):
            assert (await scene.ask(request(target))).status == 204
        assert seen == [
            ("/m/a/bé", b"/m/a%2Fb%C3%A9", b"x=%20"),
            ("/abs", b"/abs", b"y"),
            ("/plain", b"/plain", b""),
        ]
        assert (await scene.ask(request("/%ff"))).status == 400


async def test_a_body_nobody_read_ends_the_connection_but_not_before_the_answer_arrives() -> None:
    """A client that sends first and reads later must still find the answer: closing while its
    bytes arrive would reset the connection and throw the answer away."""

    async def serve(exchange: Exchange) -> None:
        exchange.reply(401, b"", b"who are you?")

    async with serving(serve, limits(linger_s=5.0)) as scene:
        wire = await scene.connect()
        await wire.send(request("/x", b"b" * 5_000_000))
        answer = await wire.answer()
        assert (answer.status, answer.body) == (401, b"who are you?")
        assert answer.headers["connection"] == "close"
        assert await wire.rest() == b""


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("fault", ["raises", "forgets", "breaks off"])
async def test_half_an_answer_never_looks_whole(fault: str, version: str) -> None:
    """In HTTP/1.0 only the reset tells the client."""

    async def serve(exchange: Exchange) -> None:
        if fault == "forgets":
            return
        exchange.open(200, b"")
        await exchange.write(b"half")
        if fault == "raises":
            raise ValueError("on purpose")

    async with serving(serve) as scene:
        wire = await scene.connect()
        await wire.send(request(version=version))
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(5):
                assert not (await wire.reader.read()).endswith(b"0\r\n\r\n")
        await scene.everybody_gone()


async def test_an_exchange_is_answered_once() -> None:
    raised: list[str] = []

    async def serve(exchange: Exchange) -> None:
        exchange.reply(200, b"", b"first")
        try:
            exchange.reply(200, b"", b"second")
        except RuntimeError as error:
            raised.append(str(error))

    async with serving(serve) as scene:
        assert (await scene.ask(request())).body == b"first"
        assert raised == ["this exchange has been answered already"]
