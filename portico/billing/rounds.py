"""Work that comes round while serving: on one of several servers, and never in the way of a request."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from portico.billing.claims import claim, is_due
from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.kit.clock import Clock

_LOOK_EVERY_S = 15.0
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rounds:
    """name: of the work; of several servers, one does it when it is due.  owner: this one.
    every_s: from one round to the next.  go_round: blocking; given the moment (wall clock, ms)."""

    database: Database
    clock: Clock
    owner: str
    name: str
    every_s: float
    go_round: Callable[[int], object]

    async def run(self) -> None:
        """Ends when cancelled.  What the database will not take now waits for the next round."""
        while True:
            await asyncio.sleep(min(_LOOK_EVERY_S, self.every_s))
            try:
                await asyncio.to_thread(self.look)
            except Exception as error:
                trouble = self.database.backend.trouble(error)
                if trouble is None:
                    raise
                log.warning("%s: not now, %s", self.name, trouble.says)

    def look(self) -> bool:
        """Go round if it is time and nobody else does.  Blocking.  False where it is not."""
        now_ms, every_ms = self.clock.wall_ms(), round(1000 * self.every_s)
        if not self.database.read(lambda c: is_due(Transaction(c), self.name, now_ms)):
            return False
        if not self.database.write(
            lambda c: claim(Transaction(c), self.name, self.owner, now_ms, every_ms)
        ):
            return False
        self.go_round(now_ms)
        return True
