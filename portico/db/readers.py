"""Reads, on a few threads of their own: the event loop never waits for a disk."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection

from portico.db.database import Database

T = TypeVar("T")


class Readers:
    """Bounded by its threads: further queries wait in line.  Each thread keeps one connection."""

    def __init__(self, database: Database, threads: int = 2) -> None:
        self._database = database
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="portico-read")
        self._local = threading.local()
        self._open: list[Connection] = []

    def submit(self, query: Callable[[Connection], T]) -> "asyncio.Future[T]":
        """Start `query` on a reader thread."""
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._executor, self._answer, query)

    async def run(self, query: Callable[[Connection], T]) -> T:
        return await self.submit(query)

    def close(self) -> None:
        """Waits for the queries under way."""
        self._executor.shutdown(cancel_futures=True)
        for connection in self._open:
            connection.close()

    def _answer(self, query: Callable[[Connection], T]) -> T:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            try:
                return self._ask(connection, query)
            except Exception as error:
                trouble = self._database.backend.trouble(error)
                if trouble is None or not trouble.lost:
                    raise
                # The server was restarted, perhaps long ago: a read can be asked again.
                connection.invalidate()
        return self._ask(self._connect(), query)

    def _ask(self, connection: Connection, query: Callable[[Connection], T]) -> T:
        try:
            return query(connection)
        finally:
            if not connection.invalidated:
                connection.rollback()

    def _connect(self) -> Connection:
        connection = self._database.connect()
        self._database.backend.only_reads(connection)
        self._open.append(connection)
        self._local.connection = connection
        return connection
