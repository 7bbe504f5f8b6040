"""Responses over a WebSocket, through the door: each message a request of its own."""

from typing import Any

import pytest

from portico import errors
from portico.door.sockets.socket import SocketLimits
from tests.door.hall import Gate, Hall, answer, closed, create, heard, joined, repeats, told

pytestmark = pytest.mark.anyio

# -- requests --------------------------------------------------------------------------------


async def test_each_message_is_a_request_of_its_own() -> None:
    hall = Hall(repeats())
    async with hall.socket() as (_, socket):
        for _ in range(3):
            await socket.send(create())
            events = await answer(socket)
            assert [event["type"] for event in events][:2] == [
                "response.created",
                "response.in_progress",
            ]
            assert [event["sequence_number"] for event in events] == list(range(len(events)))
            assert events[-1]["response"]["store"] is False
        assert len(set(hall.books.opened)) == 3
        assert hall.books.settled == [("completed", 2)] * 3
    told = [route for route in hall.watching.answered_ if "websocket" in route[0]]
    assert told == [("/v1/responses websocket", 200)] * 3


async def test_they_are_answered_one_at_a_time_in_their_order() -> None:
    gate = Gate()
    hall = Hall(gate)
    async with hall.socket() as (_, socket):
        for lane in ("a", "b", "c"):
            await socket.send(create(lane, stream_id=lane))
        assert (await heard(socket))["stream_id"] == "a"
        await hall.until(lambda: hall.engine.running == 1)
        assert len(hall.books.opened) == 1
        gate.go.set()
        lanes = [event["stream_id"] for _ in range(3) for event in await answer(socket)]
        assert sorted(lanes) == lanes
        assert set(lanes) == {"a", "b", "c"}


async def test_429_for_what_cannot_wait_any_more() -> None:
    gate = Gate()
    hall = Hall(gate, SocketLimits(waiting_max=1))
    async with hall.socket() as (_, socket):
        for lane in ("runs", "waits", "too many"):
            await socket.send(create(stream_id=lane))
        events = [await heard(socket)]
        while events[-1]["type"] != "error":
            events.append(await heard(socket))
        assert events[-1]["status"] == 429
        assert events[-1]["stream_id"] == "too many"
        assert events[-1]["error"]["code"] == "concurrency_exceeded"
        assert events[-1]["error"]["headers"]["retry-after"] == "1"
        gate.go.set()
        ended = [await answer(socket) for _ in range(2)]
        assert [events[-1]["stream_id"] for events in ended] == ["runs", "waits"]


