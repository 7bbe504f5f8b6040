"""Whatever becomes of a try in the background, the response is in line again, or has ended."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from sqlalchemy.exc import OperationalError

from portico import errors
from portico.background.responses import Runner
from portico.db.database import Database
from portico.db.readers import Readers
from portico.db.transaction import Transaction
from portico.db.writer import Writer
from portico.door.visits.carrier import Unattended
from portico.keeping.room import Room
from portico.kit.clock import SystemClock
from portico.ledger import owners
from portico.resources.background import store
from portico.resources.background.lives import Lives
from portico.resources.background.model import Limits
from tests.resources.background.test_line import put, state, wanted

pytestmark = pytest.mark.anyio
CLOCK = SystemClock()
BUSY = errors.BACKGROUND_FULL("Too much.", retry_after_ms=1)
LOCKED = errors.CONVERSATION_LOCKED("Somebody speaks.", retry_after_ms=1)
BROKEN = errors.UPSTREAM_FAILED("It failed.", retry_after_ms=1)


class Sometimes(Readers):
    """away: whose database is, for so many questions of this kind."""

    away = 0
    kind: Any = store.turn

    async def run(self, *asked: Any, **more: Any) -> Any:
        if self.away and asked[0].func is self.kind:
            self.away -= 1
            raise OperationalError("SELECT", {}, Exception("away"))
        return await super().run(*asked, **more)


class Stage:
    def __init__(self, database: Database, handle: Callable[..., Awaitable[None]]) -> None:
        self.database = database
        self.readers = Sometimes(database)
        self.writer = Writer(database, CLOCK, lambda refusal: None)
        self.lives = Lives()
        self.runner = Runner(
            *(handle, self.lives, self.writer, self.readers, CLOCK, Limits(4, 9, 2**60)),
            owner="inst_1",
            keep_ms=2**50,
            closed=lambda: False,
            room=Room(2**60, CLOCK),
        )

    async def __aenter__(self) -> "Stage":
        self.writer.start()
        await self.writer.run(lambda c: owners.start(Transaction(c), "inst_1", CLOCK.wall_ms()))
        self.working = asyncio.ensure_future(self.runner.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.working.cancel()
        await asyncio.gather(self.working, return_exceptions=True)
        await self.writer.close()
        self.readers.close()

    async def until(self, wished: str) -> None:
        async with asyncio.timeout(20):
            while await asyncio.to_thread(state, self.database, "resp_1") != wished:
                self.lives.news.set()
                await asyncio.sleep(0.001)


async def test_a_database_that_is_away_for_a_moment_ends_nothing(database: Database) -> None:
    async def refusing(carrier: Unattended, rest: str) -> None:
        raise errors.INVALID_VALUE("No.", field="x")

    put(database, wanted("resp_1"))
    async with Stage(database, refusing) as stage:
        stage.readers.away = 3
        await stage.until("failed")
        assert not stage.working.done()


@pytest.mark.parametrize(("refusal", "tries"), [(BUSY, 12), (LOCKED, 12), (BROKEN, 5)])
async def test_what_was_not_begun_is_tried_for_as_long_as_it_may_wait(
    database: Database, refusal: errors.Refusal, tries: int
) -> None:
    """What an engine failed at is not: then its failure is told."""
    made: list[str] = []

    async def handle(carrier: Unattended, rest: str) -> None:
        made.append(carrier.request_id)
        raise refusal if len(made) < 12 else errors.INVALID_VALUE("No.", field="x")

    put(database, wanted("resp_1"))
    async with Stage(database, handle) as stage:
        await stage.until("failed")
    assert len(made) == tries


async def test_what_could_not_be_written_down_is_found_again(database: Database) -> None:
    made: list[str] = []

    async def handle(carrier: Unattended, rest: str) -> None:
        made.append(carrier.request_id)
        if len(made) > 1:
            raise errors.INVALID_VALUE("No.", field="x")
        stage.readers.away, stage.readers.kind = 1, store.still

    put(database, wanted("resp_1"))
    async with Stage(database, handle) as stage:
        await stage.until("failed")
    assert len(made) == 2


async def test_it_asks_with_the_key_that_was_sent(database: Database) -> None:
    """Where that was an ephemeral one, with the key it was made with behind it."""
    asked: dict[str, bytes] = {}

    async def handle(carrier: Unattended, rest: str) -> None:
        asked[carrier.answer_id] = carrier.headers[b"authorization"]
        raise errors.INVALID_VALUE("No.", field="x")

    lent = wanted("resp_2")
    lent = replace(lent, response=msgspec.structs.replace(lent.response, credential_id="key_2"))
    put(database, lent, wanted("resp_1"))
    async with Stage(database, handle) as stage:
        await stage.until("failed")
    assert asked["req_1"] == b"Bearer key_1"
    assert asked.get("req_2", b"Bearer key_2/key_1") == b"Bearer key_2/key_1"
    assert set(asked) == {"req_1", "req_2"}
