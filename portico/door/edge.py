"""What all connections of one server share: limits, head counts, deadlines, the way in."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import structlog

from portico import errors
from portico.door.exchange import Exchange
from portico.door.framing.forwarded import Network
from portico.door.limits import EdgeLimits
from portico.kit.clock import Clock
from portico.kit.leaving import Leaving

if TYPE_CHECKING:
    from uvicorn.server import ServerState

    from portico.door.connection import Connection

log = structlog.get_logger("portico.door")

_BITES = 32
_CLIENT_GONE = 499
"""What logs and metrics show for an exchange that ended before any answer."""

Serve = Callable[[Exchange], Awaitable[None]]
Rendered = tuple[bytes, bytes]
"""Header lines and body."""
Render = Callable[[errors.Refusal, str], Rendered]
"""A refusal and the request id, in the envelope of whoever asked."""


class Observer(Protocol):
    """Who watches the door.  Called once per answer and once per refusal; must not wait."""

    def answered(self, route: str, status: int, seconds: float) -> None: ...

    def refused(self, code: str) -> None: ...


class Ended(Protocol):
    """What is told of a request once it has ended: an exchange, or one that came otherwise."""

    request_id: str
    method: str
    route: str
    status: int
    peer: str
    arrived_s: float
    held_bytes: int
    leaving: Leaving


class Edge:
    """
    hosts_allowed: host names a request may name, lower case, without port; empty allows any.
    uncapped: addresses the per-address cap leaves alone (this machine).
    proxies: whose word about who the client is counts; the cap leaves them alone, too.
    standing: header lines of every answer, whoever gives it.
    logs_from_status: answers of this status and above get a line in the access log.
    """

    def __init__(
        self,
        serve: Serve,
        render: Render,
        observer: Observer,
        limits: EdgeLimits,
        clock: Clock,
        *,
        hosts_allowed: frozenset[bytes] = frozenset(),
        uncapped: frozenset[str] = frozenset({"127.0.0.1", "::1"}),
        proxies: tuple[Network, ...] = (),
        standing: bytes = b"",
        logs_from_status: int = 500,
    ) -> None:
        self.serve = serve
        self.render = render
        self.observer = observer
        self.limits = limits
        self.clock = clock
        self.hosts_allowed = hosts_allowed
        self.draining = False
        self.bodies_bytes = 0
        """Held for requests whose bodies are large."""
        self.empty = asyncio.Event()
        """Set while nobody is connected."""
        self.empty.set()
        self.proxies = proxies
        self._uncapped = uncapped
        self._standing = standing
        self._logs_from_status = logs_from_status
        self._connections: set[Connection] = set()
        self._per_address: dict[str, int] = {}
        self._tick_s = limits.tick_s
        self._ticking: asyncio.TimerHandle | None = None
        self._round: Iterator[Connection] = iter(())
        self._state: ServerState | None = None
        self._dated: list[tuple[bytes, bytes]] | None = None
        self._date_line = b""

    def enter(self, connection: "Connection") -> errors.Refusal | None:
        """Count a connection in.  Gives why it may not stay, None when it may."""
        self._state = connection.server_state
        self._connections.add(connection)
        self.empty.clear()
        if self._ticking is None:
            self._ticking = connection.loop.call_later(self._tick_s, self._tick, connection.loop)
        address = connection.address
        here = self._per_address[address] = self._per_address.get(address, 0) + 1
        if len(self._connections) > self.limits.connections_max:
            return errors.OVERLOADED(
                "This server has all the connections it can hold.",
                limit=self.limits.connections_max,
                retry_after_ms=1_000,
            )
        if here > self.limits.connections_per_ip_max and not (
            connection.proxied or address in self._uncapped
        ):
            return errors.CONCURRENCY(
                f"Your address has {here - 1} connections open; it may have "
                f"{self.limits.connections_per_ip_max}.",
                value=here - 1,
                limit=self.limits.connections_per_ip_max,
                retry_after_ms=1_000,
            )
        return None

    def leave(self, connection: "Connection") -> None:
        self._connections.discard(connection)
        if not self._connections:
            self.empty.set()
            self._round = iter(())  # there may be no tick any more that ends it
        left = self._per_address[connection.address] - 1
        if left:
            self._per_address[connection.address] = left
        else:
            del self._per_address[connection.address]

    def date_line(self) -> bytes:
        """The Date header, which uvicorn renews once a second, and what stands on every answer."""
        assert self._state is not None
        current = self._state.default_headers
        if current is not self._dated:
            self._dated = current
            dated = (b"%b: %b\r\n" % header for header in current)
            self._date_line = b"".join((*dated, self._standing))
        return self._date_line

    def finished(self, exchange: Ended) -> None:
        """An exchange has come to its end, answered or not."""
        exchange.status = exchange.status or _CLIENT_GONE
        self.bodies_bytes -= exchange.held_bytes
        seconds = self.clock.monotonic_s() - exchange.arrived_s
        self.observer.answered(exchange.route, exchange.status, seconds)
        if exchange.status >= self._logs_from_status:
            log.info(
                "answered",
                request_id=exchange.request_id,
                method=exchange.method,
                route=exchange.route,
                status=exchange.status,
                duration_ms=round(seconds * 1000),
                peer=exchange.peer,
                left=exchange.leaving.reason,
            )

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        """One timer for every deadline of every connection: a request sets none of its own,
        which is cheaper than the request's share of this walk (docs/design/0005-door.md).

        It sees some of them at a time, all of them within `tick_s`: a few hundred that ran out of
        time in the same moment would be a tenth of a second of work, for which everybody waits."""
        connections = self._connections
        self._ticking = (
            loop.call_later(self._tick_s / _BITES, self._tick, loop) if connections else None
        )
        some = tuple(islice(self._round, len(connections) // _BITES + 1))
        if not some:
            self._round = iter(tuple(connections))
        now_s = self.clock.monotonic_s()
        for connection in some:
            if connection in connections:
                connection.tick(now_s)
