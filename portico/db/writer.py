"""The one writer: a thread that turns whatever waits into one transaction (group commit).

The event loop hands over rows (`put`) and rare changes (`run`) without ever waiting for a disk;
many requests share one commit, and one call back into the loop acknowledges them all.  Measured
in docs/design/0002-group-commit-writer.md.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection

from portico import errors
from portico.db.committer import Committer, Inbox, WriterLimits
from portico.db.database import Database
from portico.db.lane import Lane
from portico.db.pending import STOP, Resolved
from portico.db.spool import claim
from portico.kit.clock import Clock

log = logging.getLogger(__name__)

_TICK_S = 0.25

T = TypeVar("T")
OnHealth = Callable[[errors.Refusal | None], None]


class Writer:
    """Made and used on one event loop; the thread runs from `start` to `close`.

    on_health: called on the loop with the refusal new requests should get while records cannot
      be written (or the disk is nearly full), and with None when all is well again.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        on_health: OnHealth,
        limits: WriterLimits | None = None,
    ) -> None:
        """Raises: OSError, when there is no room for the spool's reserve."""
        self._database = database
        self._clock = clock
        self._on_health = on_health
        self._limits = limits or WriterLimits()
        self._lanes: dict[str, Lane] = {}
        self._inbox = Inbox()
        self._spools = claim(database.data_dir, self._limits.spool_reserve_bytes)
        self._tick: asyncio.TimerHandle | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def add_lane(self, lane: Lane) -> None:
        """Before `start`: the spool may hold rows for it.  In a commit lanes write in the order in
        which they were added."""
        self._lanes[lane.name] = lane

    def start(self) -> None:
        """Rows that an earlier process left in the spool are written before anything else.

        Raises: RuntimeError, when the spool has rows for a lane that was not added.
        """
        unknown = {name for name, _ in self._spools[0].read()} - self._lanes.keys()
        if unknown:
            raise RuntimeError(f"The spool holds rows of {sorted(unknown)}; nothing writes those.")
        self._loop = asyncio.get_running_loop()
        committer = Committer(
            self._inbox,
            self._database,
            self._spools,
            self._lanes,
            self._clock,
            self._limits,
            _Loop(self._loop, self._on_health),
        )
        self._thread = threading.Thread(target=committer.run, name="portico-write", daemon=True)
        self._thread.start()
        self._wake()

    def ack(self) -> "asyncio.Future[Any]":
        """For `put`: resolved with what the lane made of the item, once that is durable; with None
        where it went to the spool instead.  Raises, awaited: Refusal: storage_unavailable, for an
        item that is not kept while the database will not; what the lane gave as an exception."""
        loop = self._loop or asyncio.get_running_loop()
        return loop.create_future()

    def put(self, lane: Lane, item: Any, ack: "asyncio.Future[Any] | None" = None) -> None:
        """Queue `item` for the next commit, see `ack`.  Never waits.

        Raises: Refusal: storage_unavailable, when too much waits already or all is closed.
        """
        self._check_open()
        self._inbox.put((lane, item, ack))

    def put_later(self, lane: Lane, item: Any) -> None:
        """Queue `item` for whichever commit comes next: within 0.25 s, and for the price of none.

        Raises: as `put`.
        """
        self._check_open()
        self._inbox.entries.append((lane, item, None))

    async def run(self, change: Callable[[Connection], T]) -> T:
        """Run `change` inside the next transaction; its result, once committed.

        It has a savepoint of its own: what it raises is raised here and undoes only itself.  It
        may be called again if the commit fails, so it must do nothing but database work.
        Raises: what `change` raises; Refusal: storage_unavailable, also where the connection broke
        during the commit and nobody knows whether it was done.
        """
        self._check_open()
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._inbox.put((None, change, done))
        return await done

    async def close(self) -> None:
        """Write what waits, fold the log into the database, end the thread."""
        if self._closed:
            return
        self._closed = True
        if self._tick is not None:
            self._tick.cancel()
        if self._thread is not None:
            self._inbox.put(STOP)
            await asyncio.to_thread(self._thread.join)
        for spool in self._spools:
            spool.close()

    def _wake(self) -> None:
        """The thread sleeps without a clock of its own, which makes waking it cheaper."""
        assert self._loop is not None
        self._inbox.ring()
        self._tick = self._loop.call_later(_TICK_S, self._wake)

    def _check_open(self) -> None:
        if self._closed:
            raise errors.STORAGE_UNAVAILABLE("The database is closed.", retry_after_ms=2_000)
        if len(self._inbox.entries) >= self._limits.items_max:
            raise errors.STORAGE_UNAVAILABLE(
                "Too many records wait to be written.",
                limit=self._limits.items_max,
                retry_after_ms=2_000,
            )


class _Loop:
    """Brings the thread's results to the event loop: one wake-up for a whole batch."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_health: OnHealth) -> None:
        self._loop = loop
        self._on_health = on_health

    def resolve(self, resolved: list[Resolved]) -> None:
        self._call(_resolve, resolved)

    def report(self, refusal: errors.Refusal | None) -> None:
        self._call(self._on_health, refusal)

    def _call(self, function: Callable[[Any], None], argument: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, argument)
        except RuntimeError:
            log.warning("the event loop ended before the writer")


def _resolve(resolved: list[Resolved]) -> None:
    for future, result in resolved:
        if future.done():  # whoever waited was cancelled
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
