"""The writer's thread: take what waits, commit it, say so; when the disk will not, keep it safe."""

import logging
import os
import time
from collections import deque
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Protocol

from portico import errors
from portico.db.backends.base import Trouble
from portico.db.database import Database
from portico.db.lane import Lane
from portico.db.pace import Pace
from portico.db.pending import STOP, Entry, Pending, Resolved
from portico.db.session import Session
from portico.db.spool import RESERVE_BYTES, Spool
from portico.kit.clock import Clock

log = logging.getLogger(__name__)

_BATCH_ITEMS_MAX = 4_096
_LOOK_AT_SPACE_S = 1.0
_RETRY_S = 0.25
_RETRY_AFTER_MS = 2_000
_UNKNOWN = Trouble("the database failed")


@dataclass(frozen=True, slots=True)
class WriterLimits:
    """items_max: what may wait for the writer before it refuses more.
    patience_s: how long a locked database is retried before admission is told to close.
    commit_interval_s: longest pause between two commits under load; what arrives shares one.
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


class Inbox:
    """From the loop to the thread.  Entries lie here until the bell rings, once for all that come
    before the thread looks: a wake-up costs both sides more than everything else together."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        self.bell: SimpleQueue[None] = SimpleQueue()
        self._rung = False

    def put(self, entry: Entry) -> None:
        self.entries.append(entry)
        if not self._rung:
            self.ring()

    def ring(self) -> None:
        if not self._rung:
            self._rung = True
            self.bell.put(None)

    def heard(self) -> None:
        """Before looking at the entries: what comes from now on rings again."""
        self._rung = False


