"""Reads, on a few threads of their own: the event loop never waits for a disk."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection

from portico.db.database import Database

T = TypeVar("T")


class Readers:
    """Bounded by its threads: further queries wait in line.  Each thread keeps a connection; and,
    where the database keeps tenants apart, another for what is asked for one of them.

    All statements of a query see the same moment: what is committed in between is seen by none of
    them, never by half of them.
    """

    def __init__(self, database: Database, threads: int = 2) -> None:
        self._database = database
        self._apart = database.backend.keeps_tenants_apart
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="portico-read")
        self._local = threading.local()
        self._open: list[Connection] = []

    def submit(
        self, query: Callable[[Connection], T], tenant: str | None = None
    ) -> "asyncio.Future[T]":
        """Start `query` on a reader thread.

        tenant: the organisation it is for, whose rows alone it sees, even where its WHERE were
        wrong; None: it is the system's own.
        """
        loop = asyncio.get_running_loop()
        if tenant is None or not self._apart:
            return loop.run_in_executor(self._executor, self._answer, query)
        return loop.run_in_executor(self._executor, self._answer_for, query, tenant)

    async def run(self, query: Callable[[Connection], T], tenant: str | None = None) -> T:
        return await self.submit(query, tenant)

    def close(self) -> None:
        """Waits for the queries under way."""
        self._executor.shutdown(cancel_futures=True)
        for connection in self._open:
            connection.close()

    def _answer(self, query: Callable[[Connection], T]) -> T:
        begin = self._database.backend.begin_snapshot
        return self._twice(_at_once(begin, query), "system", self._database.connect)

    def _answer_for(self, query: Callable[[Connection], T], tenant: str) -> T:
        def begin(driver: Any) -> None:
            self._database.backend.begin_for(driver, tenant)

        connect = self._database.connect_for_tenants
        return self._twice(_at_once(begin, query), "tenants", connect)

    def _twice(
        self, query: Callable[[Connection], T], kind: str, connect: Callable[[], Connection]
    ) -> T:
        """kind: which of this thread's connections; connect: makes it."""
        connection: Connection | None = getattr(self._local, kind, None)
        # One that was lost in the middle of a query, right after it was made, is of no use to the next.
        if connection is not None and not connection.invalidated:
            try:
                return self._ask(connection, query)
            except Exception as error:
                trouble = self._database.backend.trouble(error)
                if trouble is None or not trouble.lost:
                    raise
                # The server was restarted, perhaps long ago: a read can be asked again.
                connection.invalidate()
        connection = connect()
        self._database.backend.only_reads(connection)
        self._open.append(connection)
        setattr(self._local, kind, connection)
        return self._ask(connection, query)

    def _ask(self, connection: Connection, query: Callable[[Connection], T]) -> T:
        try:
            return query(connection)
        finally:
            if not connection.invalidated:
                connection.rollback()


def _at_once(
    begin: Callable[[Any], None], query: Callable[[Connection], T]
) -> Callable[[Connection], T]:
    """`query` in a transaction that `begin` starts, which writes nothing."""

    def asked(connection: Connection) -> T:
        driver: Any = connection.connection.driver_connection
        begin(driver)
        try:
            return query(connection)
        finally:
            # One that was lost meanwhile has nothing to end; a file is never lost.
            if not getattr(driver, "closed", False):
                driver.rollback()

    return asked
