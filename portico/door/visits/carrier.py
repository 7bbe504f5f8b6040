"""What carries a request in and its answer out: a connection's exchange, or whatever stands for one."""

from collections.abc import Callable
from typing import Protocol

from portico.kit.leaving import Leaving


class Carrier(Protocol):
    """See `door.exchange.Exchange`, which is the usual one; this is what a dialect's visit needs.

    answer_id: what the answer is called after, where its dialect calls it after anything: the
      request itself, or the one that asked for it long ago.
    """

    request_id: str
    answer_id: str
    arrived_s: float
    leaving: Leaving
    method: str
    raw_path: bytes
    query: bytes
    headers: dict[bytes, bytes]
    scope: str
    peer: str
    also: bytes
    started: bool
    on_silence: Callable[[], None] | None

    async def body(self, limit_bytes: int) -> bytes:
        """Raises: Refusal; Left."""
        ...

    def reply(self, status: int, headers: bytes, body: bytes) -> None: ...

    def open(self, status: int, headers: bytes) -> None: ...

    async def write(self, data: bytes) -> None: ...

    def write_at_once(self, data: bytes) -> bool: ...

    def push(self, data: bytes) -> None: ...

    def end(self, data: bytes = b"") -> None: ...


class Unattended:
    """A request whose body is at hand, and whose answer nobody reads from a connection.

    credential: what `callers` knows its caller by.
    status, head, answered: what came of it, once it has ended; status 0 before that.
    """

    def __init__(
        self,
        request_id: str,
        answer_id: str,
        target: tuple[str, bytes],
        headers: dict[bytes, bytes],
        body: bytes,
        leaving: Leaving,
        *,
        scope: str,
        arrived_s: float,
        take: Callable[[bytes], None] | None = None,
    ) -> None:
        """target: method and path.  take: is given a stream's bytes as they come; else they are
        collected."""
        self.request_id = request_id
        self.answer_id = answer_id
        self.arrived_s = arrived_s
        self.leaving = leaving
        self.method, self.raw_path = target
        self.query = b""
        self.headers = headers
        self.scope = scope
        self.peer = ""
        self.also = b""
        self.started = False
        self.on_silence: Callable[[], None] | None = None
        self.status = 0
        self.head = b""
        self._body = body
        self._parts: list[bytes] = []
        self._take = self._parts.append if take is None else take

    @property
    def answered(self) -> bytes:
        return b"".join(self._parts)

    async def body(self, limit_bytes: int) -> bytes:
        return self._body

    def reply(self, status: int, headers: bytes, body: bytes) -> None:
        self.open(status, headers)
        self._take(body)

    def open(self, status: int, headers: bytes) -> None:
        self.started = True
        self.status, self.head = status, headers + self.also

    async def write(self, data: bytes) -> None:
        self._take(data)

    def write_at_once(self, data: bytes) -> bool:
        self._take(data)
        return True

    def push(self, data: bytes) -> None:
        self._take(data)

    def end(self, data: bytes = b"") -> None:
        self._take(data)