class Committer:
    def __init__(
        self,
        inbox: Inbox,
        database: Database,
        spools: tuple[Spool, Spool],
        lanes: dict[str, Lane],
        clock: Clock,
        limits: WriterLimits,
        loop: Loop,
    ) -> None:
        """spools: for what the database will not take now, and for what it will never take."""
        self._inbox = inbox
        self._database = database
        self._spool, self._rejected = spools
        self._lanes = lanes
        self._clock = clock
        self._limits = limits
        self._loop = loop
        self._pace = Pace(limits.commit_interval_s)
        self._pending = Pending(lanes.values())
        self._session: Session | None = None
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
        finally:
            if self._session is not None:
                self._session.close()

    def _work(self) -> None:
        self._open_early()
        while not self._stopping:
            self._turn()
            self._take()
        self._finish()

    def _open_early(self) -> None:
        """Whoever comes first should not wait for a connection."""
        try:
            self._session = Session(self._database, self._limits.log_reserve_bytes)
        except Exception as error:  # noqa: BLE001  # whatever it is, the thread must go on
            self._failed(error, self._clock.monotonic_s())

    # Taking

    def _take(self) -> None:
        """Wait for something to do, then take everything that has come meanwhile."""
        bell, entries = self._inbox.bell, self._inbox.entries
        try:
            if self._failing_since_s is None:
                bell.get()
                self._let_others_in()
            else:
                bell.get(timeout=max(0.0, self._next_commit_s - self._clock.monotonic_s()))
        except Empty:
            pass
        self._inbox.heard()
        for _ in range(min(len(entries), _BATCH_ITEMS_MAX)):
            entry = entries.popleft()
            if entry is STOP:
                self._stopping = True
            else:
                self._pending.add(entry)
        if entries:
            self._inbox.ring()

    def _let_others_in(self) -> None:
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
        begun_s = self._clock.monotonic_s()
        self._next_commit_s = self._pace.next_s(self._pending.waiting, begun_s)
        try:
            if self._session is None:
                self._session = Session(self._database, self._limits.log_reserve_bytes)
            resolved = self._commit(self._session)
            if self._spool.rows:
                self._spool.clear()
        except Exception as error:  # noqa: BLE001  # whatever it is, the thread must go on
            self._failed(error, begun_s)
            return
        self._failing_since_s = self._trouble = None
        self._pending = Pending(self._lanes.values())
        self._report()
        if resolved:  # last: the loop wakes up and wants the interpreter
            self._loop.resolve(resolved)

    def _commit(self, session: Session) -> list[Resolved]:
        """One transaction; what came of it, for those who wait."""
        try:
            return self._transact(session, alone=False)
        except Exception as error:
            if session.trouble(error) is not None:
                raise
        # One of them cannot be written, and must not keep the others out.
        session.roll_back()
        return self._transact(session, alone=True)

    def _transact(self, session: Session, *, alone: bool) -> list[Resolved]:
        kept = self._spool.read() if self._spool.rows else []
        resolved, refused = session.write(self._pending, self._lanes, kept, alone=alone)
        if refused:
            self._reject(refused)
        session.commit()
        return resolved

    def _reject(self, refused: list[tuple[str, tuple[object, ...]]]) -> None:
        try:
            self._rejected.append(refused)
        except OSError as error:  # they are in the log as well
            log.error("%d refused rows are kept in this log only: %s", len(refused), error)

    # When the disk will not

    def _failed(self, error: Exception, begun_s: float) -> None:
        """begun_s: when it was tried."""
        now_s = self._clock.monotonic_s()
        trouble = self._database.backend.trouble(error) or _UNKNOWN
        self._let_go(trouble)
        first = self._failing_since_s is None
        # Who has waited for a turn that long stands in line again at once, or others would pass him.
        self._next_commit_s = now_s if trouble.lost and first else begun_s + _RETRY_S
        if self._failing_since_s is None:
            self._failing_since_s = now_s
        if trouble.passing and now_s - self._failing_since_s < self._limits.patience_s:
            return
        if self._trouble is None:
            log.error("usage goes to the spool: %s", trouble.says, exc_info=error)
            self._trouble = errors.STORAGE_UNAVAILABLE(
                f"Usage cannot be recorded now: {trouble.says}.", retry_after_ms=_RETRY_AFTER_MS
            )
        self._report()  # first: who is refused below must not find admission open
        self._put_aside(self._trouble)

    def _let_go(self, trouble: Trouble) -> None:
        """Of the transaction, and of a connection that is of no use any more."""
        session = self._session
        if session is None:
            return
        if session.committing and trouble.lost:
            # Lanes are written again, which changes nothing if they are there; a change is not
            # safe to repeat.
            self._loop.resolve(
                self._pending.refuse_changes(
                    errors.STORAGE_UNAVAILABLE(
                        "The connection to the database was lost during the commit: whether this "
                        "was done is not known.  Look before trying again."
                    )
                )
            )
        try:
            session.roll_back()
        except Exception as error:  # noqa: BLE001  # the connection is gone: so is the transaction
            log.warning("the connection to the database is given up: %s", error)
            trouble = Trouble(trouble.says, lost=True)
        if trouble.lost:
            session.close()
            self._session = None

    def _put_aside(self, refusal: errors.Refusal) -> None:
        """Bring what must survive to the spool; there it is as safe as in the database."""
        resolved = self._pending.drop(refusal)
        rows = self._pending.kept()
        try:
            if rows:
                self._spool.append(rows)
            resolved += self._pending.take()
        except OSError:
            log.exception("%d rows wait in memory: the spool is full", len(rows))
        if resolved:
            self._loop.resolve(resolved)

    def _watch_space(self, now_s: float) -> None:
        if now_s < self._look_at_space_s or not self._database.backend.fills_own_disk:
            return
        self._look_at_space_s = now_s + _LOOK_AT_SPACE_S
        short = self._short_of_space()
        if short is None or self._space is None:
            self._space = short
        self._report()

    def _short_of_space(self) -> errors.Refusal | None:
        try:
            disk = os.statvfs(self._database.data_dir)
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
        if self._session is not None:
            self._session.finish()
