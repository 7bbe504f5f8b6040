"""From the door through the journey and back, with nothing in between but scripted rooms."""

import asyncio
import gzip
import json
from collections.abc import MutableMapping
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from portico import errors
from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.door.dialect import Dialect
from portico.door.dispatch import Dispatch
from portico.door.endpoints import Models
from portico.door.endpoints.models import offered_by
from portico.door.routes import Route, Routes
from portico.door.visits.generation import Generation
from portico.engines.base import Relay, UpstreamFailed
from portico.kit.clock import SystemClock
from tests.door.rooms import NO_KEYS, PLAIN, Books, Script, Scripted, rooms, says
from tests.door.scene import Scene, Watching, limits, request, serving

pytestmark = pytest.mark.anyio

PATH = "/v1/chat/completions"
KEY = "Authorization: Bearer pk_good"


class House:
    """The door with rooms behind it."""

    def __init__(
        self, script: Script, books: Books | None = None, dialect: Dialect = PLAIN
    ) -> None:
        self.books = books or Books()
        self.engine = Scripted(script)
        self.rooms = rooms(self.books, self.engine)
        self.watching = Watching()
        generation = Generation(
            dialect, self.rooms, SystemClock(), NO_KEYS, body_bytes_max=100_000, compression=True
        )
        models = Models(self.books, offered_by(self.rooms.routing, self.rooms.counter))
        routes = Routes(
            [
                Route("POST", PATH, generation.handle, scope="generate"),
                Route("GET", "/v1/models", models.all, scope="generate"),
            ]
        )
        self.render = dialect.render
        self.dispatch = Dispatch(routes, dialect.render, self.watching)

    def open(self, **how: Any) -> Any:
        return serving(self.dispatch.serve, watching=self.watching, render=self.render, **how)


def asking(*headers: str, **asked: Any) -> bytes:
    return request(PATH, json.dumps({"model": "m", **asked}).encode(), KEY, *headers)


async def test_an_answer_comes_whole_with_its_headers() -> None:
    house = House(says(b"hello ", b"there"))
    async with house.open() as scene:
        answer = await scene.ask(asking(warnings=["dropped \r\nx-evil: 1", "é"]))
        assert (answer.status, answer.body) == (200, b"hello there.")
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-request-id"] == house.books.opened[0]
        assert answer.headers["openai-processing-ms"].isdigit()
        assert answer.headers["portico-warnings"] == "dropped ??x-evil: 1, ?"
        assert "x-evil" not in answer.headers
        assert house.books.settled == [("completed", 2)]
        assert house.watching.answered_ == [(PATH, 200)]


async def test_a_stream_is_recorded_before_its_end_is_seen() -> None:
    books = Books(slow=asyncio.Event())
    house = House(says(b"one", b"two"), books)
    async with house.open() as scene:
        wire = await scene.connect()
        await wire.send(asking(stream=True))
        answer = await wire.answer(head_only=True)
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["x-accel-buffering"] == "no"
        chunks = wire.chunks()
        assert [await anext(chunks), await anext(chunks)] == [b"one", b"two"]
        await books.settling.wait()
        assert books.slow is not None
        books.slow.set()
        assert [chunk async for chunk in chunks] == [b"."]
        assert books.settled == [("completed", 2)]


async def test_the_head_waits_for_the_first_delta_so_that_an_early_failure_keeps_its_status() -> (
    None
):
    async def fails(prompt: Prompt, relay: Relay) -> None:
        await relay(Delta())
        raise UpstreamFailed(errors.UPSTREAM_FAILED("The engine fell over."))

    house = House(fails)
    async with house.open() as scene:
        answer = await scene.ask(asking(stream=True))
        assert (answer.status, answer.code) == (502, "upstream_failed")
        assert answer.headers["content-type"] == "application/json"
        assert house.books.settled == [("upstream_failed", 0)]


@pytest.mark.parametrize(
    ("fault", "code", "outcome"),
    [
        (UpstreamFailed(errors.UPSTREAM_FAILED("Gone.")), "upstream_failed", "upstream_failed"),
        (errors.UPSTREAM_REFUSED("No."), "upstream_refused", "refused"),
        (ValueError("a bug"), "internal_error", "internal_error"),
    ],
)
async def test_a_late_failure_is_the_streams_terminal_event(
    fault: Exception, code: str, outcome: str
) -> None:
    async def fails(prompt: Prompt, relay: Relay) -> None:
        await relay(Delta(raw=b"one", output_tokens=1))
        raise fault

    house = House(fails)
    async with house.open() as scene:
        wire = await scene.connect()
        await wire.send(asking(stream=True) * 2)
        for _ in range(2):
            answer = await wire.answer()
            assert (answer.status, answer.body) == (200, b"one!" + code.encode())
        assert house.books.settled == [(outcome, 1)] * 2


def _away() -> OperationalError:
    return OperationalError("SELECT 1", None, Exception("server closed the connection"))


@pytest.mark.parametrize("begun", [False, True])
async def test_503_where_the_database_cannot_be_asked(begun: bool) -> None:
    async def fails(prompt: Prompt, relay: Relay) -> None:
        if begun:
            await relay(Delta(raw=b"one", output_tokens=1))
        raise _away()

    house = House(fails)
    async with house.open() as scene:
        answer = await scene.ask(asking(stream=begun))
        if begun:
            assert answer.body == b"one!storage_unavailable"
        else:
            assert (answer.status, answer.code) == (503, "storage_unavailable")
        assert b"SELECT" not in answer.body


