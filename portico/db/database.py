"""One SQLite database in a data directory, opened and brought up to date.

WAL, so that reads and the writer never wait for each other; synchronous=FULL, so that a commit
has reached the disk before anybody is told.  Transactions are begun by hand (BEGIN IMMEDIATE):
the driver's implicit ones begin too late to be safe.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from portico.db.migrations import HEAD

T = TypeVar("T")

FILE_NAME = "portico.db"
_BUSY_WAIT_S = 5.0


class Database:
    """A database file, and how to reach it.  Every connection belongs to one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine: Engine = create_engine(
            f"sqlite:///{path}",
            poolclass=NullPool,
            connect_args={
                "isolation_level": None,
                "check_same_thread": False,
                "timeout": _BUSY_WAIT_S,
            },
        )
        event.listen(self._engine, "connect", _set_pragmas)

    def connect(self) -> Connection:
        """A connection of the caller's own, to be closed by it."""
        return self._engine.connect()

    def read(self, query: Callable[[Connection], T]) -> T:
        """Blocking: for the command line and for start-up, never for the event loop."""
        with self.connect() as connection:
            return query(connection)

    def write(self, change: Callable[[Connection], T]) -> T:
        """Run `change` in a transaction of its own.  Blocking, like `read`; safe beside a running
        server, which waits for its turn.

        Raises: sqlalchemy.exc.OperationalError, when the database stays locked for 5 s.
        """
        with self.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            result = change(connection)
            connection.commit()
        return result


def open_database(data_dir: Path) -> Database:
    """The database of `data_dir`, created and migrated where needed.

    Raises: OSError, when the directory cannot be made; sqlalchemy.exc.DBAPIError, when the file
    is no database, is locked or the disk is full; NewerDatabase.
    """
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = data_dir / FILE_NAME
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would let others read it
    database = Database(path)
    if database.read(_revision) != HEAD:
        database.write(_migrate)
    return database


class NewerDatabase(Exception):
    """The database was written by a newer Portico; this one must not touch it."""


def _set_pragmas(driver_connection: Any, _record: object) -> None:
    driver_connection.execute("PRAGMA journal_mode = WAL")
    driver_connection.execute("PRAGMA synchronous = FULL")
    driver_connection.execute("PRAGMA foreign_keys = ON")


def _revision(connection: Connection) -> str:
    """The schema's revision, "" for a new database."""
    known = connection.exec_driver_sql(
        "SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'"
    )
    if not known.scalar_one():
        return ""
    stored = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return str(stored or "")


def _migrate(connection: Connection) -> None:
    # Loaded only when there is something to migrate: it is slower than opening the database.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script.revision import ResolutionError  # noqa: PLC0415
    from alembic.util.exc import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "portico.db:migrations")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        if isinstance(error.__cause__, ResolutionError):
            raise NewerDatabase(
                "The database was written by a newer Portico; install that version or use "
                "another data directory."
            ) from error
        raise
