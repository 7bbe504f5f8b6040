"""Whatever a client does, it costs a bounded amount of time and memory."""

import asyncio
import gc
import weakref

import pytest

from portico import errors
from portico.door.exchange import Exchange
from portico.door.framing.forwarded import counted_as, plain
from portico.door.limits import EdgeLimits
from portico.kit.leaving import Left
from tests.door.scene import Echo, Wire, limits, render, request, serving

pytestmark = pytest.mark.anyio

SOON_S = 0.1


async def test_the_limits_written_in_the_docs_are_these() -> None:
    assert EdgeLimits().tick_s <= 1.0
    assert limits(header_read_s=0.4).tick_s <= 0.1


@pytest.mark.parametrize(
    "sent", [b"", b"\r\n", b"GET", b"GET / HTTP/1.1\r\nHost: h\r\nX: "], ids=repr
)
async def test_a_slow_head_is_not_waited_for(sent: bytes) -> None:
    async with serving(Echo(), limits(header_read_s=SOON_S)) as scene:
        wire = await scene.connect()
        await wire.send(sent)
        assert await wire.rest() == b""


async def test_a_head_that_trickles_is_not_waited_for() -> None:
    async with serving(Echo(), limits(header_read_s=SOON_S)) as scene:
        wire = await scene.connect()
        await wire.send(b"GET / HTTP/1.1\r\nHost: h\r\n")

        async def trickle() -> None:
            while True:
                await wire.send(b"X: y\r\n")
                await asyncio.sleep(SOON_S / 20)

        # uvloop's word for a transport that is closed already is a RuntimeError.
        with pytest.raises((ConnectionError, RuntimeError)):
            async with asyncio.timeout(5):
                await trickle()


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET / HT"], ids=repr)
async def test_an_idle_connection_ends(sent: bytes) -> None:
    idle_s, begun_s = (3_600, SOON_S) if sent else (SOON_S, 3_600)
    async with serving(Echo(), limits(keep_alive_s=idle_s, header_read_s=begun_s)) as scene:
        wire = await scene.connect()
        await wire.send(request())
        assert (await wire.answer()).status == 200
        await wire.send(sent)
        assert await wire.rest() == b""
        await scene.everybody_gone()


async def test_a_busy_connection_outlives_every_idle_limit() -> None:
    release = asyncio.Event()

    async def serve(exchange: Exchange) -> None:
        await release.wait()
        exchange.reply(200, b"", b"done")

    short = limits(
        keep_alive_s=SOON_S, header_read_s=SOON_S, write_idle_s=SOON_S, body_read_s=SOON_S
    )
    async with serving(serve, short) as scene:
        wire = await scene.connect()
        await wire.send(request())
        asyncio.get_running_loop().call_later(SOON_S * 4, release.set)
        assert (await wire.answer()).body == b"done"


async def test_too_many_headers_and_too_large_a_head() -> None:
    async with serving(Echo(), limits(headers_max=10, header_bytes_max=1_000)) as scene:
        fits = await scene.ask(request("/", b"", *[f"X{n}: y" for n in range(9)]))
        assert fits.status == 200
        for headers in ([f"X{n}: y" for n in range(10)], ["X: y"] * 10, ["X: " + "y" * 1_000]):
            answer = await scene.ask(request("/", b"", *headers))
            assert (answer.status, answer.code) == (431, "headers_too_large")
        assert (await scene.ask(request("/" + "p" * 1_000))).status == 431
        echo = await scene.ask(request("/", b"b" * 50_000, "X: fits"))
        assert echo.status == 200, "the body does not count, however it arrives"


async def test_a_large_head_in_two_reads_is_as_large_as_in_one() -> None:
    first_read = asyncio.Event()
    async with serving(Echo(), limits(header_bytes_max=1_000)) as scene:
        wire = await scene.connect()
        await wire.send(request("/before"))
        assert (await wire.answer()).status == 200
        whole = request("/", b"", "X: " + "y" * 1_000)
        await wire.send(whole[:-5])
        asyncio.get_running_loop().call_later(0.05, first_read.set)
        await first_read.wait()
        await wire.send(whole[-5:])
        assert (await wire.answer()).status == 431


