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
        if connection is None:
            connection = self._database.connect()
            connection.exec_driver_sql("PRAGMA query_only = ON")
            self._local.connection = connection
            self._open.append(connection)
        try:
            return query(connection)
        finally:
            connection.rollback()
