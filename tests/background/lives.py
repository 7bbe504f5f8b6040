"""Lives of a server that works on batches: each ends at a step that the test chooses, as `kill -9`
ends it, and the next one finds what it has left on disk.

The database, its writer, money, admission, the journey, the files and the lane are real; the engine
and the keys are not.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from sqlalchemy import Connection

from portico import journey
from portico.admission.budgets import Budgets
from portico.admission.holds import Holds
from portico.admission.line import QueueLimits
from portico.admission.service import Admission
from portico.background.batches import Lane
from portico.background.finishing import Finishing
from portico.background.lines import Making, Way
from portico.background.validating import Validating
from portico.callers.model import Caller
from portico.canon.prompt import Prompt
from portico.db.database import Database
from portico.db.readers import Readers
from portico.db.transaction import Transaction
from portico.db.writer import Writer
from portico.door.visits.generation import Generation
from portico.engines.base import Abilities, Relay
from portico.errors import Refusal
from portico.keeping.room import Room
from portico.kit.clock import SystemClock
from portico.ledger import owners
from portico.ledger import service as ledger
from portico.ledger.model import Account, Posting
from portico.metering.service import Metering
from portico.metering.sweeper import Sweeper
from portico.pricing.offer import Offer
from portico.resources.batches import store
from portico.resources.batches.keeper import Lines
from portico.resources.batches.model import Batch, Limits
from portico.resources.batches.service import Batches
from portico.resources.files.model import Owner, Wish
from portico.resources.files.service import Files
from portico.resources.files.shelves.folder import FolderShelf
from portico.routing.model import Deployment
from portico.routing.service import Routing
from tests.db.storage import QUICK
from tests.door.rooms import NO_KEYS, PLAIN, Scripted
from tests.metering.requests import LAST
from tests.metering.test_charges import OFFER
from tests.resources.files.place import ROOMY

T = TypeVar("T")
CLOCK = SystemClock()
CALLER = Caller("key_1", "proj_1", "org_1", "live", 1_000)
CHAT = "/v1/chat/completions"
LIMITS = Limits(1_000, 100_000, 1_000_000, 1_000, 86_400_000, 86_400_000)
PLENTY_NANO = 10**12


class Mortal:
    """A writer that is not heard of any more from its `dies_at`-th step on.

    late: that step is still committed, and nobody hears of it.
    """

    def __init__(self, writer: Writer, dies_at: int, *, late: bool) -> None:
        self._writer = writer
        self._dies_at = dies_at
        self._late = late
        self.steps = 0
        self.died = asyncio.Event()

    def add_lane(self, lane: Any) -> None:
        self._writer.add_lane(lane)

    def ack(self) -> "asyncio.Future[Any]":
        return asyncio.get_running_loop().create_future()

    def put(self, lane: Any, item: Any, ack: "asyncio.Future[Any] | None" = None) -> None:
        dies = self._dies()
        if dies is None or (dies and not self._late):
            return
        heard = self._writer.ack()
        self._writer.put(lane, item, heard)
        if not dies:
            heard.add_done_callback(partial(self._hear, ack))

    def put_later(self, lane: Any, item: Any) -> None:
        self.put(lane, item)

    async def run(self, change: Callable[[Connection], T]) -> T:
        dies = self._dies()
        if dies is None or (dies and not self._late):
            await asyncio.Event().wait()
        done = await self._writer.run(change)
        if self.died.is_set():
            await asyncio.Event().wait()
        return done

    def _dies(self) -> bool | None:
        """Now?  None: it is dead."""
        if self.died.is_set():
            return None
        self.steps += 1
        if self.steps == self._dies_at:
            self.died.set()
            return True
        return False

    def _hear(self, ack: "asyncio.Future[Any] | None", heard: "asyncio.Future[Any]") -> None:
        if ack is None or ack.done() or self.died.is_set():
            heard.exception()
        elif heard.exception() is not None:
            ack.set_exception(heard.exception() or RuntimeError())
        else:
            ack.set_result(heard.result())


class Echo:
    """Callers, prices and the engine's answer.  makes: waits for that before it answers."""

    def __init__(self) -> None:
        self.makes = asyncio.Event()
        self.makes.set()

    async def verify(self, credential: str, scope: str, address: str) -> Caller:
        return CALLER

    def offer(self, caller: Caller, prompt: Prompt, context_tokens: int | None) -> Offer:
        return OFFER

    async def script(self, prompt: Prompt, relay: Relay) -> None:
        await self.makes.wait()
        said = json.dumps({"said": json.loads(prompt.body)["say"]}).encode()
        await relay(type(LAST)(raw=said, meters=LAST.meters, last=True, finish="stop"))


