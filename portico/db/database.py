"""One database, opened and brought up to date: SQLite in the data directory, or PostgreSQL."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from portico.db import schema
from portico.db.backends.base import Backend, Dialect, Space, Unusable
from portico.db.backends.postgresql import Postgresql
from portico.db.backends.sqlite import FILE_NAME, Sqlite
from portico.db.migrations import HEAD

T = TypeVar("T")


class Database:
    """How to reach it.  Every connection belongs to one thread at a time.

    data_dir: where this process keeps what the database cannot take (see `spool`).
    """

    def __init__(self, backend: Backend, data_dir: Path) -> None:
        self.backend = backend
        self.data_dir = data_dir

    @property
    def dialect(self) -> Dialect:
        return self.backend.name

    @property
    def place(self) -> str:
        """For people."""
        return self.backend.place

    def connect(self) -> Connection:
        """A connection of the caller's own, to be closed by it, that sees everything."""
        connection = self.backend.engine.connect()
        self.backend.as_system(connection.connection.driver_connection)
        return connection

    def connect_for_tenants(self) -> Connection:
        """As `connect`, but where the database keeps tenants apart it sees nothing, until each
        transaction says whose (`Backend.begin_for`)."""
        return self.backend.engine.connect()

    def read(self, query: Callable[[Connection], T]) -> T:
        """All statements of `query` see the same moment.  Blocking: for the command line, for
        start-up and for threads, never for the event loop."""
        with self.connect() as connection:
            # What it wrote would be undone without a word.
            self.backend.only_reads(connection)
            driver = connection.connection.driver_connection
            assert driver is not None
            self.backend.begin_snapshot(driver)
            result = query(connection)
            driver.rollback()
        return result

    def wipe(self) -> bool:
        """See `Backend.wipe`.  Blocking; for a thread."""
        with self.connect() as connection:
            return self.backend.wipe(connection.connection.driver_connection)

    def space(self) -> Space | None:
        """See `Backend.space`."""
        with self.connect() as connection:
            return self.backend.space(connection.connection.driver_connection)

    def shrink(self) -> bool:
        """See `Backend.shrink`.  Blocking; for a thread."""
        with self.connect() as connection:
            return self.backend.shrink(connection.connection.driver_connection)

    def compact(self) -> None:
        """See `Backend.compact`."""
        with self.connect() as connection:
            self.backend.compact(connection.connection.driver_connection)

    def write(self, change: Callable[[Connection], T]) -> T:
        """Run `change` in a transaction of its own.  Blocking, like `read`; safe beside a running
        server, which waits for its turn.

        Raises: sqlalchemy.exc.DBAPIError or the driver's error, when the turn does not come
        within 5 s.
        """
        with self.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            self.backend.begin(driver)
            result = change(connection)
            driver.commit()
        return result


class OldSchema(Unusable):
    """The tables are not those of this version, and only an operator may change them."""


def open_database(data_dir: Path, url: str = "") -> Database:
    """The database of `data_dir`, created and migrated where needed; or the one at `url`, as it is.

    Raises: OSError, when the directory cannot be made; sqlalchemy.exc.DBAPIError, when the file
    is no database, is locked or the disk is full, or the server cannot be reached;
    NewerDatabase; OldSchema; UrlInvalid; DriverMissing.
    """
    database = connect_database(data_dir, url)
    stored = database.read(schema.revision)
    if database.dialect == "sqlite":
        if stored != HEAD:
            upgrade(database)
    elif stored != HEAD:
        schema.refuse_newer(stored)
        found = f"has the tables of revision {stored}" if stored else "has no tables yet"
        raise OldSchema(
            f"The database {database.place} {found}; this version needs revision {HEAD}. "
            "Run `portico db upgrade`."
        )
    return database


def connect_database(data_dir: Path, url: str = "") -> Database:
    """Without a look at its tables.  Raises: OSError, UrlInvalid, DriverMissing."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if url:
        return Database(Postgresql(url), data_dir)
    path = data_dir / FILE_NAME
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would let others read it
    return Database(Sqlite(path), data_dir)


def upgrade(database: Database) -> tuple[str, str]:
    """Bring the tables up to date in one transaction; (revision before, revision after).

    Raises: NewerDatabase; sqlalchemy.exc.DBAPIError.
    """

    def change(connection: Connection) -> str:
        # Read again inside: another process may have been faster.
        before = schema.revision(connection)
        schema.refuse_newer(before)
        if before != HEAD:
            schema.migrate(connection)
        return before

    return database.write(change), HEAD
