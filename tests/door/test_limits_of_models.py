"""Limits per minute as a client of each dialect meets them, of all models together and of one."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest

from portico.admission.line import QueueLimits
from portico.admission.service import Admission
from portico.app.spoken.dialects import OPENAI_CHAT, spoken
from portico.callers.model import Caller
from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.canon.usage import Usage
from portico.door.dialect import Dialect
from portico.door.dispatch import Dispatch
from portico.door.endpoints import Models
from portico.door.endpoints import Usage as UsageOf
from portico.door.endpoints.answering import Reception
from portico.door.endpoints.models import offered_by
from portico.door.routes import Handle, Route, Routes
from portico.door.visits.generation import Generation
from portico.engines.simulated.fleet import fleet
from portico.journey import Rooms
from portico.kit.clock import SystemClock
from portico.kit.sealing import Seal
from portico.metering.model import GroupBy, Question, Totals
from portico.rates.counters import Alone
from portico.rates.model import Rule
from portico.rates.service import Rates
from portico.routing.model import Deployment
from portico.routing.service import Routing
from tests.door.rooms import CALLER, NO_KEYS, Books, Entry
from tests.door.scene import Answer, Scene, Watching, request, serving

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()
SPOKEN = spoken(Seal([b"s" * 32]), CLOCK)
LIMITED, FREE = "sim-echo", "sim-lorem"
SAID = [{"role": "user", "content": "Hi"}]
PARTS = [{"role": "user", "parts": [{"text": "Hi"}]}]
OPENAI = ("Authorization: Bearer pk_good",)
ASKED: dict[str, tuple[str, dict[str, Any], tuple[str, ...], str]] = {
    "chat": ("/v1/chat/completions", {"messages": SAID}, OPENAI, "x-"),
    "completions": ("/v1/completions", {"prompt": "Hi"}, OPENAI, "x-"),
    "responses": ("/v1/responses", {"input": "Hi"}, OPENAI, "x-"),
    "messages": (
        "/v1/messages",
        {"messages": SAID, "max_tokens": 9},
        ("x-api-key: pk_good", "anthropic-version: 2023-06-01"),
        "anthropic-",
    ),
    "gemini": (
        "/v1beta/models/{}:generateContent",
        {"contents": PARTS},
        ("x-goog-api-key: pk_good",),
        "x-",
    ),
}
"""Path, body, headers, and what names of headers about limits begin with."""


class Readers:
    """Those of a database with these limits."""

    def __init__(self, *rules: Rule) -> None:
        self._rules = rules

    async def run(self, _: Any) -> Mapping[tuple[str, str], tuple[Rule, ...]]:
        found: dict[tuple[str, str], tuple[Rule, ...]] = {}
        for rule in self._rules:
            owner = (rule.scope, rule.scope_id)
            found[owner] = (*found.get(owner, ()), rule)
        return found


class Counted(Entry):
    """A record that counts as a real one does."""

    def __init__(self) -> None:
        super().__init__()
        self.usage: Any = Usage(1)

    def count(self, delta: Delta) -> None:
        self.usage.started = True
        if delta.meters is not None:
            self.usage.told = delta.meters
        else:
            self.usage.counted_output += delta.output_tokens


class Metered(Books):
    def open(self, arrival: Any, caller: Caller, prompt: Prompt, permit: Any) -> Entry:
        return Counted()


class House:
    """The door, with limits behind it.  Made inside a running loop."""

    def __init__(self, *rules: Rule, places: int = 10) -> None:
        readers: Any = Readers(*rules)
        self.rates = Rates(readers, Alone(CLOCK), CLOCK)
        self.admission = Admission(QueueLimits(0, 5.0), CLOCK, None, self.rates)
        books: Any = Metered()
        routing = Routing(
            Deployment(f"s/{name}", name, engine, "us", 0)
            for name, engine in fleet(CLOCK, concurrency_max=places)
        )
        rooms = Rooms(books, routing, self.admission, books, books)
        reception = Reception(books, self.admission, SPOKEN.others)
        models = Models(reception, offered_by(routing, books), SPOKEN.shapes, SPOKEN.others)
        usage = UsageOf(reception, _nothing, CLOCK)
        routes = [
            Route("POST", path, _generation(dialect, rooms), scope="generate")
            for path, dialect in SPOKEN.generating.items()
        ]
        told = {
            "/v1/models": models.all,
            "/v1beta/models": models.all,
            "/v1/models/{id}": models.one,
            "/v1/usage": usage.own,
        }
        routes += [Route("GET", path, handle, scope="x") for path, handle in told.items()]
        self._dispatch = Dispatch(
            Routes(routes), OPENAI_CHAT.render, Watching(), None, SPOKEN.others
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Scene]:
        await self.rates.refresh()
        async with serving(self._dispatch.serve) as scene:
            yield scene


def _generation(dialect: Dialect, rooms: Rooms) -> Handle:
    return Generation(
        dialect, rooms, CLOCK, NO_KEYS, body_bytes_max=100_000, compression=True
    ).handle


async def _nothing(_: Question, __: GroupBy) -> dict[str, Totals]:
    return {}


def limit(model: str = "", **limits: int) -> Rule:
    none = dict.fromkeys(
        ("requests_per_minute", "input_tokens_per_minute", "output_tokens_per_minute")
    )
    return Rule("key", CALLER.key_id, model, **(none | limits))


def asking(dialect: str, model: str, **also: Any) -> bytes:
    path, fields, headers, _ = ASKED[dialect]
    body = {"model": model, **fields, **also}
    return request(path.format(model), json.dumps(body).encode(), *headers)


def told(answer: Answer) -> dict[str, str]:
    """What headers say of limits per minute, as OpenAI orders the words."""
    found = {}
    for name, said in answer.headers.items():
        if name.startswith("x-ratelimit-"):
            found[name.removeprefix("x-ratelimit-")] = said
        elif name.startswith("anthropic-ratelimit-"):
            meter, _, what = name.removeprefix("anthropic-ratelimit-").rpartition("-")
            found[f"{what}-{meter}"] = said
    return found


@pytest.mark.parametrize("dialect", ASKED)
async def test_a_model_s_limit_is_its_own(dialect: str) -> None:
    async with House(limit(LIMITED, requests_per_minute=1)).open() as scene:
        first = await scene.ask(asking(dialect, LIMITED))
        assert first.status == 200
        said = told(first)
        assert (said["limit-requests"], said["remaining-requests"]) == ("1", "0")
        resets_in_a_minute(dialect, said["reset-requests"])
        refused = await scene.ask(asking(dialect, LIMITED))
        assert refused.status == 429
        assert "requests_per_minute_exceeded" in refused.body.decode()
        assert f"of '{LIMITED}'" in refused.body.decode()
        said = told(refused)
        assert (said["limit-requests"], said["remaining-requests"]) == ("1", "0")
        assert 55 <= int(refused.headers["retry-after"]) <= 61
        assert "x-should-retry" not in refused.headers
        assert refused.headers["portico-concurrency-remaining"] == "5000"
        other = await scene.ask(asking(dialect, FREE))
        assert (other.status, told(other)) == (200, {})


@pytest.mark.parametrize("dialect", ASKED)
async def test_input_counts_before_and_output_after(dialect: str) -> None:
    rule = limit(LIMITED, input_tokens_per_minute=1_000, output_tokens_per_minute=1)
    async with House(rule).open() as scene:
        said = told(await scene.ask(asking(dialect, LIMITED)))
        assert 900 < int(said[f"remaining-{'input-' * (dialect == 'messages')}tokens"]) < 1_000
        assert said["remaining-output-tokens"] == "1"
        if dialect == "messages":
            assert said["remaining-tokens"] == "1"
        refused = await scene.ask(asking(dialect, LIMITED))
        assert refused.status == 429
        assert "output_tokens_per_minute_exceeded" in refused.body.decode()
        assert told(refused)["remaining-output-tokens"] == "0"
        assert 55 <= int(refused.headers["retry-after"]) <= 61


@pytest.mark.parametrize("dialect", ASKED)
async def test_what_never_fits_is_not_to_be_tried_again(dialect: str) -> None:
    async with House(limit(LIMITED, input_tokens_per_minute=0)).open() as scene:
        refused = await scene.ask(asking(dialect, LIMITED))
        assert refused.status == 429
        assert "input_tokens_per_minute_exceeded" in refused.body.decode()
        assert "retry-after" not in refused.headers


FREE_GETS = [
    ("/v1/models", "chat"),
    ("/v1/models", "messages"),
    ("/v1/models", "gemini"),
    ("/v1beta/models", "gemini"),
    ("/v1/models/sim-echo", "messages"),
    ("/v1/models/none", "messages"),
    ("/v1/usage", "chat"),
]


@pytest.mark.parametrize(("path", "dialect"), FREE_GETS)
async def test_what_runs_nothing_tells_what_is_left_and_takes_nothing(
    path: str, dialect: str
) -> None:
    rules = limit(requests_per_minute=7), limit(LIMITED, requests_per_minute=3)
    async with House(*rules).open() as scene:
        assert (await scene.ask(asking(dialect, LIMITED))).status == 200
        for _ in range(3):
            answer = await scene.ask(request(path, b"", *ASKED[dialect][2], method="GET"))
            said = told(answer)
            assert (said["limit-requests"], said["remaining-requests"]) == ("7", "6")
            assert any(name.startswith(ASKED[dialect][3] + "ratelimit") for name in answer.headers)
            assert answer.headers["portico-concurrency-remaining"] == "5000"


async def test_strangers_are_told_nothing_of_limits() -> None:
    async with House(limit(requests_per_minute=7)).open() as scene:
        answer = await scene.ask(request("/v1/models", b"", "x-api-key: pk_bad", method="GET"))
        assert (answer.status, told(answer)) == (401, {})
        assert "portico-concurrency-limit" not in answer.headers


@pytest.mark.parametrize("dialect", ASKED)
@pytest.mark.parametrize("wrong", ["body", "model"])
async def test_who_is_refused_before_admission_hears_of_his_places(
    dialect: str, wrong: str
) -> None:
    async with House().open() as scene:
        asked = asking(dialect, "none" if wrong == "model" else LIMITED)
        if wrong == "body":
            asked = request(ASKED[dialect][0].format(LIMITED), b"{", *ASKED[dialect][2])
        answer = await scene.ask(asked)
        assert answer.status == (404 if wrong == "model" else 400)
        assert answer.raw_head.count(b"portico-concurrency-limit: 5000") == 1
        assert answer.headers["portico-concurrency-remaining"] == "5000"


async def test_who_finds_no_place_hears_of_all_his_limits() -> None:
    house = House(limit(requests_per_minute=7), limit(requests_at_once=0, model=LIMITED))
    async with house.open() as scene:
        answer = await scene.ask(asking("messages", LIMITED))
        assert answer.status == 429
        assert "concurrency_exceeded" in answer.body.decode()
        assert told(answer)["remaining-requests"] == "6"
        assert answer.raw_head.count(b"portico-concurrency-limit: 5000") == 1


def resets_in_a_minute(dialect: str, said: str) -> None:
    if dialect == "messages":
        left_s = datetime.fromisoformat(said).timestamp() - CLOCK.wall_ms() / 1000
        assert 50 < left_s <= 61
    else:
        assert said == "1m0s"
