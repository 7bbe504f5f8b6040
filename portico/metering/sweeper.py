"""What a dead process left open: its holds are settled at their last checkpoint, or given back;
its idempotency keys are free again.

Runs at the start and then on a timer, through the same conditional write as a live settlement, so
that a late journey and the sweeper cannot both win.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from portico import errors
from portico.db.transaction import Transaction
from portico.db.writer import Writer
from portico.keeping import service as keeping
from portico.kit.clock import Clock
from portico.ledger import owners, stale
from portico.ledger import service as ledger
from portico.metering.bill import settlement_of
from portico.metering.store import checkpoints, close_swept
from portico.pricing.model import Quote
from portico.replay import service as replay

_EVERY_S = 30.0
_MOST = 500
"""Holds in one transaction: after a crash nobody else should wait for all of them."""
_quote = msgspec.json.Decoder(Quote)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Swept:
    """settled: at their last checkpoint.  voided: nothing had been generated."""

    settled: int
    voided: int

    def __bool__(self) -> bool:
        return bool(self.settled or self.voided)


def sweep(transaction: Transaction, now_ms: int) -> Swept:
    """At most 500 holds, oldest first."""
    owners.forget_dead(transaction, now_ms)
    left = stale.holds(transaction, now_ms, _MOST)
    seen = checkpoints(transaction, [hold.id for hold in left])
    # Whoever named a key asks again and is charged for that answer, so not for half of this one;
    # what was made in the background is made again.
    ids = [hold.id for hold in left]
    for request_id in replay.release(transaction, ids) | keeping.release(transaction, ids):
        seen.pop(request_id, None)
    settlements = []
    for hold in left:
        seen_of = seen.get(hold.id)
        settlements.append(
            settlement_of(
                hold.id,
                "killed",
                _quote.decode(hold.quote),
                seen_of.meters if seen_of is not None and seen_of.started else None,
                seen_of.project_id if seen_of is not None else "",
                seen_of.key_id if seen_of is not None else "",
            )
        )
    if settlements:
        ledger.settle(transaction, settlements, now_ms)
        # In the same commit: an owner that was only slow must not change what was charged for.
        close_swept(transaction, [each.request_id for each in settlements])
    if len(left) < _MOST:
        replay.release_stale(transaction, now_ms)
    settled = sum(each.bill is not None for each in settlements)
    return Swept(settled, len(settlements) - settled)


class Sweeper:
    """owner: this serving process, as its holds name it.
    alone: nobody else serves this database, so whoever else opened holds is dead.
    """

    def __init__(self, writer: Writer, clock: Clock, owner: str, *, alone: bool) -> None:
        self._writer = writer
        self._clock = clock
        self._owner = owner
        self._alone = alone

    async def start(self) -> Swept:
        """Before the first hold.  Raises: Refusal: storage_unavailable."""
        await self._writer.run(self._arrive)
        total = Swept(0, 0)
        while swept := await self._writer.run(self._sweep):
            total = Swept(total.settled + swept.settled, total.voided + swept.voided)
        return total

    async def run(self) -> None:
        """Beat, and sweep now and then.  Ends when cancelled."""
        since_s = 0.0
        while True:
            await asyncio.sleep(owners.BEAT_S)
            since_s += owners.BEAT_S
            try:
                await self._writer.run(self._beat)
                if since_s >= _EVERY_S:
                    since_s = 0.0
                    self._tell(await self._writer.run(self._sweep))
                    await self._purge()
            except errors.Refusal as refusal:
                log.warning("holds are not swept now: %s", refusal.message)

    async def _purge(self) -> None:
        """Forget answers whose time is over."""
        now_ms = self._clock.wall_ms()
        while await self._writer.run(lambda c: replay.purge(Transaction(c), now_ms)):
            pass

    async def leave(self) -> None:
        """In good order: nothing of this process is open."""
        with suppress(errors.Refusal):
            await self._writer.run(lambda c: owners.forget(Transaction(c), self._owner))

    def _arrive(self, connection: Connection) -> None:
        transaction, now_ms = Transaction(connection), self._clock.wall_ms()
        ledger.prepare(transaction, now_ms)
        owners.start(transaction, self._owner, now_ms)
        if self._alone:
            owners.forget_others(transaction, self._owner)

    def _beat(self, connection: Connection) -> None:
        owners.beat(Transaction(connection), self._owner, self._clock.wall_ms())

    def _sweep(self, connection: Connection) -> Swept:
        return sweep(Transaction(connection), self._clock.wall_ms())

    def _tell(self, swept: Swept) -> None:
        if swept:
            log.warning(
                "swept after dead processes: %d settled, %d voided", swept.settled, swept.voided
            )
