"""The way down: no new work, answers under way finish, the rest is told, nothing is lost."""

import asyncio
import json
from typing import Any

import pytest
import structlog.testing

from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.door.exchange import Exchange
from portico.door.server import bind
from portico.engines.base import Relay
from tests.door.rooms import says
from tests.door.scene import limits, request, serving
from tests.door.test_generation import KEY, PATH, House

pytestmark = pytest.mark.anyio

STREAM = request(PATH, json.dumps({"model": "m", "stream": True}).encode(), KEY)


def held(release: asyncio.Event) -> Any:
    async def script(prompt: Prompt, relay: Relay) -> None:
        await relay(Delta(raw=b"one ", output_tokens=1))
        await release.wait()
        await relay(Delta(raw=b"two", output_tokens=1))
        await relay(Delta(last=True))

    return script


def test_a_used_port_is_known_before_anything_starts() -> None:
    first = bind("127.0.0.1", 0)
    first.listen()
    with pytest.raises(OSError, match="in use"):
        bind("127.0.0.1", first.getsockname()[1])
    first.close()


async def test_streams_finish_while_newcomers_are_refused() -> None:
    release = asyncio.Event()
    house = House(held(release))

    def close_admission() -> None:
        house.rooms.admission.draining = True

    async with house.open(on_stop=close_admission) as scene:
        wire = await scene.connect()
        await wire.send(STREAM)
        await wire.answer(head_only=True)
        scene.server.stop()
        assert scene.stopped == ["stopping"]
        newcomer = await scene.ask(STREAM)
        assert (newcomer.status, newcomer.code) == (503, "server_shutting_down")
        assert newcomer.headers["connection"] == "close"
        release.set()
        assert b"".join([chunk async for chunk in wire.chunks()]) == b"one two"
        assert await wire.rest() == b"", "and the connection ends"
        assert house.books.settled == [("completed", 2)]


async def test_at_the_drain_limit_a_stream_is_told_and_settled() -> None:
    house = House(held(asyncio.Event()))
    async with house.open(drain_s=0.1) as scene:
        wire = await scene.connect()
        await wire.send(STREAM)
        await wire.answer(head_only=True)
        scene.server.stop()
        assert b"".join([chunk async for chunk in wire.chunks()]) == b"one !server_shutting_down"
        assert await wire.rest() == b""
        assert house.books.settled == [("drained", 1)]
        assert house.engine.running == 0


async def test_before_its_first_delta_it_is_a_503() -> None:
    async def silent(prompt: Prompt, relay: Relay) -> None:
        await asyncio.Event().wait()

    house = House(silent)
    async with house.open(drain_s=0.1) as scene:
        wire = await scene.connect()
        await wire.send(STREAM)
        scene.server.stop()
        answer = await wire.answer()
        assert (answer.status, answer.code) == (503, "server_shutting_down")
        assert house.books.settled == [("drained", 0)]


async def test_a_second_stop_does_not_wait_for_the_drain_limit() -> None:
    house = House(held(asyncio.Event()))
    async with house.open(drain_s=3_600) as scene:
        wire = await scene.connect()
        await wire.send(STREAM)
        await wire.answer(head_only=True)
        scene.server.stop()
        scene.server.stop()
        assert b"".join([chunk async for chunk in wire.chunks()]) == b"one !server_shutting_down"
        assert house.books.settled == [("drained", 1)]


async def test_two_stops_in_a_row_still_wait_for_the_settlement() -> None:
    house = House(held(asyncio.Event()))
    with structlog.testing.capture_logs() as said:
        async with house.open(drain_s=3_600) as scene:
            wire = await scene.connect()
            await wire.send(STREAM)
            await wire.answer(head_only=True)
            scene.server.stop()
            scene.server.stop()
            await wire.rest()
    assert said == [], "nobody was given up"
    assert house.books.settled == [("drained", 1)]


async def test_a_second_stop_does_not_wait_for_an_answer_that_cannot_be_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("portico.door.server._SETTLE_S_MAX", 0)
    arrived, release = asyncio.Event(), asyncio.Event()

    async def deaf(_: Exchange) -> None:
        arrived.set()
        await release.wait()

    with structlog.testing.capture_logs() as said:
        async with serving(deaf, drain_s=3_600) as scene:
            wire = await scene.connect()
            await wire.send(request())
            await arrived.wait()
            scene.server.stop()
            for _ in range(10):  # turns of the loop, in which it begins to wait
                await asyncio.sleep(0)
            scene.server.stop()
            assert await wire.rest() == b""
            release.set()
    assert [each["event"] for each in said] == ["answers did not end"]


async def test_a_body_still_on_its_way_is_not_waited_for_beyond_the_limit() -> None:
    house = House(says(b"hello"))
    arrived = asyncio.Event()
    serve = house.dispatch.serve

    async def arrive(exchange: Exchange) -> None:
        arrived.set()
        await serve(exchange)

    async with serving(arrive, drain_s=0.1) as scene:
        wire = await scene.connect()
        await wire.send(STREAM[:-3])
        await arrived.wait()
        scene.server.stop()
        assert (await wire.answer()).status == 503
        assert house.books.opened == []


async def test_what_was_answered_is_still_delivered_while_going_down() -> None:
    size = 12_000_000

    async def serve(exchange: Exchange) -> None:
        exchange.reply(200, b"", b"x" * size)

    async with serving(serve) as scene:
        wire = await scene.connect()
        await wire.send(request())
        await wire.reader.readuntil(b"\r\n\r\n")
        scene.server.stop()
        assert len(await wire.rest()) == size


async def test_idle_and_unfinished_connections_do_not_hold_the_server_up() -> None:
    house = House(says(b"hello"))
    async with house.open(drain_s=3_600, limits=limits(header_read_s=3_600)) as scene:
        idle, unfinished = await scene.connect(), await scene.connect()
        await idle.send(STREAM)
        assert (await idle.answer()).status == 200
        await unfinished.send(STREAM[:20])
        scene.server.stop()
        assert await idle.rest() == b""
        assert await unfinished.rest() == b""
