"""What a transport does, whoever does it: one HTTP/1.1 exchange with an upstream."""

from dataclasses import dataclass
from typing import Literal, Protocol

Headers = list[tuple[bytes, bytes]]

Stage = Literal[
    "connect",  # name look-up, TCP connect or TLS handshake failed or was too slow
    "write",  # the upstream stopped reading our request
    "first_byte",  # connected and sent, but no response byte before the deadline
    "idle",  # the body went silent for longer than allowed
    "total",  # the whole exchange took longer than allowed
    "lost",  # the connection died before the response was complete
    "protocol",  # what came back is not HTTP/1.1
    "too_large",  # the head or the collected body is larger than allowed
]


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each part of an exchange may take, in seconds on the monotonic clock."""

    connect_s: float = 5.0
    first_byte_s: float = 120.0
    idle_s: float = 30.0
    total_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Origin:
    """Where connections are pooled: scheme ("http" or "https"), host and port."""

    scheme: str
    host: str
    port: int


@dataclass(slots=True)
class Call:
    """One request to an upstream.  `headers` are sent as they are; the transport adds Host,
    Content-Length and Connection, nothing else."""

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
        """The whole body.  Raises: TransportFailed("too_large") above `limit_bytes`."""
        ...

    async def next(self) -> bytes:
        """All body bytes that arrived since the last call (waits for at least one);
        b"" exactly at the clean end.  Raises: TransportFailed."""
        ...

    def close(self) -> None:
        """Give the connection back (complete, clean exchange) or abort it.  Idempotent,
        never waits: after it the upstream sees a closed socket at once."""
        ...


class Transport(Protocol):
    async def send(self, call: Call) -> Answer:
        """Send and wait for the response head (1xx skipped).  Raises: TransportFailed."""
        ...

    async def close(self) -> None:
        """Close every pooled connection."""
        ...


class TransportFailed(Exception):
    """The exchange broke at `stage`.  `answered` says whether any response byte had arrived."""

    def __init__(self, stage: Stage, detail: str, *, answered: bool = False) -> None:
        super().__init__(f"{stage}: {detail}")
        self.stage = stage
        self.detail = detail
        self.answered = answered
