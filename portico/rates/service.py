"""What a request takes of its caller's limits per minute.

Requests and input tokens are counted before it runs: the tokens as guessed from its size, corrected
when it has ended to those that were not read from a cache.  Output tokens are counted when they are
known: a request is let in while some are left.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import lru_cache

from sqlalchemy.exc import SQLAlchemyError

from portico.callers.model import Caller
from portico.canon.usage import Meters
from portico.db.readers import Readers
from portico.db.transaction import Transaction
from portico.kit.clock import Clock
from portico.ledger import owners
from portico.rates import store
from portico.rates.counters import Counters
from portico.rates.model import AtOnce, Count, Rule, Standing, Window
from portico.rates.rules import ByOwner, at_once_of, refusal, standing, windows_of

REFRESH_S = 2.0
_KNOWN_MAX = 50_000
log = logging.getLogger(__name__)


class Allowance:
    """What one request took.  Settled exactly once, however often that is asked."""

    __slots__ = ("_at_ms", "_counters", "_counts", "_taken")

    def __init__(
        self,
        counters: Counters,
        taken: list[tuple[Window, int]],
        counts: list[Count],
        at_ms: int,
    ) -> None:
        """at_ms: now, wall clock."""
        self._counters = counters
        self._at_ms = at_ms
        self._taken = taken
        self._counts = counts

    @property
    def standing(self) -> Standing:
        """What is left, this request counted."""
        return standing((window for window, _ in self._taken), self._counts, self._at_ms)

    def settle(self, meters: Meters) -> None:
        """meters: what it used in the end; nothing where it did not run."""
        taken, self._taken = self._taken, []
        changes = list[tuple[Window, Count | None, int]]()
        for (window, need), count in zip(taken, self._counts, strict=False):
            if window.meter == "output_tokens":
                used, when = meters.output_tokens, None
            elif window.meter == "input_tokens":
                used, when = meters.input_tokens - meters.input_cache_read, count
            else:
                continue
            if used != need:
                changes.append((window, when, used - need))
        if changes:
            self._counters.correct(changes)

    def undo(self) -> None:
        """It was only to be seen whether it may: nothing was taken."""
        taken, self._taken = self._taken, []
        changes: list[tuple[Window, Count | None, int]] = [
            (window, count, -need)
            for (window, need), count in zip(taken, self._counts, strict=False)
            if need
        ]
        if changes:
            self._counters.correct(changes)


class Rates:
    """One event loop owns this object."""

    def __init__(self, readers: Readers, counters: Counters, clock: Clock) -> None:
        self._readers = readers
        self._counters = counters
        self._clock = clock
        self._rules: ByOwner = {}
        self.limits_anybody = False
        """Is there a rule at all?  Where there is none, nobody needs to be asked about."""
        self._known = lru_cache(_KNOWN_MAX)(self._windows)

    async def run(self) -> None:
        """Follow what is stored, and keep up with whoever counts.  Ends when cancelled."""
        await asyncio.gather(self._follow(), self._counters.run())

    async def _follow(self) -> None:
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_S)

    async def refresh(self) -> None:
        """Take in what is stored now.  Where the database cannot say, the last rules stay."""
        try:
            rules = await self._readers.run(store.rules)
        except SQLAlchemyError:
            log.warning("limits cannot be read now; those known stay in force")
            return
        if rules != self._rules:
            self._rules = rules
            self.limits_anybody = bool(rules)
            self._known.cache_clear()

    async def take(self, caller: Caller, model: str, input_tokens: int) -> Allowance | None:
        """None where nothing limits it.  input_tokens: as guessed.

        Raises: Refusal: requests_per_minute_exceeded, input_tokens_per_minute_exceeded,
        output_tokens_per_minute_exceeded (429).
        """
        if not self._rules:
            return None
        windows, _ = self._known(caller.key_id, caller.project_id, caller.organisation_id, model)
        if not windows:
            return None
        needs = [(window, _need(window, input_tokens)) for window in windows]
        fits, counts = await self._counters.take(needs)
        if fits:
            return Allowance(self._counters, needs, counts, self._clock.wall_ms())
        raise self._refused(needs, counts)

    async def take_request(self, caller: Caller) -> None:
        """One that runs no model and makes something all the same: a request of what may be asked
        for all models together, and no token.

        Raises: Refusal: requests_per_minute_exceeded (429).
        """
        windows, _ = self._known(caller.key_id, caller.project_id, caller.organisation_id, "")
        needs = [(window, 1) for window in windows if window.meter == "requests"]
        if not needs:
            return
        fits, counts = await self._counters.take(needs)
        if not fits:
            raise self._refused(needs, counts)

    async def standing(self, caller: Caller) -> Standing | None:
        """What is left of the limits for all models together; None where there is none.  Nothing is
        counted."""
        windows, _ = self._known(caller.key_id, caller.project_id, caller.organisation_id, "")
        if not windows:
            return None
        counts = await self._counters.look(windows)
        return standing(windows, counts, self._clock.wall_ms())

    def at_once(self, caller: Caller, model: str) -> tuple[AtOnce, ...]:
        """What limits requests that run or wait, besides the key's own limit."""
        if not self._rules:
            return ()
        return self._known(caller.key_id, caller.project_id, caller.organisation_id, model)[1]

    def rules_of(self, caller: Caller) -> tuple[Rule, ...]:
        """All that limit this caller, for whatever model, narrowest scope first."""
        return self._rules_of(caller.key_id, caller.project_id, caller.organisation_id)

    def _windows(
        self, key_id: str, project_id: str, organisation_id: str, model: str
    ) -> tuple[tuple[Window, ...], tuple[AtOnce, ...]]:
        rules = self._rules_of(key_id, project_id, organisation_id)
        return windows_of(rules, model), at_once_of(rules, model)

    def _rules_of(self, key_id: str, project_id: str, organisation_id: str) -> tuple[Rule, ...]:
        owners = (
            ("key", key_id),
            ("project", project_id),
            ("organisation", organisation_id),
            ("installation", ""),
        )
        return tuple(rule for owner in owners for rule in self._rules.get(owner, ()))

    def _refused(self, needs: list[tuple[Window, int]], counts: list[Count]) -> Exception:
        """The one that takes longest to pass; one that never will takes longer than any."""
        (window, need), count = max(
            zip(needs, counts, strict=True),
            key=lambda pair: (max(pair[0][1], 1) > pair[0][0].limit, pair[1].wait_s),
        )
        told = refusal(window, need, count)
        windows = [each for each, _ in needs]
        told.standing = standing(windows, counts, self._clock.wall_ms())
        return told


def counting(readers: Readers, clock: Clock) -> Callable[[], Awaitable[int]]:
    """How many servers the database knows of; 0 while it cannot be asked."""

    async def count() -> int:
        try:
            return await readers.run(lambda c: owners.alive(Transaction(c), clock.wall_ms()))
        except SQLAlchemyError:
            return 0

    return count


def _need(window: Window, input_tokens: int) -> int:
    if window.meter == "requests":
        return 1
    return input_tokens if window.meter == "input_tokens" else 0