@pytest.mark.parametrize(
    "sent", [b"GET /", b"GET / HTTP/1.1\r\nHost: h\r\nX: ", b"GET / HTTP/1.1\r\n"]
)
async def test_a_head_without_end_is_refused_before_it_is_collected(sent: bytes) -> None:
    filler = b"X: y\r\n" * 50 if sent.endswith(b"\n") else b"a" * 300
    async with serving(Echo(), limits(header_bytes_max=1_000, headers_max=10_000)) as scene:
        wire = await scene.connect()
        await wire.send(sent)

        async def pour() -> None:
            while True:
                await wire.send(filler)
                await asyncio.sleep(0)

        pouring = asyncio.get_running_loop().create_task(pour())
        assert (await wire.answer()).status == 431
        pouring.cancel()
        await asyncio.gather(pouring, return_exceptions=True)


async def test_edge_26_a_declared_body_over_the_limit_is_refused_before_it_is_sent() -> None:
    async with serving(Echo(limit_bytes=1_000)) as scene:
        wire = await scene.connect()
        await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n")
        answer = await wire.answer()
        assert (answer.status, answer.code) == (413, "body_too_large")
        assert "1000" in answer.json["error"]["message"]
        assert await wire.rest() == b""


async def test_an_undeclared_body_is_refused_at_the_limit() -> None:
    async with serving(Echo(limit_bytes=1_000)) as scene:
        wire = await scene.connect()
        await wire.send(
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert (await wire.answer()).status == 100, "the body is waited for"
        for _ in range(11):
            await wire.send(b"64\r\n" + b"a" * 100 + b"\r\n")
        assert (await wire.answer()).status == 413


async def test_large_bodies_together_have_a_limit_and_give_it_back() -> None:
    at_once, held = asyncio.Event(), asyncio.Event()

    async def serve(exchange: Exchange) -> None:
        try:
            body = await exchange.body(1_000_000)
        except errors.Refusal as refusal:
            exchange.reply(refusal.status, *render(refusal, exchange.request_id))
            return
        held.set()
        await at_once.wait()
        exchange.reply(200, b"", b"%d" % len(body))

    async with serving(serve, limits(bodies_bytes_max=500_000)) as scene:
        first = await scene.connect()
        await first.send(request("/", b"b" * 300_000))
        await held.wait()
        second = await scene.ask(request("/", b"b" * 300_000))
        assert (second.status, second.code) == (503, "overloaded")
        small = await scene.connect()
        await small.send(request("/", b"b" * 60_000))
        at_once.set()
        assert (await first.answer()).body == b"300000"
        assert (await small.answer()).body == b"60000", "small ones are not counted"
        assert (await scene.ask(request("/", b"b" * 300_000))).body == b"300000"
        await scene.quiet()
        assert scene.edge.bodies_bytes == 0


@pytest.mark.parametrize("framing", ["Content-Length: 10", "Transfer-Encoding: chunked"])
async def test_a_body_that_does_not_come_is_not_waited_for(framing: str) -> None:
    async with serving(Echo(), limits(body_read_s=SOON_S)) as scene:
        wire = await scene.connect()
        await wire.send(f"POST / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n".encode())
        answer = await wire.answer()
        assert (answer.status, answer.code) == (408, "body_timeout")
        assert "not complete after 0.1 s" in answer.json["error"]["message"]
        assert await wire.rest() == b""


async def test_a_body_slower_than_the_floor_is_refused() -> None:
    slow = limits(body_grace_s=SOON_S, body_bytes_per_s_min=1_000_000)
    async with serving(Echo(), slow) as scene:
        wire = await scene.connect()
        await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n")
        await wire.send(b"a" * 1_000)
        answer = await wire.answer()
        assert answer.status == 408
        assert "1000000 bytes/s" in answer.json["error"]["message"]


async def test_a_body_that_nobody_wants_yet_is_held_back() -> None:
    """Until the caller is known, a body costs a buffer's worth of memory, however large it is."""
    wanted = asyncio.Event()
    held: list[int] = []

    async def serve(exchange: Exchange) -> None:
        await wanted.wait()
        held.append(exchange.received_bytes)
        exchange.reply(200, b"", b"%d" % len(await exchange.body(20_000_000)))

    async with serving(serve) as scene:
        wire = await scene.connect()
        wire.writer.write(request("/", b"b" * 16_000_000))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON_S * 3):
                await wire.writer.drain()
        wanted.set()
        assert (await wire.answer()).body == b"16000000"
        assert held[0] < 1_000_000


