"""GET /v1/responses: the way in of WebSockets, and how many there are."""

from collections import Counter
from collections.abc import Callable

from portico import errors
from portico.callers.model import Caller
from portico.callers.presence import Presence
from portico.door.dialect import Dialect
from portico.door.endpoints.answering import Verifier, identify
from portico.door.exchange import Exchange
from portico.door.sockets import handshake
from portico.door.sockets.framed import Opening
from portico.door.sockets.socket import Behind, Socket, SocketLimits
from portico.door.visits.generation import Knowing
from portico.door.visits.preparing import Preparing
from portico.kit.clock import Clock
from portico.resources.responses.unstored import Memory, Recalling, Room

_OF_THE_OPENING = frozenset(
    {
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"host",
        b"idempotency-key",
        b"upgrade",
    }
)
"""Headers that are about the request which opens the connection, not about those that follow."""


class Sockets:
    """One event loop owns this object.

    count: those that are open.
    """

    def __init__(
        self,
        callers: Verifier,
        presence: Presence,
        dialect: Dialect,
        states: Knowing,
        generation: Callable[[Knowing], Preparing],
        clock: Clock,
        limits: SocketLimits,
        origins: frozenset[str],
    ) -> None:
        """generation: of what one connection asks, given what knows what came before.
        origins: whose pages may open one, see `Origins`."""
        self._callers = callers
        self._presence = presence
        self._dialect = dialect
        self._states = states
        self._generation = generation
        self._clock = clock
        self._limits = limits
        self._origins = origins
        self._room = Room(limits.memory_bytes_in_all)
        self._of_keys: Counter[str] = Counter()
        self.count = 0

    async def open(self, exchange: Exchange, _: str) -> None:
        """Raises: Refusal; Left."""
        caller = await identify(self._callers, exchange)
        lines = handshake.accepted(exchange.headers, offered=exchange.changeable)
        handshake.check_origin(exchange.headers, self._origins)
        self._check_count(caller)
        request_id = exchange.request_id.encode("ascii")
        opening = Opening(
            exchange.raw_path,
            exchange.query,
            _lasting(exchange.headers),
            exchange.scope,
            exchange.peer,
        )
        memory = Memory(self._limits.memory_bytes_max, self._limits.links_max, self._room)
        recalling = Recalling(self._states, memory, self._clock)
        behind = Behind(self._generation(recalling), recalling, memory, self._dialect)

        def ended(socket: Socket) -> None:
            self.count -= 1
            self._of_keys[caller.key_id] -= 1
            if not self._of_keys[caller.key_id]:
                del self._of_keys[caller.key_id]
            self._presence.go(socket.leaving)

        exchange.hand_over(
            lines + self._dialect.named(request_id),
            lambda connection: self._opened(
                caller, Socket(connection, opening, behind, self._limits, ended)
            ),
        )

    def _opened(self, caller: Caller, socket: Socket) -> Socket:
        self.count += 1
        self._of_keys[caller.key_id] += 1
        self._presence.enter(caller.credential_id, socket.leaving)
        return socket

    def _check_count(self, caller: Caller) -> None:
        """Raises: Refusal: overloaded, concurrency_exceeded."""
        if self.count >= self._limits.connections_max:
            raise errors.OVERLOADED(
                "This server has all the WebSockets it can hold.",
                limit=self._limits.connections_max,
                retry_after_ms=1_000,
            )
        of_key = self._of_keys.get(caller.key_id, 0)
        if of_key >= self._limits.per_key_max:
            raise errors.CONCURRENCY(
                f"Your key has {of_key} WebSockets open; it may have {self._limits.per_key_max}.",
                value=of_key,
                limit=self._limits.per_key_max,
                retry_after_ms=1_000,
            )


def _lasting(headers: dict[bytes, bytes]) -> dict[bytes, bytes]:
    return {
        name: value
        for name, value in headers.items()
        if name not in _OF_THE_OPENING and not name.startswith(b"sec-websocket-")
    }