@pytest.mark.parametrize(
    ("message", "param", "code"),
    [
        ("{", None, "invalid_json"),
        ("[]", None, "body_not_an_object"),
        ("[" * 100_000, None, "json_too_deep"),
        ('{"model": "m"}', "type", "missing_field"),
        ('{"type": "response.cancel"}', "type", "invalid_value"),
        ('{"type": "response.steer", "input": "x"}', "type", "unsupported_feature"),
        (create(background=True), "background", "invalid_value"),
        (create(stream=False), "stream", "invalid_value"),
        (create(generate="no"), "generate", "invalid_type"),
        (create(stream_id=7), "stream_id", "invalid_type"),
        (create(stream_id="x" * 200), "stream_id", "out_of_range"),
        (create(temperature=9), "temperature", "out_of_range"),
        (create(model="none"), "model", "model_not_found"),
        (create(previous_response_id="resp_1"), None, "previous_response_not_found"),
        (create([{"role": "user", "content": 1}]), "input[0].content", "invalid_type"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_refusal_ends_a_request_and_never_the_connection(
    message: str, param: str | None, code: str
) -> None:
    hall = Hall(repeats())
    async with hall.socket() as (_, socket):
        await socket.send(message)
        event = await heard(socket)
        assert (event["type"], event["error"]["code"]) == ("error", code)
        assert event["status"] == errors.CATALOGUE[code].status
        assert event["error"]["param"] == param
        assert event["error"]["headers"]["x-request-id"].startswith("req_")
        await socket.send(create(stream=True, background=False))
        assert (await answer(socket))[-1]["type"] == "response.completed"
    assert code in hall.watching.refused_
    assert len(hall.books.opened) == 1


async def test_what_is_only_prepared_runs_nothing_and_can_be_followed() -> None:
    hall = Hall(repeats())
    async with hall.socket() as (_, socket):
        await socket.send(create("Know this.", generate=False))
        prepared = (await answer(socket))[-1]["response"]
        assert (prepared["status"], prepared["output"]) == ("completed", [])
        assert hall.books.opened == hall.engine.asked == []
        await socket.send(create("Go.", previous_response_id=prepared["id"]))
        await answer(socket)
        assert "Know this." in told(hall.engine.asked[-1])


async def test_what_is_not_stored_is_followed_on_its_connection_alone() -> None:
    hall = Hall(repeats())
    async with hall.open() as scene:
        async with joined(scene) as socket:
            ids = []
            for text in ("first", "second", "third"):
                previous = {"previous_response_id": ids[-1]} if ids else {}
                await socket.send(create(text, **previous))
                response = (await answer(socket))[-1]["response"]
                assert response["previous_response_id"] == (ids[-1] if ids else None)
                ids.append(response["id"])
            said = told(hall.engine.asked[-1])
            order = [said.find(text) for text in ("first", "you said", "second", "third")]
            assert order == sorted(order)
            assert -1 not in order
            assert said.count("you said") == 2
            async with joined(scene) as other:
                await other.send(create(previous_response_id=ids[-1]))
                assert (await heard(other))["error"]["code"] == "previous_response_not_found"
            await socket.send(create("from the middle", previous_response_id=ids[0]))
            await answer(socket)
            assert "second" not in told(hall.engine.asked[-1])
        async with joined(scene) as again:
            await again.send(create(previous_response_id=ids[-1]))
            assert (await heard(again))["error"]["code"] == "previous_response_not_found"


@pytest.mark.parametrize("failing", [{"text": "fail"}, {"temperature": 9}, {"store": True}])
async def test_a_continuation_that_fails_takes_what_it_followed_with_it(
    failing: dict[str, Any],
) -> None:
    hall = Hall(repeats(fails_at="fail"))
    async with hall.socket() as (_, socket):
        await socket.send(create("first"))
        first = (await answer(socket))[-1]["response"]["id"]
        await socket.send(create(previous_response_id=first, **failing))
        assert (await answer(socket))[-1]["type"] == "error"
        await socket.send(create(previous_response_id=first))
        assert (await heard(socket))["error"]["code"] == "previous_response_not_found"


async def test_the_oldest_is_forgotten_when_room_is_needed() -> None:
    hall = Hall(repeats(), SocketLimits(links_max=2))
    async with hall.socket() as (_, socket):
        ids = []
        for _ in range(3):
            await socket.send(create())
            ids.append((await answer(socket))[-1]["response"]["id"])
        for response_id, known in zip(ids, (False, True, True), strict=True):
            await socket.send(create(previous_response_id=response_id, generate=False))
            kind = (await answer(socket))[-1]["type"]
            assert (kind == "response.completed") is known
            if known:
                break


# -- leaving ---------------------------------------------------------------------------------


@pytest.mark.parametrize("politely", [True, False], ids=["close", "reset"])
async def test_closing_is_hanging_up(politely: bool) -> None:
    hall = Hall(Gate())
    async with hall.open() as scene:
        socket = await joined(scene)
        for _ in range(3):
            await socket.send(create())
        await hall.until(lambda: hall.engine.running == 1)
        if politely:
            await socket.close()
        else:
            socket.transport.abort()
        await scene.quiet()
        assert hall.books.settled == [("client_gone", 1)]
        assert len(hall.books.opened) == 1
        await scene.everybody_gone()
        assert (hall.sockets.count, hall.presence.here) == (0, {})
        assert scene.edge.bodies_bytes == 0


async def test_a_key_that_ends_cuts_the_answer_and_closes() -> None:
    hall = Hall(Gate())
    async with hall.socket() as (_, socket):
        await socket.send(create())
        await socket.send(create())
        while (await heard(socket))["type"] != "response.output_text.delta":
            continue
        hall.presence.revoke()
        event = await heard(socket)
        assert (event["type"], event["error"]["code"]) == ("error", "api_key_revoked")
        assert (await heard(socket))["type"] == "response.failed"
        assert await closed(socket) == 1008
        assert hall.books.settled == [("revoked", 1)]


async def test_a_key_that_ends_closes_what_is_idle() -> None:
    hall = Hall(repeats())
    async with hall.socket() as (_, socket):
        hall.presence.revoke()
        assert await closed(socket) == 1008


async def test_a_server_that_stops_ends_what_runs_and_begins_nothing() -> None:
    gate = Gate()
    hall = Hall(gate)
    async with hall.open() as scene:
        busy, idle = await joined(scene), await joined(scene)
        await busy.send(create(stream_id="runs"))
        await busy.send(create(stream_id="waits"))
        await hall.until(lambda: hall.engine.running == 1)
        scene.server.stop()
        await busy.send(create(stream_id="late"))
        assert await closed(idle) == 1001
        events = [await heard(busy)]
        while events[-1].get("stream_id") != "late":
            events.append(await heard(busy))
        assert events[-1]["error"]["code"] == "server_shutting_down"
        gate.go.set()
        assert (await answer(busy))[-1]["type"] == "response.completed"
        refused = await heard(busy)
        assert (refused["stream_id"], refused["status"]) == ("waits", 503)
        assert await closed(busy) == 1001
        assert hall.books.settled == [("completed", 2)]


async def test_what_does_not_end_in_time_is_cut_and_says_so() -> None:
    hall = Hall(Gate())
    async with hall.open(drain_s=0.05) as scene:
        socket = await joined(scene)
        await socket.send(create())
        await hall.until(lambda: hall.engine.running == 1)
        scene.server.stop()
        events = await answer(socket)
        assert events[-1]["error"]["code"] == "server_shutting_down"
        assert (await heard(socket))["type"] == "response.failed"
        assert await closed(socket) == 1001
        assert hall.books.settled == [("drained", 1)]
