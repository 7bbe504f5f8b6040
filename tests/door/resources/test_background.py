"""What is asked for in the background: taken in once, and told again whatever has changed since."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import update

from portico import errors
from portico.db.database import Database
from portico.db.tables import project
from portico.door.resources.background import Background
from portico.door.visits.carrier import Unattended
from portico.door.visits.deferred import Deferred, Retried, is_deferred
from portico.kit.leaving import Leaving
from portico.resources.background.lives import Lives
from portico.resources.background.model import Limits
from portico.resources.responses.keeper import Keeper
from tests.keeping.held import held_bytes
from tests.resources.attic import MINE, Attic, attic
from tests.resources.responses.test_keeper import Tells

pytestmark = pytest.mark.anyio
BODY = json.dumps({"model": "m", "input": "Hello", "background": True}).encode()
GONE = errors.MODEL_NOT_FOUND("There is no such model.")


@dataclass
class Desk:
    """there: whether its model can be had."""

    mine: Attic
    there: bool = True
    asked: int = 0

    def __post_init__(self) -> None:
        self.room = self.mine.room
        self.background = Background(
            *(Any, self.mine.readers, self.mine.writer, Lives(), self.mine.clock),  # type: ignore[arg-type]  # nobody is identified
            Limits(1, 10, 1_000),
            self.room,
            check=self._check,
            keep_ms=lambda caller: 1_000,
            replay_ms=100_000,
            ping_s=1.0,
        )

    def _check(self, caller: Any, prompt: Any) -> None:
        if not self.there:
            raise GONE

    def carrier(self, **headers: bytes) -> Unattended:
        self.asked += 1
        named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
        return Unattended(
            *(f"req_{self.asked:032x}", "", ("POST", b"/v1/responses"), named, BODY, Leaving()),
            scope="",
            arrived_s=0.0,
        )

    async def ask(self, **headers: bytes) -> Unattended:
        carrier = self.carrier(**headers)
        turn = await self.mine.states.resume(BODY, MINE, carrier.request_id)
        assert isinstance(turn.keeper, Keeper)
        told = {"id": f"resp_{carrier.request_id[4:]}", "status": "queued", "store": True}
        turn.keeper.follow(Waiting(json.dumps({**told, "output": []}).encode()), "m")
        prompt: Any = SimpleNamespace(stream=False)
        await self.background.defer(carrier, Deferred(MINE, prompt, turn.keeper, prompt, BODY))
        return carrier


class Waiting(Tells):
    def queued(self) -> bytes:
        return self.told


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    async with attic(database, room_bytes=10_000) as mine:
        yield Desk(mine)


async def test_a_retry_is_told_the_same_though_its_model_has_gone(desk: Desk) -> None:
    first = await desk.ask(idempotency_key=b"one")
    desk.there = False
    again = await desk.ask(idempotency_key=b"one")
    assert again.answered == first.answered
    assert b"idempotent-replayed: true" in again.head
    for key in ({}, {"idempotency_key": b"other"}):
        with pytest.raises(errors.Refusal) as refused:
            await desk.ask(**key)
        assert refused.value is GONE, "what is new is refused as ever"
    assert desk.mine.count("response") == 1
    assert desk.mine.count("idempotency_key") == 1


async def test_a_retry_is_told_the_same_whatever_is_found_wrong_with_it_now(desk: Desk) -> None:
    """What it follows was deleted, say, or its project is full."""
    first = await desk.ask(idempotency_key=b"one")
    carrier = desk.carrier(idempotency_key=b"one")
    await desk.background.again(carrier, Retried(MINE, BODY, GONE))
    assert carrier.answered == first.answered
    other = desk.carrier(idempotency_key=b"one")
    with pytest.raises(errors.Refusal) as refused:
        await desk.background.again(other, Retried(MINE, BODY + b" ", GONE))
    assert refused.value.code == "idempotency_key_reused"


async def test_400_of_a_project_that_has_turned_to_zero_retention_meanwhile(desk: Desk) -> None:
    zero = update(project).where(project.c.id == MINE.project_id).values(retention="zero")
    desk.mine.database.write(lambda connection: connection.execute(zero))
    with pytest.raises(errors.Refusal) as refused:
        await desk.ask()
    assert (refused.value.code, refused.value.field) == ("zero_retention", "background")
    assert desk.mine.count("response") == 0


async def test_what_waits_counts_for_its_project_once(desk: Desk) -> None:
    await desk.ask(idempotency_key=b"one")
    before = held_bytes(desk.room, MINE.project_id)
    await desk.ask(idempotency_key=b"one")
    assert held_bytes(desk.room, MINE.project_id) == before > len(BODY)
    await desk.ask()
    assert held_bytes(desk.room, MINE.project_id) == 2 * before


@pytest.mark.parametrize(
    ("body", "asks"),
    [
        (BODY, True),
        (b'{"background": false}', False),
        (b'{"input": "\\"background\\": true"}', False),
        (b'{"background": true', False),
    ],
)
def test_what_asks_for_it(body: bytes, asks: bool) -> None:  # a table's column
    assert is_deferred(body) is asks
