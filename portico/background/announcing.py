"""Who wants to hear of what has ended while nobody waited is told: once, however it ended."""

import asyncio
import logging
from contextlib import suppress
from typing import NamedTuple

from sqlalchemy import Connection, Table, literal_column, select, update
from sqlalchemy.exc import DBAPIError

from portico.db.readers import Readers
from portico.db.tables import batch, response
from portico.db.transaction import Transaction
from portico.db.writer import Writer
from portico.errors import Refusal
from portico.kit.clock import Clock
from portico.webhooks import outbox
from portico.webhooks.model import Event

_EVERY_S = 1.0
_MOST = 50
"""Of a kind in one transaction, for which others wait."""
log = logging.getLogger(__name__)


class Ended(NamedTuple):
    id: str
    organisation_id: str
    project_id: str
    state: str


class Announcing:
    """Its rows say that it was done, in the transaction that does it: a process that dies between
    the end of something and the word of it leaves the word to the next."""

    def __init__(self, readers: Readers, writer: Writer, clock: Clock) -> None:
        self._readers = readers
        self._writer = writer
        self._clock = clock

    async def run(self) -> None:
        """Ends when cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            with suppress(Refusal):  # no room: there is another round
                try:
                    await self.once()
                except DBAPIError as error:
                    log.warning("ends are not announced now: %s", error)

    async def once(self) -> int:
        """How many.  Raises: Refusal: storage_unavailable."""
        told = 0
        while await self._readers.run(_waits):
            told += await self._writer.run(self._announce)
        return told

    def _announce(self, connection: Connection) -> int:
        transaction, now_ms = Transaction(connection), self._clock.wall_ms()
        told = 0
        for table, thing in ((response, "response"), (batch, "batch")):
            found = _unannounced(connection, table)
            for each in found:
                outbox.put_if_wanted(transaction, _event(thing, each), now_ms)
            told += len(found)
            _note(connection, table, found, now_ms)
        return told


def _event(thing: str, ended: Ended) -> Event:
    return Event(
        f"{thing}.{ended.state}",
        f"{thing}:{ended.id}",
        ended.organisation_id,
        f"The {thing} {ended.id} is {ended.state}.",
        {"id": ended.id, "project_id": ended.project_id},
        ended.project_id,
    )


def _waits(connection: Connection) -> bool:
    return any(_unannounced(connection, table, 1) for table in (response, batch))


def _unannounced(connection: Connection, table: Table, most: int = _MOST) -> list[Ended]:
    c = table.c
    query = select(c.id, c.organisation_id, c.project_id, c.state).where(
        c.announced_at_ms.is_(None), c.ended_at_ms.is_not(None)
    )
    if table is response:  # of the others somebody has seen the end
        # As the index says it: a plan that is made for any value cannot use it.
        query = query.where(c.background == literal_column("1"))
    return [Ended(*row) for row in connection.execute(query.order_by(c.ended_at_ms).limit(most))]


def _note(connection: Connection, table: Table, ended: list[Ended], now_ms: int) -> None:
    if ended:
        connection.execute(
            update(table)
            .where(table.c.id.in_([each.id for each in ended]))
            .values(announced_at_ms=now_ms)
        )
