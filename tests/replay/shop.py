"""A server that charges, with a scripted engine behind it: everything else is real."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from portico import errors, journey
from portico.admission.budgets import Budgets
from portico.admission.holds import Holds
from portico.admission.line import QueueLimits
from portico.admission.service import Admission
from portico.callers.model import Caller
from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.canon.usage import Meters
from portico.db.database import Database
from portico.db.readers import Readers
from portico.db.transaction import Transaction
from portico.db.writer import Writer
from portico.door.dispatch import Dispatch
from portico.door.routes import Route, Routes
from portico.door.visits.generation import Generation
from portico.engines.base import Abilities, Relay
from portico.kit.clock import SystemClock
from portico.ledger import service as ledger
from portico.ledger.model import Account, Posting
from portico.metering.service import Metering
from portico.metering.sweeper import Sweeper
from portico.observe.metrics import Metrics
from portico.pricing.offer import Offer
from portico.replay.claims import Claims, Keeping
from portico.routing.model import Deployment
from portico.routing.service import Routing
from tests.db.storage import QUICK, HandClock, Health
from tests.door.rooms import PLAIN, Script, Scripted
from tests.door.scene import Answer, Scene, Wire, request, serving
from tests.metering.test_charges import COST, QUOTE, TEXT

__all__ = ["COST", "FUNDS_NANO", "WHOLE", "WINDOWS", "Shop", "asking", "fund", "opened", "says"]

FUNDS_NANO = 10_000
PATH = "/v1/chat/completions"
PROJECTS = {"pk_a": "proj_a", "pk_b": "proj_b"}
KEEPING = Keeping(100, 100_000, keep_ms=60_000, open_ms=1_000_000)
WHOLE = Offer(QUOTE, TEXT, 1_000, 98, 0, 0, 1_000)
WINDOWS = Offer(QUOTE, TEXT, 100, 10, 10, 50, 1_000)
"""100 nano pay for the input and 10 tokens, 50 more for the next 10."""
_USED = Meters(input_text=11, output_text=5)


def asking(key: str = "k1", *headers: str, credential: str = "pk_a", **asked: Any) -> bytes:
    """key: "" sends none."""
    named = [f"Idempotency-Key: {key}"] if key else []
    body = json.dumps({"model": "m", **asked}).encode()
    return request(PATH, body, f"Authorization: Bearer {credential}", *named, *headers)


def says(*pieces: bytes) -> Script:
    """The pieces, and an end that costs COST."""

    async def script(prompt: Prompt, relay: Relay) -> None:
        for piece in pieces:
            await relay(Delta(raw=piece, output_tokens=1))
            await asyncio.sleep(0)
        await relay(Delta(raw=b".", meters=_USED, last=True, finish="stop"))

    return script


def fund(database: Database, nano: int = FUNDS_NANO) -> None:
    def write(transaction: Transaction) -> None:
        transaction.run(
            "INSERT INTO organisation (id, name, created_at_ms) VALUES ('org_1', 'One', 1)"
        )
        transaction.each(
            "INSERT INTO project (id, organisation_id, name, created_at_ms) "
            "VALUES (?, 'org_1', ?, 1)",
            [(project, project) for project in PROJECTS.values()],
        )
        ledger.prepare(transaction, 1)
        ledger.open_account(transaction, ledger.prepaid("org_1", 1))
        clearing = Account("cash_clearing:x", "cash_clearing", "", 0, 0, None, 0, None, 1)
        ledger.open_account(transaction, clearing)
        entries = (("cash_clearing:x", -nano), ("prepaid:org_1", nano))
        ledger.post(transaction, [Posting("top", "topup", "org_1", "", entries)], 1)

    database.write(lambda connection: write(Transaction(connection)))


class Shop:
    """One serving process.

    offer: what is set aside; None for an organisation that is charged nothing.
    places: requests that run at once.
    """

    def __init__(
        self,
        database: Database,
        script: Script,
        owner: str = "inst_1",
        *,
        offer: Offer | None = WHOLE,
        places: int = 100,
        keeping: Keeping = KEEPING,
    ) -> None:
        self.database = database
        self.clock = HandClock()
        self.readers = Readers(database)
        self.health = Health()
        # It retries by a clock that goes on by itself.
        self.writer = Writer(database, SystemClock(), self.health, QUICK)
        self.metering = Metering(self.writer, self.clock)
        holds = Holds(
            self.writer, Budgets(self.readers, self.clock), self.clock, owner, ttl_ms=900_000
        )
        self.metrics = Metrics()
        self.claims = Claims(self.writer, self.readers, self.clock, owner, keeping, self.metrics)
        self.sweeper = Sweeper(self.writer, self.clock, owner, alone=True)
        self.engine = Scripted(script, abilities=Abilities(frozenset(), None, places))
        self._offer = offer
        behind: Any = self
        rooms = journey.Rooms(
            behind,
            Routing([Deployment("test/m", "m", self.engine, "us", 0)]),
            Admission(QueueLimits(10, 5.0), self.clock, holds),
            self.metering,
            behind,
        )
        handler = Generation(
            PLAIN, rooms, self.clock, self.claims, body_bytes_max=10_000_000, compression=True
        )
        routes = Routes([Route("POST", PATH, handler.handle, scope="generate")])
        self.serve = Dispatch(routes, PLAIN.render, _Unwatched()).serve

    async def verify(self, credential: str, scope: str, address: str) -> Caller:
        if credential not in PROJECTS:
            raise errors.INVALID_KEY("This key is unknown.")
        return Caller("key_1", PROJECTS[credential], "org_1", "live", 100)

    def offer(self, caller: Caller, prompt: Prompt, context_tokens: int | None) -> Offer | None:
        return self._offer

    async def start(self) -> None:
        self.writer.start()
        await self.sweeper.start()

    async def close(self) -> None:
        await self.writer.close()
        self.readers.close()

    def rows(self, sql: str) -> list[Any]:
        return self.database.read(lambda c: [tuple(row) for row in c.exec_driver_sql(sql)])

    def number(self, sql: str) -> int:
        return int(self.rows(sql)[0][0] or 0)

    def check(self, *, charged: int, records: int) -> None:
        """What must be true when nothing runs.  charged: how many requests, at COST each."""
        assert self.number("SELECT count(*) FROM charge") == charged
        assert self.number("SELECT posted_nano FROM account WHERE id = 'prepaid:org_1'") == (
            FUNDS_NANO - charged * COST
        )
        assert self.number("SELECT sum(held_nano) FROM account") == 0
        assert self.number("SELECT count(*) FROM hold WHERE state = 'open'") == 0
        assert self.number("SELECT sum(amount_nano) FROM entry") == 0
        assert self.number("SELECT count(*) FROM usage_record") == records

    def keys(self) -> list[Any]:
        """(key, state) of each."""
        return self.rows("SELECT key, state FROM idempotency_key ORDER BY key")


class _Unwatched:
    def answered(self, route: str, status: int, seconds: float) -> None:
        return

    def refused(self, code: str) -> None:
        return


class Counter:
    """The street in front of a shop."""

    def __init__(self, shop: Shop, scene: Scene) -> None:
        self.shop = shop
        self.scene = scene

    async def ask(self, *how: Any, **asked: Any) -> Answer:
        return await self.scene.ask(asking(*how, **asked))

    async def begin(self, *how: Any, **asked: Any) -> Wire:
        wire = await self.scene.connect()
        await wire.send(asking(*how, **asked))
        return wire


@asynccontextmanager
async def opened(
    database: Database, script: Script, owner: str = "inst_1", **how: Any
) -> AsyncIterator[tuple[Shop, Counter]]:
    shop = Shop(database, script, owner, **how)
    await shop.start()
    try:
        async with serving(shop.serve, render=PLAIN.render) as scene:
            yield shop, Counter(shop, scene)
    finally:
        await shop.close()
