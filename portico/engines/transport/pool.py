"""Every connection to one origin: who may open one, who waits, which one goes out next.

The most recently used idle connection goes out first, so that spare ones age and are closed.  Nobody
overtakes a call that waits.  All state changes happen between awaits; there is no lock.
"""

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass

from portico.engines.transport.base import Limits, Origin, TransportFailed
from portico.engines.transport.connection import Connection


@dataclass(slots=True, eq=False)
class Waiting:
    """A call without a connection.  Its turn brings an idle connection, or None: a reserved place
    to open one.  `fresh` accepts only the latter."""

    turn: asyncio.Future[Connection | None]
    fresh: bool


class Pool:
    def __init__(
        self,
        origin: Origin,
        limits: Limits,
        tls: ssl.SSLContext | None,
        loop: asyncio.AbstractEventLoop,
        scratch: memoryview,
    ) -> None:
        self._origin = origin
        self._limits = limits
        self._tls = tls
        self._loop = loop
        self._scratch = scratch
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._connecting = 0
        self._waiting: deque[Waiting] = deque()
        self._closed = False
        self._empty = asyncio.Event()

    def take(self) -> Connection | None:
        """An idle connection, the warmest first."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open():
                return connection
        return None

    async def acquire(self, until: float, *, fresh: bool = False) -> Connection:
        """A connection to send on, before `until` in loop time.

        Raises: TransportFailed("connect").
        """
        try:
            async with asyncio.timeout_at(until):
                return await self._acquire(fresh)
        except TimeoutError:
            raise TransportFailed("connect", f"no connection to {self._origin} in time") from None
        except OSError as error:
            raise TransportFailed("connect", f"{self._origin}: {error}") from error

    async def _acquire(self, fresh: bool) -> Connection:
        if self._closed:
            raise TransportFailed("connect", "the transport is closed")
        if self._waiting or not self._room():
            connection = await self._turn(fresh)
            if connection is not None:
                return connection
        else:
            self._connecting += 1
        return await self._connect()

    def abort_all(self) -> None:
        self._closed = True
        for waiting in self._waiting:
            if not waiting.turn.done():
                waiting.turn.set_exception(
                    TransportFailed("connect", "the transport was closed meanwhile")
                )
        self._waiting.clear()
        for connection in list(self._all):
            connection.fail(TransportFailed("closed", "the transport was closed"))

    async def wait_until_empty(self) -> None:
        if self._all:
            await self._empty.wait()

    # --- a connection reports ------------------------------------------------------------------

    def take_back(self, connection: Connection) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if waiting.turn.done():
                continue
            if waiting.fresh:
                self._waiting.appendleft(waiting)
                connection.abort()  # its place goes to the one who needs a fresh one
            else:
                waiting.turn.set_result(connection)
            return
        if len(self._idle) < self._limits.idle and not self._closed:
            self._idle.append(connection)
            connection.rest(self._limits.idle_age_s)
        else:
            connection.abort()

    def forget(self, connection: Connection) -> None:
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if not self._all:
            self._empty.set()
        self._admit()

    # --- inside --------------------------------------------------------------------------------

    def _room(self) -> bool:
        return (
            self._connecting < self._limits.connecting
            and len(self._all) + self._connecting < self._limits.connections
        )

    async def _turn(self, fresh: bool) -> Connection | None:
        if len(self._waiting) >= self._limits.waiting:
            raise TransportFailed("connect", f"{len(self._waiting)} calls wait already")
        waiting = Waiting(self._loop.create_future(), fresh)
        self._waiting.append(waiting)
        try:
            return await waiting.turn
        except asyncio.CancelledError:
            self._pass_on(waiting)
            raise

    def _pass_on(self, waiting: Waiting) -> None:
        """Whoever was given something and left in the same moment gives it to the next."""
        if waiting in self._waiting:
            self._waiting.remove(waiting)
        if waiting.turn.cancelled() or waiting.turn.exception() is not None:
            return
        connection = waiting.turn.result()
        if connection is not None:
            self.take_back(connection)
        else:
            self._connecting -= 1
            self._admit()

    def _admit(self) -> None:
        while self._waiting and self._room():
            waiting = self._waiting.popleft()
            if not waiting.turn.done():
                self._connecting += 1
                waiting.turn.set_result(None)

    async def _connect(self) -> Connection:
        """Open a connection on the place reserved in `_connecting`."""
        try:
            _, connection = await self._loop.create_connection(
                lambda: Connection(self, self._limits, self._loop, self._scratch),
                self._origin.host,
                self._origin.port,
                ssl=self._tls,
                server_hostname=self._origin.host if self._tls else None,
            )
            if not connection.is_open() or self._closed:
                connection.abort()
                raise TransportFailed("connect", f"{self._origin} closed the connection at once")
            self._all.add(connection)
            self._empty.clear()
            return connection
        finally:
            self._connecting -= 1
            self._admit()
