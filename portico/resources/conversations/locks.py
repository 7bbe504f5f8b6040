"""Who may add to a conversation: one request at a time, for as long as its server lives.

A lock is a lease of a minute, prolonged while the request runs.  It ends in the commit that settles
the request; where nothing is settled, with the next commit; and where the process dies, by itself.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from portico import errors
from portico.db.lane import Row
from portico.db.transaction import Transaction
from portico.db.writer import Writer
from portico.kit.clock import Clock
from portico.resources.conversations import store
from portico.resources.conversations.model import Lock
from portico.resources.conversations.rules import locked, not_found

_LEASE_MS = 60_000
_PROLONGED_EVERY_S = 20.0


@dataclass(frozen=True, slots=True)
class Ended:
    """The lock is given back."""

    lock: Lock


@dataclass(frozen=True, slots=True)
class Lasting:
    """Those that are held go on."""

    locks: Sequence[Lock]


class LockLane:
    """What the writer does with locks: see `db.lane.Lane`."""

    name = "conversation"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def write(
        self, transaction: Transaction, items: Sequence[Lock | Ended | Lasting]
    ) -> Sequence[errors.Refusal | None]:
        return [self._one(transaction, each) for each in items]

    def keep(self, item: Lock | Ended | Lasting) -> Row | None:
        """Nothing: a lease ends by itself."""
        return None

    def restore(self, transaction: Transaction, rows: Sequence[Row]) -> None:
        """There is nothing."""

    def bare(self, row: Row) -> Row:
        return row

    def _one(self, transaction: Transaction, item: Lock | Ended | Lasting) -> errors.Refusal | None:
        now_ms = self._clock.wall_ms()
        match item:
            case Ended(lock=lock):
                store.unlock(transaction, lock)
            case Lasting(locks=locks):
                for lock in locks:
                    store.prolong(transaction, lock, now_ms + _LEASE_MS)
            case _:
                return self._take(transaction, item, now_ms)
        return None

    def _take(self, transaction: Transaction, asked: Lock, now_ms: int) -> errors.Refusal | None:
        if store.lock(transaction, asked, now_ms, now_ms + _LEASE_MS):
            return None
        if store.exists(transaction, asked, now_ms):
            return locked(asked.conversation_id)
        return not_found(asked.conversation_id, "conversation")


class Locks:
    """Made before `writer.start()`.  One event loop owns this object."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._lane = LockLane(clock)
        writer.add_lane(self._lane)
        self._held: dict[str, Lock] = {}

    async def take(self, asked: Lock) -> None:
        """Returns once it is on disk.

        Raises: Refusal: resource_not_found, conversation_locked, storage_unavailable."""
        taken = self._writer.ack()
        self._writer.put(self._lane, asked, taken)
        try:
            await taken
        except asyncio.CancelledError:
            self._end(asked)  # it may be on disk, and nobody else knows of it
            raise
        self._held[asked.conversation_id] = asked

    def give_back(self, held: Lock, *, ended: bool) -> None:
        """ended: in a commit that is written, or is on its way."""
        self._held.pop(held.conversation_id, None)
        if not ended:
            self._end(held)

    async def run(self) -> None:
        """Prolongs what is held.  Ends when cancelled."""
        while True:
            await asyncio.sleep(_PROLONGED_EVERY_S)
            self.prolong()

    def prolong(self) -> None:
        if self._held:
            with suppress(errors.Refusal):  # no room: there is another round
                self._writer.put_later(self._lane, Lasting(tuple(self._held.values())))

    def _end(self, lock: Lock) -> None:
        with suppress(errors.Refusal):
            self._writer.put(self._lane, Ended(lock))
