"""Looks at budgets, delivers what waits, tries again.  Several servers may do so at once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from portico.billing.alerts import outbox, store
from portico.billing.alerts.model import Channel, Delivery, Outcome, Target
from portico.billing.alerts.rules import customer_and
from portico.billing.alerts.thresholds import crossings
from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.kit.clock import Clock
from portico.webhooks.contact import contact_of
from portico.webhooks.endpoints import failed_for_good
from portico.webhooks.model import ENDPOINT

T = TypeVar("T")
log = logging.getLogger(__name__)
UNDER_WAY_MAX = 200
"""Deliveries that one server has in its hands."""


class Sender(Protocol):
    async def send(self, delivery: Delivery) -> Outcome:
        """Never raises for what the other side does."""
        ...


class Alerts:
    """operator: who is told where a budget names no address.  every_s: between two looks."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        senders: dict[Channel, Sender],
        operator: Sequence[Target],
        every_s: float,
    ) -> None:
        self._database = database
        self._clock = clock
        self._senders = senders
        self._operator = tuple(operator)
        self._every_s = every_s
        self._under_way: dict[asyncio.Task[None], str] = {}

    async def run(self) -> None:
        """Ends when cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._looking())
            while True:
                due = await self._patiently(self._take) or []
                for each in due:
                    task = group.create_task(self._bring(each))
                    self._under_way[task] = each.target
                    task.add_done_callback(self._under_way.pop)
                if not due:
                    await self._until_something_ends()

    async def look(self) -> int:
        """Tell of every threshold that was crossed since; how many."""
        now_ms = self._clock.wall_ms()
        found = await self._read(lambda t: crossings(t, self._operator, now_ms))
        if not found:
            return 0
        return await self._write(
            lambda t: sum(outbox.tell(t, each.alert, each.targets, now_ms) for each in found)
        )

    async def deliver(self) -> int:
        """Try what is due, a few at once; how many were tried."""
        due = await self._take()
        await asyncio.gather(*(self._bring(each) for each in due))
        return len(due)

    async def _looking(self) -> None:
        while True:
            await self._patiently(self.look)
            await asyncio.sleep(self._every_s)

    async def _take(self) -> list[Delivery]:
        """What is due and may be begun now.

        Each is marked as tried before it is, and as delivered after: whoever dies in between leaves
        it to be delivered again, under the same id.
        """
        if len(self._under_way) >= UNDER_WAY_MAX:
            return []
        now_ms = self._clock.wall_ms()
        if not await self._read(lambda t: store.any_due(t, now_ms)):
            return []
        busy = sorted(set(self._under_way.values()))
        return await self._write(lambda t: store.take_due(t, now_ms, busy))

    async def _bring(self, delivery: Delivery) -> None:
        outcome = await self._senders[delivery.channel].send(delivery)
        if not outcome.delivered:
            log.warning("%s to %s: %s", delivery.channel, delivery.target, outcome.says)

        async def note() -> None:
            await self._write(lambda t: self._note(t, delivery, outcome))

        await self._patiently(note)

    def _note(self, transaction: Transaction, tried: Delivery, outcome: Outcome) -> None:
        now_ms = self._clock.wall_ms()
        given_up = store.note(transaction, tried, outcome, now_ms)
        if given_up and tried.target.startswith(f"{ENDPOINT}_"):
            failed_for_good(
                transaction,
                tried.organisation_id,
                tried.target,
                gone=outcome.gone,
                told=customer_and(self._operator, contact_of(transaction, tried.organisation_id)),
                now_ms=now_ms,
            )

    async def _until_something_ends(self) -> None:
        """Or for as long as it takes until it is worth another look."""
        if self._under_way:
            await asyncio.wait(
                self._under_way, timeout=self._every_s, return_when=asyncio.FIRST_COMPLETED
            )
        else:
            await asyncio.sleep(self._every_s)

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """None where the database could not be used: what was not noted is done again."""
        try:
            return await work()
        except Exception as error:
            trouble = self._database.backend.trouble(error)
            if trouble is None:
                raise
            log.warning("alerts wait: %s", trouble.says)
            return None

    async def _read(self, query: Callable[[Transaction], T]) -> T:
        def ask(connection: Connection) -> T:
            return query(Transaction(connection))

        return await asyncio.to_thread(self._database.read, ask)

    async def _write(self, change: Callable[[Transaction], T]) -> T:
        def do(connection: Connection) -> T:
            return change(Transaction(connection))

        return await asyncio.to_thread(self._database.write, do)
