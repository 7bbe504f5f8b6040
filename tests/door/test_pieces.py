"""A body that is read as it comes: never whole in memory, at any honest pace, within its limit; and
answers that say their length."""

import asyncio
from collections.abc import Callable

import pytest

from portico import errors
from portico.door.exchange import Exchange
from portico.door.framing.pace import Pace
from portico.door.limits import EdgeLimits
from portico.kit.leaving import Left
from tests.door.scene import Echo, limits, render, request, serving

pytestmark = pytest.mark.anyio

SOON_S = 0.1


class Reader:
    """Reads pieces, and notes how large each was.  wait: before every one."""

    def __init__(self, limit_bytes: int = 100_000_000, wait: asyncio.Event | None = None) -> None:
        self.sizes: list[int] = []
        self.left: list[str] = []
        self.began = asyncio.Event()
        self._limit_bytes = limit_bytes
        self._wait = wait

    async def __call__(self, exchange: Exchange) -> None:
        total = 0
        try:
            while True:
                if self._wait is not None:
                    await self._wait.wait()
                piece = await exchange.piece(self._limit_bytes)
                if not piece:
                    break
                self.began.set()
                self.sizes.append(len(piece))
                total += len(piece)
        except errors.Refusal as refusal:
            exchange.reply(refusal.status, *render(refusal, exchange.request_id))
            return
        except Left:
            self.left.append(exchange.leaving.reason)
            raise
        exchange.reply(200, b"", b"%d" % total)


async def test_it_comes_in_pieces_and_whole() -> None:
    reader = Reader()
    async with serving(reader) as scene:
        wire = await scene.connect()
        for body in (b"x" * 20_000_000, b"", b"y"):
            await wire.send(request("/", body))
            assert (await wire.answer()).body == b"%d" % len(body)
        assert max(reader.sizes) < 2_000_000
        assert scene.edge.bodies_bytes == 0, "it is not held, so it takes nobody's room"


async def test_chunked_and_cut_anywhere() -> None:
    reader = Reader()
    async with serving(reader) as scene:
        wire = await scene.connect()
        whole = (
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"
        )
        for at in range(len(whole)):
            await wire.send(whole[at : at + 1])
            await asyncio.sleep(0)
        assert (await wire.answer()).body == b"6"


async def test_while_nobody_reads_the_client_waits() -> None:
    go = asyncio.Event()
    async with serving(Reader(wait=go)) as scene:
        wire = await scene.connect()
        wire.writer.write(request("/", b"b" * 16_000_000))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON_S * 3):
                await wire.writer.drain()
        go.set()
        assert (await wire.answer()).body == b"16000000"


@pytest.mark.parametrize("framing", ["Content-Length: 2000", "Transfer-Encoding: chunked"])
async def test_413_one_byte_too_many(framing: str) -> None:
    reader = Reader(limit_bytes=1_999)
    async with serving(reader) as scene:
        wire = await scene.connect()
        await wire.send(f"POST / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n".encode())
        if framing.startswith("T"):
            await wire.send(b"7d0\r\n" + b"x" * 2_000 + b"\r\n0\r\n\r\n")
        answer = await wire.answer()
        assert (answer.status, answer.code) == (413, "body_too_large")
        assert sum(reader.sizes) < 2_000


async def test_a_hang_up_in_the_middle_is_noticed() -> None:
    reader = Reader()
    async with serving(reader) as scene:
        wire = await scene.connect()
        await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf")
        await reader.began.wait()
        wire.hang_up()
        await scene.quiet()
        assert reader.left == ["hung up"]


async def test_a_large_one_may_take_longer_than_a_body_may() -> None:
    """As long as something comes: three stretches of it and more, here."""
    patient = limits(body_read_s=0.4, body_grace_s=0.4, body_bytes_per_s_min=2)
    async with serving(Reader(), patient) as scene:
        wire = await scene.connect()
        await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 45\r\n\r\n")
        for _ in range(45):
            await wire.send(b"x")
            await asyncio.sleep(0.03)
        assert (await wire.answer()).body == b"45"


async def test_408_nothing_comes_any_more() -> None:
    """However much came before."""
    hasty = limits(body_read_s=SOON_S * 2, body_grace_s=SOON_S, body_bytes_per_s_min=0)
    async with serving(Reader(), hasty) as scene:
        wire = await scene.connect()
        await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n\r\n")
        await wire.send(b"x" * 8_000_000)
        answer = await wire.answer()
        assert (answer.status, answer.code) == (408, "body_timeout")
        assert "Nothing of the body has come for 0.2 s" in answer.json["error"]["message"]


def test_time_in_which_nobody_waits_does_not_count() -> None:
    pace = Pace(
        EdgeLimits(body_read_s=60, body_grace_s=5, body_bytes_per_s_min=100), in_stretches=True
    )
    received = 0
    for start_s in range(0, 10_000, 100):  # 1 s of waiting, 99 s of writing to a slow disk
        pace.wait(start_s)
        received += 100
        assert pace.late(start_s + 1, received) is None
        pace.rest(start_s + 1)


@pytest.mark.parametrize(
    ("came", "late"),
    [
        (lambda now_s: 100 * now_s, False),
        (lambda now_s: 99 * now_s, True),
        (lambda now_s: 1_000_000 + 100 * now_s, False),
        (lambda now_s: 1_000_000, True),
        (lambda now_s: 1_000_000 + 99 * max(0, now_s - 60), True),
    ],
    ids=["kept", "missed", "ahead", "stalled", "slow later"],
)
def test_the_pace_is_kept_in_every_stretch(came: Callable[[float], float], late: bool) -> None:
    pace = Pace(
        EdgeLimits(body_read_s=60, body_grace_s=5, body_bytes_per_s_min=100), in_stretches=True
    )
    pace.wait(0)
    refusals = [pace.late(now_s, int(came(now_s))) for now_s in range(300)]
    assert any(refusal is not None for refusal in refusals) is late


async def test_a_stream_may_say_its_length() -> None:
    async def serve(exchange: Exchange) -> None:
        exchange.open(200, b"content-type: text/plain\r\n", 11)
        if exchange.method != "HEAD":
            await exchange.write(b"hello")
            await exchange.write(b" world")
        exchange.end()

    async with serving(serve) as scene:
        wire = await scene.connect()
        await wire.send(request(method="GET") + request(method="HEAD") + request(method="GET"))
        for method in ("GET", "HEAD", "GET"):
            answer = await wire.answer(head_only=method == "HEAD")
            assert answer.headers["content-length"] == "11"
            assert "transfer-encoding" not in answer.headers
            assert answer.body == (b"" if method == "HEAD" else b"hello world")


async def test_a_body_is_read_as_before() -> None:
    async with serving(Echo()) as scene:
        assert (await scene.ask(request("/", b"b" * 300_000))).body == b"/ " + b"b" * 300_000
