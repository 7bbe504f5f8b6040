"""The writer's thread: take what waits, commit it, say so; when the disk will not, keep it safe."""

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from portico import errors
from portico.db.database import Database
from portico.db.lane import Lane, Row
from portico.db.spool import RESERVE_BYTES, Spool
from portico.kit.clock import Clock

log = logging.getLogger(__name__)

Change = Callable[[Connection], Any]
Entry = tuple[Lane | None, Any, "asyncio.Future[Any] | None"]
"""(lane, item, ack), or (None, change, its future), or STOP, the last one."""

Resolved = tuple["asyncio.Future[Any]", Any]
"""A future and its result; an exception as result is raised to whoever awaits it."""

STOP: Entry = (None, None, None)
_BATCH_ITEMS_MAX = 4_096
_CROWD = 8
"""Settlements in one commit from which on the next one waits for its whole interval."""
_ROWS_AT_ONCE = 100
"""Few enough that every size of statement stays in the driver's cache of 128."""
_IDLE_S = 1.0
_LOG_PAGES = 4_000
_RETRY_S = 0.25
_CAUSES = {
    sqlite3.SQLITE_BUSY: "the database is locked by another process",
    sqlite3.SQLITE_LOCKED: "the database is locked",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_READONLY: "the database cannot be written to",
    sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened",
    sqlite3.SQLITE_CORRUPT: "the database file is damaged",
    sqlite3.SQLITE_NOTADB: "the database file is damaged",
    sqlite3.SQLITE_NOMEM: "memory is exhausted",
}
"""What stops every write, and not only the one that met it."""
_REFUSALS = (sqlite3.Error, OverflowError, ValueError, TypeError)
_RETRY_AFTER_MS = 2_000
_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


@dataclass(frozen=True, slots=True)
class WriterLimits:
    """items_max: what may wait for the writer before it refuses more.
    patience_s: how long a locked database is retried before admission is told to close.
    commit_interval_s: shortest time between two commits; what arrives meanwhile shares one.
    free_bytes_min: disk space below which admission is told to close.
    spool_reserve_bytes: disk space taken in advance for settlements on a full disk.
    log_reserve_bytes: length the database's log is given at the start.
    """

    items_max: int = 100_000
    patience_s: float = 2.0
    commit_interval_s: float = 0.002
    free_bytes_min: int = 256 * 1024 * 1024
    spool_reserve_bytes: int = RESERVE_BYTES
    log_reserve_bytes: int = 18_000_000


class Loop(Protocol):
    """The way back to the event loop, from this thread."""

    def resolve(self, resolved: list[Resolved]) -> None: ...

    def report(self, refusal: errors.Refusal | None) -> None: ...


class _Pending:
    """Taken from the inbox, not durable yet."""

    __slots__ = ("acks", "changes", "items")

    def __init__(self) -> None:
        self.items: dict[Lane, list[Any]] = {}
        self.acks: list[asyncio.Future[Any]] = []
        self.changes: list[tuple[Change, asyncio.Future[Any]]] = []

    def __bool__(self) -> bool:
        return bool(self.items or self.changes)

    def add(self, entry: Entry) -> None:
        lane, item, future = entry
        if lane is None:
            assert future is not None
            self.changes.append((item, future))
            return
        waiting = self.items.get(lane)
        if waiting is None:
            self.items[lane] = [item]
        else:
            waiting.append(item)
        if future is not None:
            self.acks.append(future)


