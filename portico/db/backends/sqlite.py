"""SQLite: one file in the data directory.

WAL, so that reads and the writer never wait for each other; synchronous=FULL, so that a commit
has reached the disk before anybody is told.  Transactions are begun by hand (BEGIN IMMEDIATE):
the driver's implicit ones begin too late to be safe.
"""

import logging
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from portico.db.backends.base import Dialect, Space, Trouble, of_driver

log = logging.getLogger(__name__)

FILE_NAME = "portico.db"
_BUSY_WAIT_S = 5.0
_WRITER_BUSY_WAIT_MS = 250
_LOG_PAGES = 4_000
_STATEMENTS_KEPT = 400
_SPACE = (
    "SELECT page_count, page_size, freelist_count, auto_vacuum FROM pragma_page_count,"
    " pragma_page_size, pragma_freelist_count, pragma_auto_vacuum"
)
_INCREMENTAL = 2
_STEP_PAGES = 256
"""Taken from the file in one go, for which whoever writes waits."""
_SPARE_BYTES, _SPARE_SHARE = 8_388_608, 8
"""Free pages that stay: so many bytes, or this part of the file, whichever is more."""
_STEPS_BETWEEN_LOOKS = 100_000
_CAUSES = {
    sqlite3.SQLITE_BUSY: Trouble("the database is locked by another process", passing=True),
    sqlite3.SQLITE_LOCKED: Trouble("the database is locked", passing=True),
    sqlite3.SQLITE_FULL: Trouble("the disk is full"),
    sqlite3.SQLITE_IOERR: Trouble("the disk reports an error"),
    sqlite3.SQLITE_READONLY: Trouble("the database cannot be written to"),
    sqlite3.SQLITE_CANTOPEN: Trouble("the database file cannot be opened"),
    sqlite3.SQLITE_CORRUPT: Trouble("the database file is damaged"),
    sqlite3.SQLITE_NOTADB: Trouble("the database file is damaged"),
    sqlite3.SQLITE_NOMEM: Trouble("memory is exhausted"),
}


class Sqlite:
    """A database file.  Every connection belongs to one thread at a time."""

    name: Dialect = "sqlite"
    keeps_tenants_apart = False
    fills_own_disk = True

    def __init__(self, path: Path) -> None:
        self.place = str(path)
        self._log_bytes = 0
        self._engine = create_engine(
            f"sqlite:///{path}",
            poolclass=NullPool,
            hide_parameters=True,  # an error that is logged tells nobody's words
            connect_args={
                "isolation_level": None,
                "check_same_thread": False,
                "timeout": _BUSY_WAIT_S,
                "cached_statements": _STATEMENTS_KEPT,
            },
        )
        event.listen(self._engine, "connect", _set_pragmas)

    @property
    def engine(self) -> Engine:
        return self._engine

    def begin(self, driver: Any) -> None:
        driver.execute("BEGIN IMMEDIATE")

    def begin_snapshot(self, driver: Any) -> None:
        driver.execute("BEGIN DEFERRED")

    def as_system(self, driver: Any) -> None:
        return

    def begin_for(self, driver: Any, organisation_id: str) -> None:
        return

    def only_reads(self, connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA query_only = ON")

    def limit(self, driver: Any, seconds: float | None) -> None:
        if seconds is None:
            driver.set_progress_handler(None, 0)
            return
        until_s = time.monotonic() + seconds
        driver.set_progress_handler(lambda: time.monotonic() > until_s, _STEPS_BETWEEN_LOOKS)

    def took_too_long(self, error: Exception) -> bool:
        return getattr(of_driver(error), "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT

    def prepare_writer(self, driver: Any, log_bytes: int) -> None:
        """Give the log its size now: a commit that makes a file longer costs twice as much as one
        that writes into it, because the disk has to note the new length as well."""
        self._log_bytes = log_bytes
        driver.execute(f"PRAGMA busy_timeout = {_WRITER_BUSY_WAIT_MS}")
        # Rarer than the default: folding the log in stalls the commit it falls on.
        driver.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        self._lengthen(driver)

    def _lengthen(self, driver: Any) -> None:
        try:
            driver.execute("BEGIN IMMEDIATE")
            driver.execute("CREATE TABLE ballast (stuff BLOB)")
            # More than the page cache holds, so it reaches the log; undone, it leaves its length.
            driver.execute("INSERT INTO ballast VALUES (zeroblob(?))", (self._log_bytes,))
        except sqlite3.Error as error:
            log.warning("the log starts small: %s", error)
        driver.rollback()

    def finish_writer(self, driver: Any) -> None:
        try:
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            log.warning("the log was not folded into the database; the next start does it")

    def wipe(self, driver: Any) -> bool:
        """The log is folded into the file, cut to nothing, and given its length again: what stood
        behind its end would stay there until a busy day."""
        driver.execute(f"PRAGMA busy_timeout = {_WRITER_BUSY_WAIT_MS}")
        busy, _, _ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy:
            self._lengthen(driver)
        return not busy

    def space(self, driver: Any) -> Space:
        pages, page_bytes, free, mode = driver.execute(_SPACE).fetchone()
        return Space(pages * page_bytes, free * page_bytes, mode == _INCREMENTAL)

    def shrink(self, driver: Any) -> bool:
        """A step takes pages from the end of the file; the next checkpoint cuts it off there.  What
        a busy day needs again stays: giving it back and taking it anew would cost twice."""
        driver.execute(f"PRAGMA busy_timeout = {_WRITER_BUSY_WAIT_MS}")
        found = self.space(driver)
        stays_bytes = max(_SPARE_BYTES, found.file_bytes // _SPARE_SHARE)
        if not found.shrinks or found.free_bytes <= stays_bytes:
            return False
        # A script: it alone is run to its end, where `execute` takes one page and stops.
        driver.executescript(f"PRAGMA incremental_vacuum({_STEP_PAGES})")
        return True

    def compact(self, driver: Any) -> None:
        driver.execute("PRAGMA auto_vacuum = INCREMENTAL")
        driver.execute("VACUUM")
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def trouble(self, error: Exception) -> Trouble | None:
        code = getattr(of_driver(error), "sqlite_errorcode", None)
        return None if code is None else _CAUSES.get(int(code) & 0xFF)


def _set_pragmas(driver_connection: Any, _record: object) -> None:
    # Of a file without a page, and only before the next line gives it one: so that what is deleted
    # can be given back to the disk in small steps.  Of any other file it would change nothing, and
    # wait for whoever writes.
    if driver_connection.execute("PRAGMA page_count").fetchone() == (0,):
        driver_connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    driver_connection.execute("PRAGMA journal_mode = WAL")
    driver_connection.execute("PRAGMA synchronous = FULL")
    driver_connection.execute("PRAGMA foreign_keys = ON")
    # Without it INSERT OR REPLACE would delete rows of append-only tables past their triggers.
    driver_connection.execute("PRAGMA recursive_triggers = ON")
    # What is deleted is gone: without it, answers would stay readable in the file's free pages.
    driver_connection.execute("PRAGMA secure_delete = ON")
