"""Which windows of which budgets a request must fit into.  A snapshot, refreshed beside the road.

A budget that was set or removed counts within `REFRESH_S`.  The cap of a window is the floor of its
account, so a cap that was changed is exact from the moment it is stored.
"""

import asyncio
import logging

from sqlalchemy.exc import DBAPIError

from portico.admission import store
from portico.admission.rules import Budget, window_ms
from portico.callers.model import Caller
from portico.db.readers import Readers
from portico.kit.clock import Clock
from portico.ledger.model import Limit

REFRESH_S = 2.0
log = logging.getLogger(__name__)


class Budgets:
    """One event loop owns this object."""

    def __init__(self, readers: Readers, clock: Clock) -> None:
        self._readers = readers
        self._clock = clock
        self._by_scope: store.ByScope = {}
        self._windows: dict[str, tuple[int, int]] = {}

    async def run(self) -> None:
        """Follow what is stored.  Ends when cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_S)

    async def refresh(self) -> None:
        """Take in what is stored now.  Where the database cannot say, the last snapshot stays."""
        try:
            self._by_scope = await self._readers.run(store.budgets)
        except DBAPIError:
            log.warning("budgets cannot be read now; those known stay in force")

    def limits(self, caller: Caller) -> tuple[Limit, ...]:
        """The windows that are open now, narrowest scope first."""
        if not self._by_scope:
            return ()
        now_ms = self._clock.wall_ms()
        scopes = (
            ("key", caller.key_id),
            ("project", caller.project_id),
            ("organisation", caller.organisation_id),
        )
        return tuple(
            self._limit(budget, now_ms)
            for scope in scopes
            for budget in self._by_scope.get(scope, ())
        )

    def _limit(self, budget: Budget, now_ms: int) -> Limit:
        starts_ms, ends_ms = self._windows.get(budget.period, (0, 0))
        if not starts_ms <= now_ms < ends_ms:
            starts_ms, ends_ms = self._windows[budget.period] = window_ms(budget.period, now_ms)
        return Limit(
            f"limit:{budget.id}:{starts_ms}",
            budget.scope,
            budget.scope_id,
            budget.period,
            budget.cap_nano,
            ends_ms,
        )