class Committer:
    def __init__(
        self,
        inbox: "SimpleQueue[Entry]",
        database: Database,
        spool: Spool,
        lanes: dict[str, Lane],
        clock: Clock,
        limits: WriterLimits,
        loop: Loop,
    ) -> None:
        self._inbox = inbox
        self._database = database
        self._spool = spool
        self._lanes = lanes
        self._clock = clock
        self._limits = limits
        self._loop = loop
        self._pending = _Pending()
        self._stopping = False
        self._next_commit_s = 0.0
        self._failing_since_s: float | None = None
        self._trouble: errors.Refusal | None = None
        self._space: errors.Refusal | None = None
        self._reported: errors.Refusal | None = None
        self._look_at_space_s = 0.0

    def run(self) -> None:
        """The thread's life."""
        try:
            self._work()
        except BaseException:
            # Without this thread nothing is recorded any more: let nobody in, and be loud.
            self._loop.report(
                errors.STORAGE_UNAVAILABLE("The writer has stopped; restart the server.")
            )
            raise

    def _work(self) -> None:
        with self._database.connect() as self._connection:
            self._raw: sqlite3.Connection = self._connection.connection.driver_connection  # type: ignore[assignment]  # the driver is sqlite3
            self._raw.execute(f"PRAGMA busy_timeout = {int(_RETRY_S * 1000)}")
            self._prepare_log()
            while not self._stopping:
                self._turn()
                self._take()
            self._finish()

    def _prepare_log(self) -> None:
        """Give the log its size now: a commit that makes a file longer costs twice as much as one
        that writes into it, because the disk has to note the new length as well."""
        # Rarer than the default: folding the log in stalls the commit it falls on.
        self._raw.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        try:
            self._raw.execute("BEGIN IMMEDIATE")
            self._raw.execute("CREATE TABLE ballast (stuff BLOB)")
            # More than the page cache holds, so it reaches the log; undone, it leaves its length.
            self._raw.execute(
                "INSERT INTO ballast VALUES (zeroblob(?))", (self._limits.log_reserve_bytes,)
            )
        except sqlite3.Error as error:
            log.warning("the log starts small: %s", error)
        self._roll_back()

    # Taking

    def _take(self) -> None:
        """Wait for something to do, then take everything that has come meanwhile."""
        wait_s = _IDLE_S
        if self._failing_since_s is not None:
            wait_s = max(0.0, self._next_commit_s - self._clock.monotonic_s())
        try:
            self._add(self._inbox.get(timeout=wait_s))
            if self._failing_since_s is None:
                self._pace()
            for _ in range(_BATCH_ITEMS_MAX):
                self._add(self._inbox.get_nowait())
        except Empty:
            return

    def _add(self, entry: Entry) -> None:
        if entry is STOP:
            self._stopping = True
        else:
            self._pending.add(entry)

    def _pace(self) -> None:
        """A commit costs the same for one row and for fifty: let the others come in."""
        early_s = self._next_commit_s - self._clock.monotonic_s()
        if early_s > 0:
            time.sleep(early_s)

    # Committing

    def _turn(self) -> None:
        now_s = self._clock.monotonic_s()
        self._watch_space(now_s)
        failing = self._failing_since_s is not None
        if self._trouble is not None:
            self._put_aside(self._trouble)
        if failing and now_s < self._next_commit_s:
            return
        if failing or self._pending or self._spool.rows:
            self._try_commit()

    def _try_commit(self) -> None:
        # Alone, a row goes at once; only where many share a commit is it worth a wait for more.
        share = min(1.0, len(self._pending.acks) / _CROWD)
        self._next_commit_s = self._clock.monotonic_s() + share * self._limits.commit_interval_s
        try:
            results = self._commit()
            if self._spool.rows:
                self._spool.clear()
        except Exception as error:  # noqa: BLE001  # whatever it is, the thread must go on
            self._roll_back()
            self._failed(error)
            return
        self._failing_since_s = self._trouble = None
        pending, self._pending = self._pending, _Pending()
        self._loop.resolve(results + [(ack, None) for ack in pending.acks])
        self._report()

    def _commit(self) -> list[Resolved]:
        """One transaction.  Gives the results of the changes in it."""
        self._raw.execute("BEGIN IMMEDIATE")
        if self._spool.rows:
            for name, row in self._spool.read():
                self._write_alone(self._lanes[name], row)
        for lane, items in self._pending.items.items():
            self._write(lane, lane.rows(items))
        results = [(done, self._change(change)) for change, done in self._pending.changes]
        if self._connection.in_transaction():
            self._connection.commit()
        else:
            self._raw.execute("COMMIT")
        return results

    def _write(self, lane: Lane, rows: list[Row]) -> None:
        try:
            for first in range(0, len(rows), _ROWS_AT_ONCE):
                some = rows[first : first + _ROWS_AT_ONCE]
                self._raw.execute(lane.upsert_of(len(some)), list(chain.from_iterable(some)))
        except _REFUSALS as error:
            if _cause(error) is not None:
                raise
            for row in rows:  # one that the database cannot take must not keep the others out
                self._write_alone(lane, row)

    def _write_alone(self, lane: Lane, row: Row) -> None:
        try:
            self._raw.execute(lane.upsert, row)
        except _REFUSALS as error:
            if _cause(error) is not None:
                raise
            log.exception("%s: the database refuses the row %r", lane.name, row)

    def _change(self, change: Change) -> Any:
        savepoint = self._connection.begin_nested()
        try:
            result = change(self._connection)
        except Exception as error:
            if _cause(error) is not None:
                raise
            savepoint.rollback()
            return error
        savepoint.commit()
        return result

    def _roll_back(self) -> None:
        if self._connection.in_transaction():
            self._connection.rollback()
        # SQLITE_FULL and its like have rolled back already; doing it again would raise.
        if self._raw.in_transaction:
            self._raw.execute("ROLLBACK")

    # When the disk will not

    def _failed(self, error: Exception) -> None:
        now_s = self._clock.monotonic_s()
        self._next_commit_s = now_s + _RETRY_S
        if self._failing_since_s is None:
            self._failing_since_s = now_s
        code = _cause(error)
        if code in _PASSING and now_s - self._failing_since_s < self._limits.patience_s:
            return
        if self._trouble is None:
            cause = _CAUSES[code] if code is not None else "the database failed"
            log.error("usage goes to the spool: %s", cause, exc_info=error)
            self._trouble = errors.STORAGE_UNAVAILABLE(
                f"Usage cannot be recorded now: {cause}.", retry_after_ms=_RETRY_AFTER_MS
            )
        self._report()  # first: who is refused below must not find admission open
        self._put_aside(self._trouble)

    def _put_aside(self, refusal: errors.Refusal) -> None:
        """Bring what must survive to the spool; there it is as safe as in the database."""
        rows = [
            (lane.name, row)
            for lane, items in self._pending.items.items()
            for row in lane.rows(items)
            if lane.must_survive(row)
        ]
        try:
            if rows:
                self._spool.append(rows)
        except OSError:
            log.exception("%d usage records wait in memory: the spool is full", len(rows))
            return
        pending, self._pending = self._pending, _Pending()
        resolved: list[Resolved] = [(ack, None) for ack in pending.acks]
        resolved += [(done, refusal) for _, done in pending.changes]
        if resolved:
            self._loop.resolve(resolved)

    def _watch_space(self, now_s: float) -> None:
        if now_s < self._look_at_space_s:
            return
        self._look_at_space_s = now_s + _IDLE_S
        short = self._short_of_space()
        if short is None or self._space is None:
            self._space = short
        self._report()

    def _short_of_space(self) -> errors.Refusal | None:
        folder = self._database.data_dir
        try:
            disk = os.statvfs(folder)
        except OSError as error:
            return errors.STORAGE_UNAVAILABLE(
                f"The data directory cannot be reached: {error.strerror}.",
                retry_after_ms=_RETRY_AFTER_MS,
            )
        free_bytes = disk.f_bavail * disk.f_frsize
        if free_bytes >= self._limits.free_bytes_min:
            return None
        return errors.STORAGE_UNAVAILABLE(
            "The disk is nearly full.",
            value=free_bytes,
            limit=self._limits.free_bytes_min,
            retry_after_ms=_RETRY_AFTER_MS,
        )

    def _report(self) -> None:
        refusal = self._trouble or self._space
        if refusal is not self._reported:
            self._reported = refusal
            self._loop.report(refusal)

    # Ending

    def _finish(self) -> None:
        if self._pending or self._spool.rows:
            self._try_commit()
        if self._pending:
            self._put_aside(
                self._trouble
                or errors.STORAGE_UNAVAILABLE("The server stops.", retry_after_ms=_RETRY_AFTER_MS)
            )
        try:
            self._raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            log.warning("the log was not folded into the database; the next start does it")


def _cause(error: Exception) -> int | None:
    """The SQLite code behind `error`, where it is one that stops every write."""
    driver_error = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(driver_error, "sqlite_errorcode", None)
    if code is None:
        return None
    primary = int(code) & 0xFF
    return primary if primary in _CAUSES else None
