"""What a transport does, whoever does it: one HTTP/1.1 exchange with an upstream."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import msgspec

Headers = list[tuple[bytes, bytes]]

Stage = Literal[
    "connect",  # place in the pool, name look-up, TCP connect or TLS handshake failed or too slow
    "write",  # the upstream stopped reading our request
    "first_byte",  # connected and sent, but no response byte before the deadline
    "idle",  # the body went silent for longer than allowed
    "total",  # the whole exchange took longer than allowed
    "lost",  # the connection died before the response was complete
    "closed",  # our side called close() before the response was complete
    "protocol",  # what came back is not HTTP/1.1
    "too_large",  # the head or the collected body is larger than allowed
]


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each part of an exchange may take, in seconds on the monotonic clock."""

    connect_s: float = 5.0
    """Waiting for a place in the pool, name look-up, TCP connect and TLS handshake together."""
    first_byte_s: float = 120.0
    """From the last byte of our request to the first byte of the final response."""
    idle_s: float = 30.0
    """Silence after the first byte.  Time in which we ourselves stopped reading does not count."""
    total_s: float = 600.0
    """From `send` to the last byte of the body."""
    write_s: float = 30.0
    """How long the upstream may take no byte of our request."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one transport may hold, per origin (the first five) and per connection."""

    connections: int = 4096
    connecting: int = 64
    """Handshakes under way at once: a cold burst of 1,000 is not 1,000 SYNs."""
    waiting: int = 4096
    """Calls waiting for a connection; the next one fails at once, stage "connect"."""
    idle: int = 512
    idle_age_s: float = 30.0
    head_bytes: int = 65_536
    """Head, and also everything that is not body between two pieces of body (trailers, chunk
    extensions)."""
    head_fields: int = 256
    buffer_bytes: int = 65_536
    """Body bytes nobody has asked for yet before we stop reading the socket.  One read may
    overshoot it by 64 KiB."""


class Origin(NamedTuple):
    """Where connections are pooled: scheme ("http" or "https"), host and port."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


class Call(msgspec.Struct):
    """One request to an upstream.  `headers` are sent as they are; the transport adds Host,
    Content-Length and Connection, nothing else.  (A msgspec struct: made once per request.)"""

    origin: Origin
    method: str
    target: str
    headers: Headers
    body: bytes
    deadlines: Deadlines
    reuse: bool = True
    """False: say `Connection: close` and never pool this connection (llama.cpp closes the
    socket after a stream although it promised keep-alive)."""


class Answer(Protocol):
    """A response whose head has arrived.  Header names are lower case."""

    status: int
    headers: Headers

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body.  Raises: TransportFailed("too_large") above `limit_bytes` (the
        upstream is hung up on at once)."""
        ...

    async def next(self) -> bytes:
        """All body bytes that arrived since the last call (waits for at least one);
        b"" exactly at the clean end.  Bytes that arrived before a failure come before it.
        Raises: TransportFailed."""
        ...

    def close(self) -> None:
        """Abort the exchange if it is not complete: the upstream sees a closed socket at once,
        and a `next` waiting elsewhere fails with "closed".  A complete exchange gave its
        connection back by itself.  Idempotent, never waits."""
        ...


class Transport(Protocol):
    async def send(self, call: Call) -> Answer:
        """Send and wait for the response head (1xx skipped).  A reused connection that dies
        before any response byte is replaced by a fresh one, once; nothing else is retried.
        Raises: TransportFailed; ValueError (nothing was sent): the target or a header could
        smuggle a second request, or names what the transport adds itself."""
        ...

    async def close(self) -> None:
        """Abort every connection, in use or idle, and wait until the sockets are closed."""
        ...


class TransportFailed(Exception):
    """The exchange broke at `stage`.  `answered` says whether any response byte had arrived."""

    def __init__(self, stage: Stage, detail: str, *, answered: bool = False) -> None:
        super().__init__(f"{stage}: {detail}")
        self.stage = stage
        self.detail = detail
        self.answered = answered