class Life:
    """One server, from its start to its end."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        name: str,
        dies_at: int = 0,
        *,
        late: bool = False,
        places: int = 4,
        share: float = 1.0,
        hurry_ms: int = 0,
    ) -> None:
        self.database = database
        self.revoked = set[str]()
        self.echo = Echo()
        self.real = Writer(database, CLOCK, lambda refusal: None, QUICK)
        self.writer = Mortal(self.real, dies_at, late=late)
        writer: Any = self.writer
        echo: Any = self.echo
        self.readers = Readers(database)
        self.metering = Metering(writer, CLOCK)
        holds = Holds(writer, Budgets(self.readers, CLOCK), CLOCK, name, ttl_ms=600_000)
        self.admission = Admission(QueueLimits(10, 5.0), CLOCK, holds)
        self.engine = Scripted(self.echo.script, abilities=Abilities(frozenset(), None, places))
        routing = Routing([Deployment("test/m", "m", self.engine, "us", 0)])
        rooms = journey.Rooms(echo, routing, self.admission, self.metering, echo)
        follow_nothing: Any = SimpleNamespace(close=lambda turn: None)
        self.room = room = Room(2**60, CLOCK)
        lines = Lines(follow_nothing, room)
        generation = Generation(
            PLAIN, rooms, CLOCK, NO_KEYS, body_bytes_max=10_000, compression=False, states=lines
        )
        self.files = Files(
            FolderShelf(folder), writer, self.readers, CLOCK, ROOMY, lambda: None, alone=False
        )
        self.way = Way(generation.handle, _told)
        self.making = Making({CHAT: self.way}, lines, writer, CLOCK)
        coming: set[str] = set()
        self.lane = Lane(
            self.making,
            self.admission,
            lambda model: places,
            *(writer, self.readers, CLOCK),
            Validating(self.files, writer, CLOCK, LIMITS, room),
            Finishing(self.files, writer, self.readers, CLOCK, LIMITS),
            revoked=self._revoked,
            owner=name,
            coming=coming,
            at_once=3,
            share=share,
            hurry_ms=hurry_ms,
        )
        # Who makes a batch is told of it before this life ends.
        self.desk = Files(
            FolderShelf(folder), self.real, self.readers, CLOCK, ROOMY, lambda: None, alone=False
        )
        self.batches = Batches(
            *(self.desk, self.real, self.readers, self.readers, CLOCK, LIMITS, room),
            self.lane.hear,
            owner=name,
            coming=coming,
        )
        self.sweeper = Sweeper(self.real, CLOCK, name, alone=False)
        self.name = name
        self.rooms = rooms

    async def _revoked(self, ids: Collection[str]) -> set[str]:
        return self.revoked.intersection(ids)

    async def new(self, says: list[str], by: Caller = CALLER) -> Batch:
        """A batch of such lines, on disk."""
        lines = [
            json.dumps(
                {
                    "custom_id": say,
                    "method": "POST",
                    "url": CHAT,
                    "body": {"model": "m", "say": say},
                }
            )
            for say in says
        ]

        async def pieces() -> AsyncIterator[bytes]:
            yield "\n".join(lines).encode()

        wish = Wish("batch", "in.jsonl", "application/jsonl")
        file = await self.desk.write(Owner.of(by), wish, pieces())
        batch = self.batches.new(by, "openai", CHAT, {}, input_file_id=file.id)
        await self.batches.add(batch, (), None, 0, lambda _: b"")
        return batch

    def found(self, batch: Batch) -> Batch:
        found = self.database.read(lambda c: store.one(c, batch.project_id, batch.id))
        assert found is not None
        return found

    async def ended(self, batch: Batch) -> Batch:
        """As soon as it has, or this life."""
        while True:
            found = self.found(batch)
            if found.ended_at_ms is not None or self.writer.died.is_set():
                return found
            await asyncio.sleep(0.003)

    async def content(self, file_id: str | None) -> list[dict[str, Any]]:
        if file_id is None:
            return []
        data = await self.desk.read(await self.desk.get(Owner.of(CALLER), file_id))
        return [json.loads(line) for line in data.splitlines()]

    async def goes_on(self, steps: int) -> None:
        """For so many steps."""
        until = self.writer.steps + steps
        while True:
            if self.writer.steps >= until:
                return
            await asyncio.sleep(0.003)

    async def quiet(self) -> None:
        """Nothing runs any more."""
        while True:
            if not self.engine.running and not self.admission.running:
                return
            await asyncio.sleep(0.003)

    async def in_line(self, count: int) -> None:
        """So many wait for a place."""
        async with asyncio.timeout(10):
            while True:
                if self.admission.waiting >= count:
                    return
                await asyncio.sleep(0.003)

    async def until(self, sql: str, least: int = 1) -> None:
        """The first figure of what `sql` finds is so many, or more."""
        async with asyncio.timeout(20):
            while True:
                if self.rows(sql)[0][0] >= least:
                    return
                await asyncio.sleep(0.003)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.database.read(lambda c: c.exec_driver_sql(sql).all())]


@asynccontextmanager
async def life(*given: Any, alone: bool = True, **more: Any) -> AsyncIterator[Life]:
    """A life, with its lane at work.  It ends as it is: whatever still runs is gone, unheard.

    alone: every other server is known to be dead, and what was left is swept before this one works.
    """
    before = asyncio.all_tasks()
    made = Life(*given, **more)
    made.real.start()
    if alone:
        await made.real.run(lambda c: owners.forget_others(Transaction(c), made.name))
        await made.sweeper.start()
    else:
        await made.real.run(lambda c: owners.start(Transaction(c), made.name, CLOCK.wall_ms()))
    loop = asyncio.get_running_loop()
    working = [loop.create_task(made.lane.run()), loop.create_task(made.metering.run())]
    try:
        yield made
    finally:
        made.writer.died.set()
        while tasks := asyncio.all_tasks() - before - {asyncio.current_task()}:  # type: ignore[operator]  # there is one
            for task in tasks:
                task.cancel()
            await asyncio.sleep(0)
        for task in working:
            assert task.cancelled() or task.exception() is None, task.exception()
        made.files.close()
        made.desk.close()
        await made.real.close()
        made.readers.close()


def fund(database: Database) -> None:
    """A rich organisation, and its project."""

    def write(connection: Connection) -> None:
        transaction = Transaction(connection)
        ledger.prepare(transaction, 1)
        ledger.open_account(transaction, ledger.prepaid("org_1", 1))
        clearing = Account("cash_clearing:x", "cash_clearing", "", 0, 0, None, 0, None, 1)
        ledger.open_account(transaction, clearing)
        entries = (("cash_clearing:x", -PLENTY_NANO), ("prepaid:org_1", PLENTY_NANO))
        ledger.post(transaction, [Posting("top", "topup", "org_1", "", entries)], 1)

    database.write(write)


def _told(refusal: Refusal, request_id: str) -> tuple[int, bytes]:
    return refusal.status, json.dumps({"code": refusal.code}).encode()
