"""uvicorn with our protocol on it, and a way down that never cuts a settlement short."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from portico.door.connection import Connection
from portico.door.edge import Edge
from portico.kit.leaving import DRAINED

log = structlog.get_logger("portico.door")

_SETTLE_S_MAX = 10.0
_FLUSH_S_MAX = 2.0
_DATE_S = 1.0


def bind(host: str, port: int) -> socket.socket:
    """A bound socket, so that a used port is known before anything else is started.

    port: 0 takes a free one; `getsockname()[1]` says which.
    Raises: OSError.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


class Server(uvicorn.Server):
    """Serves `edge` until `stop()`, then drains.

    drain_s: how long answers under way may go on after `stop()`.
    on_stop: called at once by `stop()`; readiness turns false and admission closes there.
    """

    def __init__(self, edge: Edge, *, drain_s: float, on_stop: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                lambda: edge,
                factory=True,
                http=Connection,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=2048,
            )
        )
        self._edge = edge
        self._drain_s = drain_s
        self._on_stop = on_stop
        self._listening = asyncio.Event()
        self._stopping = asyncio.Event()
        self._patience: asyncio.Timeout | None = None
        """Open while answers under way may go on."""

    async def listening(self) -> None:
        """Returns once connections are accepted."""
        await self._listening.wait()

    def stop(self) -> None:
        """Take no new work and end once what is under way is answered.  A second call cuts it off
        now; it is still settled.  Safe as a signal handler of the loop."""
        if self.should_exit:
            self.force_exit = True
            if self._patience is not None:
                self._patience.reschedule(asyncio.get_running_loop().time())
            self._cut()
            return
        self._edge.draining = True
        self.should_exit = True
        self._stopping.set()
        self._on_stop()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to `app`: uvicorn would raise them again at the end, and the process
        would die before usage is flushed."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if not self.config.loaded:
            self.config.load()
        if not issubclass(self.config.http_protocol_class, HttpToolsProtocol):
            raise RuntimeError("the door needs httptools: h11 lets smuggled requests through")
        await super().startup(sockets)
        self._listening.set()

    async def main_loop(self) -> None:
        """uvicorn's tick 0 renews the Date header; in between it only polls for the end."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _DATE_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Listening goes on while answers finish, so that newcomers get an honest 503."""
        self._patience = asyncio.timeout(0 if self.force_exit else self._drain_s)
        await self._quiet(self._patience)
        self._patience = None
        for server in self.servers:
            server.close()
        self._cut()
        await self._quiet(asyncio.timeout(_SETTLE_S_MAX))
        if self.server_state.tasks:
            log.error("answers did not end", count=len(self.server_state.tasks))
        for connection in list(self.server_state.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._edge.empty.wait(), _FLUSH_S_MAX)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for server in self.servers:
            await server.wait_closed()

    async def _quiet(self, patience: asyncio.Timeout) -> None:
        """Until no answer is under way, or patience ends."""
        with contextlib.suppress(TimeoutError):
            async with patience:
                while self.server_state.tasks:
                    await asyncio.wait(list(self.server_state.tasks))

    def _cut(self) -> None:
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection):
                connection.cut(DRAINED)
