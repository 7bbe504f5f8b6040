"""A request that came as a message, and whose answer goes out as messages."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from portico import errors
from portico.door.dialect import Dialect
from portico.kit.ids import new_id
from portico.kit.leaving import Leaving

_OK = 200
_DATA = b"data:"
_DONE = b"[DONE]"
_OF_HTTP = frozenset({"", "content-type", "cache-control", "x-accel-buffering"})
ROUTE = "/v1/responses websocket"
"""What metrics and the access log call it: no path of HTTP is written so."""


class Line(Protocol):
    """Where the messages go."""

    def say(self, payload: bytes) -> None:
        """Nothing once nobody reads."""
        ...

    @property
    def writable(self) -> bool:
        """Is what was said before mostly taken?"""
        ...

    async def drain(self) -> None:
        """Until it is."""
        ...


@dataclass(frozen=True, slots=True)
class Opening:
    """What a request of a connection has of the one that opened it."""

    raw_path: bytes
    query: bytes
    headers: dict[bytes, bytes]
    scope: str
    peer: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """One request as it came.

    body: as its dialect reads it.  previous_id: what it follows, "" for nothing.
    lane: what its client calls the order that it stands in, "" for nothing: it is said again with
      every event.  generates: False where it only prepares what others follow.
    """

    body: bytes
    previous_id: str
    lane: str
    generates: bool


class Framed:
    """See `visits.carrier.Carrier`.  Its answer is a stream of events, each of them one message."""

    def __init__(
        self, wanted: Wanted, opening: Opening, line: Line, leaving: Leaving, arrived_s: float
    ) -> None:
        self.request_id = self.answer_id = new_id("req")
        self.arrived_s = arrived_s
        self.leaving = leaving
        self.method = "POST"
        self.route = ROUTE
        self.raw_path, self.query = opening.raw_path, opening.query
        self.headers = opening.headers
        self.scope, self.peer = opening.scope, opening.peer
        self.also = b""
        self.started = False
        self.status = 0
        self.held_bytes = 0
        """The connection counts what its requests hold."""
        self.wanted = wanted
        self.silent_since_s = 0.0
        self.on_silence: Callable[[], None] | None = None
        self._line = line
        self._head = b""
        """Lines that nothing has said yet."""

    async def body(self, limit_bytes: int) -> bytes:
        return self.wanted.body

    def reply(self, status: int, headers: bytes, body: bytes) -> None:
        """A whole answer, which is none of the usual: one message."""
        self.open(status, headers)
        self._say(body)

    def open(self, status: int, headers: bytes) -> None:
        """There is no head to send: what it would say is in the first event, or in a refusal."""
        self.started = True
        self.status = status
        self._head = headers + self.also

    async def write(self, data: bytes) -> None:
        if not self._line.writable:
            await self._line.drain()
        self.push(data)

    def write_at_once(self, data: bytes) -> bool:
        if not self._line.writable:
            return False
        self.push(data)
        return True

    def push(self, data: bytes) -> None:
        """data: whole events of a stream, as HTTP has them."""
        self.silent_since_s = 0.0
        for payload in events_in(data):
            self._say(payload)

    def end(self, data: bytes = b"") -> None:
        self.push(data)

    def refuse(self, refusal: errors.Refusal, dialect: Dialect) -> None:
        """It was not answered: say why, with what the head of an answer would have said."""
        self.status = dialect.status(refusal)
        self._head = b""
        self._say(refusal_event(refusal, dialect, self.request_id, self.also))

    def _say(self, payload: bytes) -> None:
        if self._head:
            payload = _with(payload, b"headers", headers_in(self._head))
            self._head = b""
        if self.wanted.lane:
            payload = _with(payload, b"stream_id", self.wanted.lane)
        self._line.say(payload)


def _with(payload: bytes, name: bytes, value: Any) -> bytes:
    """The same object with one field more."""
    return b'%b,"%b":%b}' % (payload[:-1], name, msgspec.json.encode(value))


def events_in(data: bytes) -> Iterator[bytes]:
    """The JSON of each event of a stream; comments and the mark of its end are none."""
    for block in data.split(b"\n\n"):
        lines = [
            line.removeprefix(_DATA).strip()
            for line in block.split(b"\n")
            if line.startswith(_DATA)
        ]
        payload = b"\n".join(lines)
        if payload and payload != _DONE:
            yield payload


def refusal_event(
    refusal: errors.Refusal, dialect: Dialect, request_id: str, also: bytes = b""
) -> bytes:
    """also: header lines that the answer would have had."""
    lines, body = dialect.render(refusal, request_id)
    error = msgspec.json.decode(body)["error"]
    event = {
        "type": "error",
        "status": dialect.status(refusal),
        "error": {**error, "headers": headers_in(lines + also)},
    }
    return msgspec.json.encode(event)


def headers_in(lines: bytes) -> dict[str, str]:
    """What they say of the answer, and not of how it is sent."""
    told = (line.partition(":") for line in lines.decode("latin-1").split("\r\n"))
    return {name: value.strip() for name, _, value in told if name not in _OF_HTTP}
