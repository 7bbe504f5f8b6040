"""Questions for token counts: whom they ask, and how many at once."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from portico.admission.counts import CountLimits, Counts
from portico.admission.line import QueueLimits
from portico.app.spoken.dialects import Spoken, spoken
from portico.canon.prompt import Prompt
from portico.door.dispatch import Dispatch
from portico.door.endpoints.counting import Counting
from portico.door.routes import Route, Routes
from portico.kit.clock import SystemClock
from portico.kit.sealing import Seal
from portico.routing.health import FAILURES_IN_A_ROW
from portico.routing.model import Deployment
from portico.routing.service import Routing
from tests.door.rooms import PLAIN, Books, Scripted, says
from tests.door.scene import Answer, Scene, Watching, request, serving

pytestmark = pytest.mark.anyio

KEY = "Authorization: Bearer pk_good"
WORDS: Spoken = spoken(Seal([b"s" * 32]), SystemClock())
BODIES = {
    "/v1/messages/count_tokens": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "/v1/responses/input_tokens": {"model": "m", "input": "hi"},
    "/v1beta/models/m:countTokens": {"contents": [{"parts": [{"text": "hi"}]}]},
}
OVERLOADED = {
    "/v1/messages/count_tokens": (529, lambda body: body["error"]["type"], "overloaded_error"),
    "/v1/responses/input_tokens": (503, lambda body: body["error"]["code"], "overloaded"),
    "/v1beta/models/m:countTokens": (503, lambda body: body["error"]["status"], "UNAVAILABLE"),
}


@dataclass
class Teller(Scripted):
    """An engine that counts as it is told to; it notes that it was asked."""

    counts: Callable[[], Awaitable[int | None]] = field(default=lambda: said(None))
    questions: int = 0

    async def count(self, prompt: Prompt) -> int | None:
        assert prompt.project_id == "proj_a"
        self.questions += 1
        return await self.counts()


async def said(count: int | None) -> int | None:
    return count


def teller(count: int | None, *, ready: bool = True) -> Teller:
    return Teller(says(b""), ready=ready, counts=lambda: said(count))


class Desk:
    def __init__(self, *tellers: Teller, per_key: int = 9, per_model: int = 9) -> None:
        self.routing = Routing(
            Deployment(f"{at}/m", "m", each, "us", 0) for at, each in enumerate(tellers)
        )
        self.counts = Counts(CountLimits(per_key, per_model, QueueLimits(0, 5.0)), SystemClock())
        books: Any = Books()
        routes = [
            Route(
                "POST",
                question.path,
                Counting(
                    question.dialect,
                    question.parse,
                    question.told,
                    books,
                    self.routing,
                    self.counts,
                    body_bytes_max=10_000,
                    compression=True,
                ).handle,
                scope="generate",
            )
            for question in WORDS.questions
        ]
        self.serve = Dispatch(Routes(routes), PLAIN.render, Watching(), None, WORDS.others).serve

    @property
    def held(self) -> dict[str, int]:
        return self.counts._shares.open


async def ask(scene: Scene, path: str) -> Answer:
    return await scene.ask(request(path, json.dumps(BODIES[path]).encode(), KEY))


PATH = "/v1/responses/input_tokens"


async def count_of(*tellers: Teller) -> tuple[int, bool]:
    """What is told, and whether it is a bound."""
    async with serving(Desk(*tellers).serve) as scene:
        answer = await ask(scene, PATH)
    assert answer.status == 200
    return answer.json["input_tokens"], "portico-estimated" in answer.headers


async def test_the_first_one_that_is_there_is_asked_and_the_next_one_where_it_cannot_say() -> None:
    assert await count_of(teller(7), teller(8)) == (7, False)
    assert await count_of(teller(7, ready=False), teller(8)) == (8, False)
    assert await count_of(teller(None), teller(8)) == (8, False)
    bound = len(json.dumps(BODIES[PATH]))
    assert await count_of(teller(None), teller(7, ready=False)) == (bound, True)


async def test_one_that_is_left_alone_is_not_asked() -> None:
    first, second = teller(7), teller(8)
    desk = Desk(first, second)
    health = desk.routing.choose(PROMPT_OF_M, "own").health
    broken = health.breaker(desk.routing.models()["m"][0])
    for _ in range(FAILURES_IN_A_ROW):
        broken.failed(broken.epoch, 0.0)
    async with serving(desk.serve) as scene:
        answer = await ask(scene, PATH)
    assert (answer.json["input_tokens"], first.questions) == (8, 0)


PROMPT_OF_M = PLAIN.parse(b'{"model": "m"}', {})


@pytest.mark.parametrize("path", BODIES)
async def test_refused_in_the_words_of_who_asks_while_others_are_counted(path: str) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> int:
        asked.set()
        await go_on.wait()
        return 7

    desk = Desk(Teller(says(b""), counts=slowly), per_model=1)
    async with serving(desk.serve) as scene:
        first = asyncio.create_task(ask(scene, PATH))
        await asked.wait()
        status, named, word = OVERLOADED[path]
        answer = await ask(scene, path)
        assert (answer.status, named(answer.json)) == (status, word)
        assert int(answer.headers["retry-after"]) >= 1
        go_on.set()
        assert (await first).json["input_tokens"] == 7
    assert desk.held == {}


async def test_429_for_a_key_that_asks_too_much_at_once() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> int:
        asked.set()
        await go_on.wait()
        return 7

    async with serving(Desk(Teller(says(b""), counts=slowly), per_key=1).serve) as scene:
        first = asyncio.create_task(ask(scene, PATH))
        await asked.wait()
        answer = await ask(scene, PATH)
        assert (answer.status, answer.code) == (429, "concurrency_exceeded")
        go_on.set()
        await first


async def test_who_hangs_up_gives_the_place_back() -> None:
    asked, ended = asyncio.Event(), asyncio.Event()

    async def never() -> int:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return 0

    desk = Desk(Teller(says(b""), counts=never))
    async with serving(desk.serve) as scene:
        wire = await scene.connect()
        await wire.send(request(PATH, json.dumps(BODIES[PATH]).encode(), KEY))
        await asked.wait()
        assert desk.held
        wire.hang_up()
        await ended.wait()
        await scene.quiet()
    assert desk.held == {}
