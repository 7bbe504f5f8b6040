"""One line of a batch, made once: a journey of its own, and what becomes of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from portico import errors
from portico.callers.scopes import EMBED, GENERATE
from portico.db.away import AWAY, away
from portico.db.writer import Writer
from portico.door.visits.carrier import Unattended
from portico.errors import Refusal
from portico.kit.clock import Clock
from portico.kit.leaving import DRAINED, PREEMPTED, Leaving, Left
from portico.resources.batches import store
from portico.resources.batches.keeper import LineKeeper, Lines
from portico.resources.batches.model import Work

TRIES_MAX = 4
"""Of one line; after so many it is not made to make room any more, and its next failure counts."""
_AGAIN_S = 2.0
_SETTLED_S = 1.0
log = logging.getLogger(__name__)

Change = Callable[[Connection], object]


@dataclass(frozen=True, slots=True)
class Way:
    """handle: the door's, for callers who are not there.  told: a refusal as its dialect tells it:
    the status, and the body.  of_models: does it take places of a model?"""

    handle: Callable[[Unattended, str], Awaitable[None]]
    told: Callable[[Refusal, str], tuple[int, bytes]]
    of_models: bool = True


@dataclass(slots=True, eq=False)
class Running:
    """A line under way.  hurried: it waits for a place where none is to spare, and keeps it."""

    work: Work
    model: str
    leaving: Leaving
    keeper: LineKeeper
    hurried: bool = False


class Making:
    """One event loop owns this object."""

    def __init__(self, ways: Mapping[str, Way], lines: Lines, writer: Writer, clock: Clock) -> None:
        """ways: by endpoint."""
        self.ways = ways
        self.closing = False
        """This server stops: what cannot be written down now is found by whoever comes next."""
        self._lines = lines
        self._writer = writer
        self._clock = clock

    def begin(self, work: Work, model: str, *, hurried: bool) -> Running:
        return Running(work, model, Leaving(), self._lines.enter(work), hurried)

    async def make(self, running: Running) -> float | None:
        """One try.  When it returns, the database says what came of it, unless this server stops.

        Gives after how many seconds its batch goes on; None where this changes nothing for it.
        """
        work, again_s = running.work, None
        change: Change
        carrier = self._carrier(running)
        try:
            await self.ways[work.endpoint].handle(carrier, "")
            if running.keeper.kept:
                return None
            change = partial(store.answer, work=work, status=carrier.status, told=carrier.answered)
        except Left:
            change, again_s = self._left(running)
        except Refusal as refusal:
            change, again_s = self._refused(running, refusal)
        except AWAY as failure:
            change, again_s = self._refused(running, away(failure, work.request_id))
        except Exception:
            log.exception("a line failed", extra={"batch": work.batch_id, "line": work.number})
            change = self._telling(work, errors.INTERNAL("Something went wrong here."))
        finally:
            self._lines.leave(work)
        if running.keeper.kept:  # it was answered, and only the word of it did not come
            await self._until_settled(work)
            return None
        await self._surely(change)
        return again_s

    def _left(self, running: Running) -> tuple[Change, float | None]:
        reason = running.leaving.reason
        if reason in (PREEMPTED, DRAINED):
            begun = reason == PREEMPTED
            return partial(store.put_back, work=running.work, begun=begun), 0.0
        revoked = errors.KEY_REVOKED("The key of this batch has ended.")
        return self._telling(running.work, revoked), None

    def _refused(self, running: Running, refusal: Refusal) -> tuple[Change, float | None]:
        """What may pass is tried again; what was not even begun, for as long as the batch runs."""
        work = running.work
        if running.leaving.left and running.leaving.reason in (PREEMPTED, DRAINED):
            return self._left(running)
        before = refusal.status in (429, 503)
        passes = refusal.entry.retryable and not running.keeper.paid
        if passes and (before or work.attempts < TRIES_MAX):
            again_s = (refusal.retry_after_ms or 0) / 1000 or _AGAIN_S
            return partial(store.put_back, work=work, begun=not before), again_s
        return self._telling(work, refusal), None

    def _telling(self, work: Work, refusal: Refusal) -> Change:
        status, told = self.ways[work.endpoint].told(refusal, work.request_id)
        return partial(store.answer, work=work, status=status, told=told)

    async def _surely(self, change: Change) -> None:
        """However long the database is away."""
        while not await self._written(change):
            if self.closing:
                return
            await asyncio.sleep(_AGAIN_S)

    async def _written(self, change: Change) -> bool:
        try:
            await self._writer.run(change)
        except (Refusal, DBAPIError) as error:
            log.warning("what became of a line is not written yet: %s", error)
            return False
        return True

    async def _until_settled(self, work: Work) -> None:
        """Its record is on its way, and its answer with it."""
        while not self.closing:
            try:
                if await self._writer.run(partial(store.has_ended, work=work)):
                    return
            except (Refusal, DBAPIError) as error:
                log.warning("the answer of a line is not written yet: %s", error)
            await asyncio.sleep(_SETTLED_S)

    def _carrier(self, running: Running) -> Unattended:
        work = running.work
        return Unattended(
            work.request_id,
            work.request_id,
            ("POST", work.endpoint.encode("ascii")),
            {b"authorization": b"Bearer " + work.key_id.encode("ascii")},
            work.request,
            running.leaving,
            scope=EMBED if work.endpoint.endswith("embeddings") else GENERATE,
            arrived_s=self._clock.monotonic_s(),
        )
