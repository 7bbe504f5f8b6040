"""The Responses dialect through the door: silence and failure, as its clients see them."""

import asyncio
import json
from typing import Any

import pytest

from portico import errors
from portico.app.spoken.responses import responses
from portico.canon.delta import Delta, Finished, Text
from portico.canon.prompt import Prompt
from portico.dialects.openai_responses.opening import Seals
from portico.dialects.openai_responses.parse import Parser
from portico.door.dispatch import Dispatch
from portico.door.routes import Route, Routes
from portico.door.visits.generation import Generation
from portico.engines.base import Relay, UpstreamFailed
from portico.kit.clock import SystemClock
from portico.kit.sealing import Seal
from portico.replay.claim import Claim
from portico.replay.model import Wish
from tests.dialects.openai_responses.streams import check_stream
from tests.door.scene import limits, request
from tests.door.test_generation import KEY, PATH, House
from tests.whole.wire import unchunked

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()
SEALS = Seals(Seal([b"s" * 32]), CLOCK)
RESPONSES = responses(Parser(SEALS), SEALS, CLOCK)
ASKED = json.dumps({"model": "m", "input": "Hi", "stream": True}).encode()
IN_PROGRESS = b"event: response.in_progress"


def body_of(answer: bytes) -> bytes:
    return unchunked(answer.partition(b"\r\n\r\n")[2])


async def test_edge_13_a_silent_stream_repeats_that_it_is_in_progress() -> None:
    go = asyncio.Event()

    async def thinks(prompt: Prompt, relay: Relay) -> None:
        await relay(Delta(events=(Text("Hi"),)))
        await go.wait()
        await relay(Delta(events=(Finished("stop"),), last=True))

    async with House(thinks, dialect=RESPONSES).open(limits=limits(ping_s=0.04)) as scene:
        wire = await scene.connect()
        await wire.send(request(PATH, ASKED, KEY))
        answer = b""
        for _ in range(3):  # the one at the start, and two more
            answer += await wire.read_until(IN_PROGRESS)
        go.set()
        answer += await wire.read_until(b"\r\n0\r\n\r\n")
        events = check_stream(body_of(answer))
        assert [event["type"] for event in events].count("response.in_progress") >= 3


class Shelf:
    """Has room for every answer, and tells nobody."""

    def take(self, count: int) -> bool:
        return True

    def give_back(self, count: int) -> None:
        return

    def keyed(self, outcome: str) -> None:
        return

    def not_stored(self, reason: str) -> None:
        return


class Keys:
    """Takes every key, and keeps the claim for the test to look at."""

    def __init__(self) -> None:
        wish, shelf = Wish("proj_a", "k", b"d", "req_a"), Shelf()
        self.claim = Claim(wish, shelf, shelf, bytes_max=100_000, keep_ms=1_000)

    async def take(self, *_: object, **__: object) -> Claim:
        return self.claim


async def test_what_is_kept_for_a_replay_has_the_keep_alives_that_were_numbered() -> None:
    go, keys = asyncio.Event(), Keys()

    async def thinks(prompt: Prompt, relay: Relay) -> None:
        await go.wait()
        await relay(Delta(events=(Text("Hi"),)))
        await relay(Delta(events=(Finished("stop"),), last=True))

    house = House(thinks, dialect=RESPONSES)
    stand_in: Any = keys
    kept = Generation(
        RESPONSES, house.rooms, CLOCK, stand_in, body_bytes_max=100_000, compression=True
    )
    house.dispatch = Dispatch(
        Routes([Route("POST", PATH, kept.handle, scope="generate")]),
        RESPONSES.render,
        house.watching,
    )
    async with house.open(limits=limits(ping_s=0.04)) as scene:
        wire = await scene.connect()
        await wire.send(request(PATH, ASKED, KEY, "Idempotency-Key: k"))
        answer = await wire.read_until(IN_PROGRESS)
        answer += await wire.read_until(IN_PROGRESS)
        go.set()
        answer += await wire.read_until(b"\r\n0\r\n\r\n")
    stored = keys.claim.end("completed").answer
    assert stored is not None
    assert check_stream(stored.before + stored.end) == check_stream(body_of(answer))


async def test_what_fails_goes_on_with_the_numbers_of_the_stream() -> None:
    async def breaks(prompt: Prompt, relay: Relay) -> None:
        await relay(Delta(events=(Text("Hi"),), output_tokens=1))
        raise UpstreamFailed(errors.UPSTREAM_FAILED("The engine fell over."))

    async with House(breaks, dialect=RESPONSES).open() as scene:
        wire = await scene.connect()
        await wire.send(request(PATH, ASKED, KEY))
        events = check_stream(body_of(await wire.read_until(b"\r\n0\r\n\r\n")))
        assert [event["type"] for event in events][-2:] == ["error", "response.failed"]
        assert events[-1]["response"]["output"][0]["content"][0]["text"] == "Hi"


async def test_what_fails_before_it_began_has_its_own_status() -> None:
    async def refuses(prompt: Prompt, relay: Relay) -> None:
        raise errors.CONTEXT_LENGTH("Too long.", field="messages")

    async with House(refuses, dialect=RESPONSES).open() as scene:
        answer = await scene.ask(request(PATH, ASKED, KEY))
        assert answer.status == 400
        assert answer.json["error"]["param"] == "input"
