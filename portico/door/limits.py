"""What a client may send, how slowly, and how many may be there.  Documented one by one in
docs/reference/limits.md."""

from dataclasses import dataclass

UNREAD_BODY_BYTES_MAX = 65_536
"""Body kept before anybody asked for it; then reading pauses, so that a request without a valid
key costs no more memory than this."""

PIPELINED_MAX = 8
"""Requests parsed ahead of the one being answered; then reading pauses."""

FRAMING_BYTES_MAX = 65_536
"""Bytes of a chunked body that may arrive in a row without any content (trailers, mostly)."""

TAKEN_BYTES_MIN = 4_096
"""A client that takes less than this per `write_idle_s` has stopped reading."""


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """headers_max: header fields per request.
    header_bytes_max: request line and headers together.
    header_read_s: from the first byte (or the connection) to the end of the headers.
    body_bytes_max: a body, as sent and as decoded.
    bodies_bytes_max: of all that are larger than UNREAD_BODY_BYTES_MAX, while they are answered.
    body_read_s: from the moment the body is wanted to its end.
    body_bytes_per_s_min: mean pace a body must keep once `body_grace_s` is over.
    write_idle_s: how long a client may take (almost) nothing of what waits for it.
    keep_alive_s: how long an idle connection stays open.
    linger_s: how long a closed connection still reads, so that the refusal arrives.
    ping_s: how long a stream may be silent before it says that it is still there.
    """

    headers_max: int = 100
    header_bytes_max: int = 16_384
    header_read_s: float = 10.0
    body_bytes_max: int = 33_554_432
    body_read_s: float = 60.0
    body_bytes_per_s_min: int = 1_024
    body_grace_s: float = 5.0
    write_idle_s: float = 30.0
    keep_alive_s: float = 65.0
    linger_s: float = 2.0
    ping_s: float = 15.0
    bodies_bytes_max: int = 268_435_456
    connections_max: int = 10_000
    connections_per_ip_max: int = 10_000

    @property
    def tick_s(self) -> float:
        """How often deadlines are looked at: often enough to be at most a quarter late."""
        shortest = min(
            self.header_read_s,
            self.body_read_s,
            self.body_grace_s,
            self.write_idle_s,
            self.keep_alive_s,
            self.linger_s,
            self.ping_s,
        )
        return min(1.0, shortest / 4)
