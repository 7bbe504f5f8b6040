"""A WebSocket ends in time, and holds no more than it may."""

import asyncio
from socket import SO_RCVBUF, SO_SNDBUF, SOL_SOCKET
from typing import Any

import pytest

from portico.canon.delta import Delta, Finished, Text
from portico.canon.prompt import Prompt
from portico.door.sockets.socket import SocketLimits
from portico.engines.base import Relay
from tests.door.hall import (
    Gate,
    Hall,
    answer,
    closed,
    create,
    frame,
    heard,
    opening,
    repeats,
)
from tests.door.scene import limits

pytestmark = pytest.mark.anyio

# -- time ------------------------------------------------------------------------------------


async def test_it_may_not_grow_old() -> None:
    gate = Gate()
    hall = Hall(gate)
    async with hall.socket() as (_, socket):
        await socket.send(create(stream_id="runs"))
        await hall.until(lambda: hall.engine.running == 1)
        hall.clock.pass_s(3_600)
        await socket.send(create(stream_id="late"))
        events = [await heard(socket)]
        while events[-1].get("stream_id") != "late":
            events.append(await heard(socket))
        assert events[-1]["status"] == 400
        assert events[-1]["error"]["code"] == "websocket_connection_limit_reached"
        gate.go.set()
        assert (await answer(socket))[-1]["type"] == "response.completed"
        assert (await heard(socket))["error"]["code"] == "websocket_connection_limit_reached"
        assert await closed(socket) == 1001


async def test_nothing_asked_for_too_long() -> None:
    hall = Hall(repeats())
    async with hall.socket() as (_, socket):
        await socket.send(create())
        await answer(socket)
        hall.clock.pass_s(599)
        await socket.ping()  # it lives, and asks nothing
        hall.clock.pass_s(1)
        assert await closed(socket) == 1000


async def test_an_answer_may_take_longer_than_that() -> None:
    gate = Gate()
    hall = Hall(gate)
    async with hall.socket() as (_, socket):
        await socket.send(create())
        await hall.until(lambda: hall.engine.running == 1)
        for _ in range(40):
            hall.clock.pass_s(19)
            await (await socket.ping())
        gate.go.set()
        assert (await answer(socket))[-1]["type"] == "response.completed"


async def test_who_is_asked_and_gives_no_sign_of_life_is_cut_off() -> None:
    hall = Hall(Gate())
    async with hall.open() as scene:
        wire = await scene.connect()
        await wire.send(opening() + frame(create().encode()))
        await wire.read_until(b"output_text.delta")
        hall.clock.pass_s(20)
        await wire.read_until(b"\x89\x00")  # a ping, which nobody answers
        hall.clock.pass_s(20)
        await wire.rest()
        await scene.quiet()
        assert hall.books.settled == [("client_gone", 1)]


async def test_a_message_has_the_time_of_a_body() -> None:
    hall = Hall(repeats())
    async with hall.open(limits(body_read_s=4, body_grace_s=4)) as scene:
        wire = await scene.connect()
        await wire.send(opening() + frame(create().encode())[:-1])
        assert (await wire.answer(head_only=True)).status == 101
        await hall.until(lambda: hall.sockets.count == 1)
        hall.clock.pass_s(4)
        assert b"body_timeout" in (said := await wire.rest())
        assert said.endswith(b"the message came too slowly")


async def test_a_client_that_does_not_read_is_not_answered_into_a_heap() -> None:
    """The engine is held back, nothing is read, and in the end the connection is cut."""
    big = "x" * 20_000

    async def talks(prompt: Prompt, relay: Relay) -> None:
        for _ in range(10_000):
            await relay(Delta(events=(Text(big),), output_tokens=1))
            await asyncio.sleep(0.0005)  # as an engine behind a socket lets others run
        await relay(Delta(events=(Finished("stop"),), last=True))

    hall = Hall(talks)
    async with hall.open(limits(write_idle_s=0.2)) as scene:
        wire = await scene.connect()
        await wire.send(opening())
        await wire.answer(head_only=True)
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport that reads
        (connection,) = scene.server.server_state.connections
        flow: Any = connection
        for socket, buffer in ((flow.transport, SO_SNDBUF), (wire.writer.transport, SO_RCVBUF)):
            # or the kernel takes all of it
            socket.get_extra_info("socket").setsockopt(SOL_SOCKET, buffer, 65_536)
        await wire.send(frame(create().encode()))
        await hall.until(lambda: flow.flow.write_paused)
        assert flow.flow.read_paused
        assert flow.transport.get_write_buffer_size() < 1_000_000
        assert hall.engine.running == 1
        while hall.books.settled == []:
            hall.clock.pass_s(0.1)
            await asyncio.sleep(0.005)
        ((outcome, tokens),) = hall.books.settled
        assert outcome == "client_gone"
        assert 0 < tokens < 10_000


def test_what_the_docs_say_is_the_default() -> None:
    said = SocketLimits()
    assert (said.connection_s, said.idle_s, said.ping_s, said.pong_s) == (3_600, 600, 20, 20)
    assert (said.per_key_max, said.connections_max, said.waiting_max) == (100, 1_000, 16)