async def test_framing_without_content_has_an_end() -> None:
    async with serving(Echo()) as scene:
        wire = await scene.connect()
        await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ")

        async def pour() -> None:
            while True:
                await wire.send(b"a" * 10_000)
                await asyncio.sleep(0)

        pouring = asyncio.get_running_loop().create_task(pour())
        assert (await wire.answer()).status == 400
        pouring.cancel()
        await asyncio.gather(pouring, return_exceptions=True)


async def test_edge_18_a_client_that_stops_reading_is_left_and_its_buffer_is_bounded() -> None:
    buffered: list[int] = []
    reasons: list[str] = []

    async def serve(exchange: Exchange) -> None:
        transport = exchange._connection.transport
        exchange.open(200, b"")
        try:
            with exchange.leaving:
                while True:
                    await exchange.write(b"x" * 10_000)
                    buffered.append(transport.get_write_buffer_size())
                    await asyncio.sleep(0)
        finally:
            reasons.append(exchange.leaving.reason)

    async with serving(serve, limits(write_idle_s=SOON_S)) as scene:
        wire = await scene.connect()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await wire.send(request())
        await scene.everybody_gone()
        await scene.quiet()
        assert reasons == ["stopped reading"]
        assert max(buffered) < 200_000


async def test_the_last_of_an_answer_is_not_kept_for_ever() -> None:
    """Too little is left to fill the transport, and nobody waits for it any more."""

    async def serve(exchange: Exchange) -> None:
        transport = exchange._connection.transport
        transport.set_write_buffer_limits(high=50_000_000)
        exchange.reply(200, b"", b"x" * 20_000_000)

    soon = limits(write_idle_s=SOON_S, keep_alive_s=SOON_S)
    async with serving(serve, soon) as scene:
        wire = await scene.connect()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await wire.send(request())
        await scene.everybody_gone()


async def test_a_client_that_reads_slowly_but_reads_is_served() -> None:
    size = 12_000_000

    async def serve(exchange: Exchange) -> None:
        exchange.reply(200, b"", b"x" * size)

    async with serving(serve, limits(write_idle_s=SOON_S)) as scene:
        wire = await scene.connect()
        await wire.send(request())
        head = await wire.reader.readuntil(b"\r\n\r\n")
        got = 0
        while got < size:
            data = await wire.reader.read(200_000)
            assert data, "cut off although it was reading"
            got += len(data)
            await asyncio.sleep(SOON_S / 20)
        assert b"200 OK" in head
        assert got == size


async def test_pipelined_requests_do_not_run_ahead_of_a_client_that_does_not_read() -> None:
    served = 0

    async def serve(exchange: Exchange) -> None:
        nonlocal served
        served += 1
        exchange.reply(200, b"", b"x" * 1_000_000)

    async with serving(serve, limits(write_idle_s=SOON_S)) as scene:
        wire = await scene.connect()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await wire.send(request() * 1_000)
        await scene.everybody_gone()
        assert served < 20


