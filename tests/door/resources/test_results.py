"""The results of a batch of messages, which are read a page at a time while it may go."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from portico.app.spoken.dialects import OPENAI_CHAT, spoken
from portico.callers.model import Caller
from portico.callers.scopes import BATCHES
from portico.door.dispatch import Dispatch
from portico.door.resources.message_batches import MessageBatchEndpoints
from portico.door.routes import Route, Routes
from portico.kit.clock import SystemClock
from portico.kit.sealing import Seal
from portico.resources.batches.model import Line
from tests.door.scene import Watching, request, serving
from tests.resources.attic import MINE

pytestmark = pytest.mark.anyio


class Callers:
    async def verify(self, credential: str, scope: str, address: str) -> Caller:
        return MINE


@dataclass(frozen=True)
class Ended:
    """What is asked of a batch."""

    id: str
    lines: int
    ended_at_ms: int = 1


class Shrinking:
    """A batch of which only the first lines are there, once it was found: the sweep is at work."""

    def __init__(self, lines: int, there: int) -> None:
        self.lines_ = lines
        self.there = there

    async def get(self, caller: Caller, kind: str, batch_id: str) -> tuple[Ended, None]:
        return Ended(batch_id, self.lines_), None

    async def lines(self, caller: Caller, batch: Any, after: int, most: int) -> Sequence[Line]:
        last = min(self.there, after + most)
        return [
            Line(number, f"l-{number}", "succeeded", "req_1", 200, b"{}")
            for number in range(after + 1, last + 1)
        ]


async def told(batches: Any, method: str = "GET") -> bytes:
    dialect = spoken(Seal([b"s" * 32]), SystemClock()).others["anthropic"]
    endpoints = MessageBatchEndpoints(
        Callers(), batches, dialect, replay_ms=1, body_bytes_max=1, https=False
    )
    path = "/v1/messages/batches/{id}/results"
    route = Route("GET", path, endpoints.results, "Results.", scope=BATCHES)
    serve = Dispatch(Routes([route]), OPENAI_CHAT.render, Watching()).serve
    async with serving(serve, render=OPENAI_CHAT.render) as scene:
        wire = await scene.connect()
        sent = request(
            path.replace("{id}", "msgbatch_1"), b"", "Authorization: Bearer k", method=method
        )
        await wire.send(sent.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n"))
        return await wire.rest()


async def test_all_of_them_come() -> None:
    answer = await told(Shrinking(450, there=450))
    assert answer.count(b'"custom_id"') == 450
    assert answer.endswith(b"0\r\n\r\n")


async def test_what_goes_while_it_is_read_does_not_end_as_if_that_were_all() -> None:
    answer = await told(Shrinking(450, there=200))
    assert answer.count(b'"custom_id"') == 200
    assert not answer.endswith(b"0\r\n\r\n"), "a client sees that it was cut off"


async def test_nothing_of_them_is_read_for_a_head() -> None:
    answer = await told(Shrinking(450, there=0), "HEAD")
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"custom_id"' not in answer
