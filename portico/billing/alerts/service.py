"""Looks at budgets, delivers what waits, tries again.  Several servers may do so at once."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from portico.billing.alerts import outbox, store
from portico.billing.alerts.model import Channel, Delivery, Outcome, Target
from portico.billing.alerts.thresholds import crossings
from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.kit.clock import Clock

T = TypeVar("T")
log = logging.getLogger(__name__)


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

    async def run(self) -> None:
        """Ends when cancelled."""
        while True:
            try:
                await self.look()
                while await self.deliver():
                    continue
            except Exception as error:
                trouble = self._database.backend.trouble(error)
                if trouble is None:
                    raise
                log.warning("alerts wait: %s", trouble.says)
            await asyncio.sleep(self._every_s)

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
        """Try what is due, a few at once; how many were tried.

        Each is marked as tried before it is, and as delivered after: whoever dies in between leaves
        it to be delivered again, under the same id.
        """
        now_ms = self._clock.wall_ms()
        if not await self._read(lambda t: store.any_due(t, now_ms)):
            return 0
        due = await self._write(lambda t: store.take_due(t, now_ms))
        outcomes = await asyncio.gather(*(self._senders[each.channel].send(each) for each in due))
        results = list(zip(due, outcomes, strict=True))
        await self._write(lambda t: store.note(t, results, self._clock.wall_ms()))
        for each, outcome in results:
            if not outcome.delivered:
                log.warning("%s to %s: %s", each.channel, each.target, outcome.says)
        return len(due)

    async def _read(self, query: Callable[[Transaction], T]) -> T:
        def ask(connection: Connection) -> T:
            return query(Transaction(connection))

        return await asyncio.to_thread(self._database.snapshot, ask)

    async def _write(self, change: Callable[[Transaction], T]) -> T:
        def do(connection: Connection) -> T:
            return change(Transaction(connection))

        return await asyncio.to_thread(self._database.write, do)