async def test_connections_over_the_cap_are_turned_away() -> None:
    async with serving(Echo(), limits(connections_max=2)) as scene:
        first, second = await scene.connect(), await scene.connect()
        third = await scene.connect()
        answer = await third.answer()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert await third.rest() == b""
        for wire in (first, second):
            await wire.send(request())
            assert (await wire.answer()).status == 200
        await first.close()
        assert (await _served_again(scene.connect)).status == 200


async def test_one_address_cannot_take_all_connections() -> None:
    own = frozenset({"127.0.0.1"})
    async with serving(Echo(), limits(connections_per_ip_max=1), uncapped=own) as scene:
        await scene.connect("127.0.0.2")
        assert (await (await scene.connect("127.0.0.2")).answer()).status == 429
        for local in ("127.0.0.3", "127.0.0.1", "127.0.0.1"):
            wire = await scene.connect(local)
            await wire.send(request())
            assert (await wire.answer()).status == 200
        for wire in scene.wires:
            wire.hang_up()
        await scene.everybody_gone()
        assert (await (await scene.ask_from("127.0.0.2")).answer()).status == 200


async def test_a_socket_for_both_versions_tells_ipv4_clients_apart() -> None:
    seen: list[str] = []

    async def serve(exchange: Exchange) -> None:
        seen.append(exchange.peer)
        exchange.reply(200, b"", b"")

    async with serving(serve, limits(connections_per_ip_max=1), host="::") as scene:
        await scene.connect("127.0.0.2")
        assert (await (await scene.connect("127.0.0.2")).answer()).status == 429
        wire = await scene.connect("127.0.0.3")
        await wire.send(request())
        assert (await wire.answer()).status == 200
        assert seen == ["127.0.0.3"]


@pytest.mark.parametrize(
    ("peer", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::1", "::1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_what_counts_as_one_address(peer: str, counted: str) -> None:
    assert counted_as(plain(peer)) == counted


async def _served_again(connect) -> object:  # type: ignore[no-untyped-def]
    """Until a place is free: the server learns of a closed connection a moment later."""
    async with asyncio.timeout(5):
        while True:
            wire: Wire = await connect()
            await wire.send(request())
            answer = await wire.answer()
            if answer.status == 200:
                return answer


@pytest.mark.parametrize("phase", ["head", "body", "queue", "answer"])
async def test_a_hang_up_is_told_once_at_every_phase(phase: str) -> None:
    facts: list[str] = []
    reached = asyncio.Event()

    async def serve(exchange: Exchange) -> None:
        reached.set()
        try:
            await exchange.body(100)
            with exchange.leaving:
                if phase == "answer":
                    exchange.open(200, b"")
                    await exchange.write(b"first")
                await asyncio.Event().wait()
            facts.append(f"left: {exchange.leaving.reason}")
        except Left as left:
            facts.append(f"raised: {left}")
        except errors.Refusal as refusal:
            facts.append(refusal.code)
        await exchange.write(b"to nobody")

    async with serving(serve) as scene:
        wire = await scene.connect()
        whole = request("/", b"body")
        await wire.send({"head": whole[:10], "body": whole[:-1]}.get(phase, whole))
        if phase != "head":
            await reached.wait()
        if phase == "answer":
            await wire.answer(head_only=True)
        wire.hang_up()
        await scene.everybody_gone()
        await scene.quiet()
        assert (
            facts
            == {
                "head": [],
                "body": ["raised: hung up"],
                "queue": ["left: hung up"],
                "answer": ["left: hung up"],
            }[phase]
        )


async def test_a_connection_cut_off_within_a_body_leaves_nothing_to_the_collector() -> None:
    async with serving(Echo(), limits(body_read_s=SOON_S)) as scene:
        wire = await scene.connect()
        await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf")
        gc.disable()
        try:
            assert (await wire.answer()).status == 408
            gone = weakref.ref(next(iter(scene.server.server_state.connections)))
            wire.hang_up()
            await scene.everybody_gone()
            await asyncio.sleep(0)
            assert gone() is None
        finally:
            gc.enable()