async def test_a_bug_is_a_500_with_a_request_id_and_no_word_about_itself(
    logged: list[MutableMapping[str, Any]],
) -> None:
    async def fails(prompt: Prompt, relay: Relay) -> None:
        raise ValueError("secret detail")

    house = House(fails)
    async with house.open() as scene:
        answer = await scene.ask(asking())
        assert (answer.status, answer.code) == (500, "internal_error")
        assert answer.headers["x-request-id"] == house.books.opened[0]
        assert b"secret" not in answer.body
        assert b"Traceback" not in answer.body
        assert house.watching.refused_ == ["internal_error"]
        failed, answered = logged
        assert (failed["event"], failed["exc_info"]) == ("a request failed", True)
        assert (answered["event"], answered["status"]) == ("answered", 500)
        assert failed["request_id"] == answered["request_id"] == house.books.opened[0]


async def test_an_answer_that_could_not_be_recorded_is_not_given() -> None:
    books = Books(fails=errors.STORAGE_UNAVAILABLE("Disk full.", retry_after_ms=2_000))
    async with House(says(b"hello"), books).open() as scene:
        assert (await scene.ask(asking())).status == 503
        streamed = await scene.ask(asking(stream=True))
        assert streamed.body == b"hello!storage_unavailable"


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (request(PATH, b"{}"), 401, "invalid_api_key"),
        (request(PATH, b"{}", KEY, "x-api-key: pk_other"), 400, "two_credentials"),
        (request(PATH, b"not json", KEY), 400, "invalid_json"),
        (request(PATH, b"x" * 100_001, KEY), 413, "body_too_large"),
        (request(PATH, b"x", KEY, "Content-Encoding: zip"), 415, "unsupported_encoding"),
        (request(PATH, b"x", KEY, "Content-Encoding: gzip"), 400, "corrupt_encoding"),
        (asking(model="nope"), 404, "model_not_found"),
        (request("/v1/v1/chat/completions", b"{}", KEY), 404, "not_found"),
        (request(PATH, method="GET"), 405, "method_not_allowed"),
    ],
)
async def test_a_refusal_says_what_is_wrong_and_opens_no_record(
    sent: bytes, status: int, code: str
) -> None:
    house = House(says(b"never"))
    async with house.open() as scene:
        answer = await scene.ask(sent)
        assert (answer.status, answer.code) == (status, code)
        assert answer.headers["x-request-id"].startswith("req_")
        assert answer.headers["x-should-retry"] == "false"
        assert ("www-authenticate" in answer.headers) == (status == 401)
        assert answer.headers.get("allow") == ("POST" if status == 405 else None)
        assert house.books.opened == []
        assert house.watching.refused_ == [code]


async def test_a_compressed_body_and_the_hints_reach_the_engine() -> None:
    house = House(says(b"hello"))
    body = gzip.compress(json.dumps({"model": "m", "pad": "x" * 500_000}).encode())
    async with house.open() as scene:
        answer = await scene.ask(
            request(PATH, body, KEY, "Content-Encoding: gzip", "X-Portico-Sim: slow")
        )
        assert answer.status == 413, "half a megabyte, decoded"
        body = gzip.compress(json.dumps({"model": "m", "pad": "x" * 50_000}).encode())
        answer = await scene.ask(
            request(PATH, body, KEY, "Content-Encoding: gzip", "X-Portico-Sim: slow")
        )
        assert answer.status == 200
        assert house.engine.asked[0].hints == {"x-portico-sim": "slow"}
        assert house.engine.asked[0].project_id == "proj_a"


async def hang_up_after(scene: Scene, house: House, chunks_seen: int, *, stream: bool) -> None:
    wire = await scene.connect()
    await wire.send(asking(stream=stream))
    if stream and chunks_seen:
        await wire.answer(head_only=True)
        chunks = wire.chunks()
        for _ in range(chunks_seen):
            await anext(chunks, None)
    wire.hang_up()


DELTAS = 12


async def test_streams_started_is_streams_settled_wherever_the_client_hangs_up() -> None:
    house = House(says(*[b"token"] * DELTAS))
    async with house.open() as scene:
        for _ in range(5):
            for index in range(DELTAS + 3):
                await hang_up_after(scene, house, index, stream=True)
            await hang_up_after(scene, house, 0, stream=False)
        await scene.everybody_gone()
        await scene.quiet()
        assert len(house.books.settled) == len(house.books.opened)
        assert {outcome for outcome, _ in house.books.settled} <= {"completed", "client_gone"}
        assert house.engine.running == 0
        assert house.rooms.admission.running == house.rooms.admission.waiting == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_hang_up_stops_an_engine_that_would_never_end(
    stream: bool, logged: list[MutableMapping[str, Any]]
) -> None:
    started = asyncio.Event()

    async def endless(prompt: Prompt, relay: Relay) -> None:
        while True:
            await relay(Delta(raw=b"more", output_tokens=1))
            started.set()
            await asyncio.sleep(0)

    house = House(endless)
    async with house.open() as scene:
        wire = await scene.connect()
        await wire.send(asking(stream=stream))
        await started.wait()
        wire.hang_up()
        await scene.everybody_gone()
        await scene.quiet()
        assert [outcome for outcome, _ in house.books.settled] == ["client_gone"]
        assert house.books.settled[0][1] >= 1
        assert house.engine.running == 0
        assert logged == [], "a hang-up is nobody's fault"


async def test_a_client_that_stops_reading_frees_its_engine_and_is_settled() -> None:
    async def endless(prompt: Prompt, relay: Relay) -> None:
        while True:
            await relay(Delta(raw=b"x" * 10_000, output_tokens=1))
            await asyncio.sleep(0)

    house = House(endless)
    async with house.open(limits=limits(write_idle_s=0.1)) as scene:
        wire = await scene.connect()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await wire.send(asking(stream=True))
        await scene.everybody_gone()
        await scene.quiet()
        assert [outcome for outcome, _ in house.books.settled] == ["client_gone"]
        assert house.engine.running == 0
