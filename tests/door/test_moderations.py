"""Moderations over HTTP: who may ask, what is told in headers, and who hangs up."""

import json
from typing import Any

import pytest

from portico import errors
from portico.admission.counts import CountLimits, Counts
from portico.admission.line import QueueLimits
from portico.app.spoken.dialects import OPENAI_CHAT
from portico.door.dispatch import Dispatch
from portico.door.endpoints.moderations import Moderations
from portico.door.routes import Route, Routes
from portico.kit.clock import SystemClock
from portico.safety.guard.guard import Guard
from portico.safety.pack import NAME, pack
from portico.safety.service import InputLimits, Moderation
from tests.door.rooms import Books
from tests.door.scene import Answer, Scene, Watching, request, serving
from tests.engines.transport.upstream import answering, sized
from tests.safety.guards import each, guarded

pytestmark = pytest.mark.anyio

KEY = "Authorization: Bearer pk_good"
PATH = "/v1/moderations"
SAID = "I will kill you, ada@example.com"


class Unlimited:
    async def take(self, *_: Any) -> None:
        return None


class Desk:
    def __init__(self, guard: Guard | None = None) -> None:
        self.counts = Counts(CountLimits(9, 9, QueueLimits(0, 5.0)), SystemClock())
        judging = Moderation(pack(), guard, Unlimited(), self.counts, InputLimits(10, 10_000))
        books: Any = Books()
        endpoint = Moderations(OPENAI_CHAT, books, judging, body_bytes_max=4_096, compression=True)
        route = Route("POST", PATH, endpoint.handle, scope="generate")
        self.watching = Watching()
        self.serve = Dispatch(Routes([route]), OPENAI_CHAT.render, self.watching).serve


async def ask(scene: Scene, body: Any, *headers: str) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await scene.ask(request(PATH, data, *headers))


async def test_200_with_the_requests_name_and_nothing_to_cache() -> None:
    async with serving(Desk().serve) as scene:
        answer = await ask(scene, {"input": SAID}, KEY)
    assert answer.status == 200
    assert answer.json["model"] == NAME
    assert answer.json["results"][0]["flagged"] is True
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.headers["cache-control"] == "no-store"
    assert "portico-warnings" not in answer.headers


async def test_what_was_not_looked_at_is_said_in_a_header() -> None:
    async with serving(Desk().serve) as scene:
        image = {"type": "image_url", "image_url": {"url": "https://example.com/\r\nx: y"}}
        answer = await ask(scene, {"input": [image], "odd\r\nx: y": 1}, KEY)
    assert answer.status == 200
    assert answer.headers["portico-warnings"].count("action=dropped") == 2
    assert "x" not in answer.headers


async def test_401_without_a_key() -> None:
    async with serving(Desk().serve) as scene:
        answer = await ask(scene, {"input": "x"}, "Authorization: Bearer pk_bad")
    assert (answer.status, answer.code) == (401, "invalid_api_key")


async def test_400_for_no_json_in_the_envelope_of_openai() -> None:
    async with serving(Desk().serve) as scene:
        answer = await ask(scene, b"{", KEY)
    assert (answer.status, answer.code) == (400, "invalid_json")
    assert {"message", "type", "param", "code"} <= answer.json["error"].keys()


async def test_413_for_a_body_that_is_too_large() -> None:
    async with serving(Desk().serve) as scene:
        answer = await ask(scene, {"input": "x" * 5_000}, KEY)
    assert (answer.status, answer.code) == (413, "body_too_large")


async def test_503_with_retry_after_when_the_guard_is_away() -> None:
    desk_of = answering(sized(b"{}", status=b"500 No"))
    async with guarded(desk_of) as behind, serving(Desk(behind.guard).serve) as scene:
        answer = await ask(scene, {"input": SAID}, KEY)
    assert (answer.status, answer.code) == (503, errors.MODERATION_UNAVAILABLE.code)
    assert answer.headers["retry-after"] == "1"
    assert "127.0.0.1" not in answer.body.decode()
    assert "kill" not in answer.body.decode()


async def test_who_hangs_up_is_not_judged_any_further() -> None:
    async with guarded(each()) as behind:
        desk = Desk(behind.guard)
        async with serving(desk.serve) as scene:
            wire = await scene.connect()
            await wire.send(request(PATH, json.dumps({"input": SAID}).encode(), KEY))
            await behind.upstream.until_asked(1)
            assert desk.counts._shares.open
            wire.hang_up()
            await behind.upstream.until_ended(1)
            await scene.quiet()
    assert desk.counts._shares.open == {}
    assert desk.watching.refused_ == []


async def test_nothing_that_was_said_is_logged(logged: list[Any], caplog: Any) -> None:
    caplog.set_level("DEBUG")
    desk_of = answering(sized(b"garbage " + SAID.encode()))
    async with guarded(desk_of) as behind, serving(Desk(behind.guard).serve) as scene:
        for body in ({"input": SAID}, {"input": [SAID, 3]}, {"input": SAID, "model": SAID}):
            assert (await ask(scene, body, KEY)).status >= 400
    everything = f"{logged} {[record.getMessage() for record in caplog.records]}"
    assert "kill" not in everything
    assert "ada@" not in everything
