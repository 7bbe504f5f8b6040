"""One request and its answer, as bytes.  Two ways out: `reply`, or `open`, `write`, `end`.

The connection fills it from below, a handler (dispatch, an endpoint) uses it from above.  Nothing
here is a generator and nothing starts a task: a hang-up reaches `leaving` by a plain call.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from portico import errors
from portico.door.framing.forwarded import client_of
from portico.door.framing.guard import decoded_path
from portico.door.framing.pace import Pace
from portico.door.limits import UNREAD_BODY_BYTES_MAX
from portico.kit.ids import new_id
from portico.kit.leaving import Leaving, Left

if TYPE_CHECKING:
    from portico.door.connection import Connection
    from portico.door.sockets.successor import Successor

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = b"connection: close\r\n"
_CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"
_UNASKED = -1


class Exchange:
    """method, path (decoded), raw_path, query (raw), headers (lower-case names; a repeated one is
    joined with ", "), peer (the client's address, by the word of our own proxies where one
    stands in between; "" when unknown).

    arrived_s: monotonic, when the headers were complete.
    answer_id: what the answer is called after, see `Carrier`.
    leaving: set when the client hangs up or stops reading.
    route: what metrics and the access log call it; set by whoever serves it.
    scope: what its caller needs; "" where no key is asked for.
    status: what was answered, 0 before that.  started: has an answer begun?  Its status can then
      no longer change.  (An attribute, as is all that is asked often: a property costs a call.)
    received_whole: has the request arrived to its last byte?
    also: header lines to add to whatever is answered.
    on_silence: called whenever a stream has said nothing for `limits.ping_s`; None: nobody minds.
    received_bytes: of the body, so far.
    held_bytes: of it, as the edge counts large bodies.
    """

    __slots__ = (
        "_connection",
        "_declared_bytes",
        "_fault",
        "_head",
        "_limit_bytes",
        "_pace",
        "_parts",
        "_silent_since_s",
        "_streams",
        "_unchunked",
        "_waiter",
        "also",
        "answer_id",
        "arrived_s",
        "closes",
        "ended",
        "headers",
        "held_bytes",
        "leaving",
        "method",
        "on_silence",
        "path",
        "peer",
        "query",
        "raw_path",
        "received_bytes",
        "received_whole",
        "request_id",
        "route",
        "scope",
        "started",
        "status",
        "task",
    )

    def __init__(
        self,
        connection: "Connection",
        method: str,
        target: tuple[bytes, bytes],
        headers: dict[bytes, bytes],
        http_1_0: bool,
        closes: bool,
        arrived_s: float,
    ) -> None:
        self.request_id = self.answer_id = new_id("req")
        self.method = method
        self.raw_path, self.query = target
        self.path = decoded_path(self.raw_path)
        self.headers = headers
        self.arrived_s = arrived_s
        self.leaving = Leaving(connection.loop)
        self.route = "unknown"
        self.scope = ""
        self.status = 0
        self.started = False
        self.also = b""
        self.ended = False
        self.closes = closes
        self.task: asyncio.Task[None] | None = None
        self.peer = connection.peer
        if connection.proxied:
            self.peer = client_of(connection.peer, headers, connection.edge.proxies)
        self._connection = connection
        self._unchunked = http_1_0  # also where an answer says its length
        self._head = b""
        self._parts: list[bytes] = []
        self.received_bytes = self.held_bytes = 0
        self._declared_bytes = int(headers.get(b"content-length", b"0"))
        self.received_whole = False
        self._fault: Exception | None = None
        self._limit_bytes = _UNASKED
        self._waiter: asyncio.Future[None] | None = None
        self._pace: Pace | None = None
        self._streams = False
        self._silent_since_s = 0.0
        self.on_silence: Callable[[], None] | None = None

    # -- the handler's side ------------------------------------------------------------------

    async def body(self, limit_bytes: int) -> bytes:
        """The whole body as sent, once.  A client that asked is told to go on only now.

        Raises: Refusal: body_too_large (at once when declared), body_timeout, bad_request when
        its framing breaks; Left.
        """
        self._check_size(limit_bytes)
        if not self.received_whole:
            await self._rest(limit_bytes)
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def piece(self, limit_bytes: int) -> bytes:
        """What has come of the body since the last time, b"" at its end: for one that is never whole
        in memory, in the place of `body`.  While nobody asks, the client waits.

        limit_bytes: of all of it.  Raises: as `body`; body_timeout, when it is too slow in any
        stretch of `limits.body_read_s` seconds, however long it takes together.
        """
        if not self._streams:
            self._check_size(limit_bytes)
            self._streams = True
        if not self._parts and not self.received_whole:
            await self._rest(limit_bytes)
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def reply(self, status: int, headers: bytes, body: bytes) -> None:
        """The whole answer in one write.  `headers`: complete lines, without Content-Length."""
        head = self._started(status, headers)
        self.ended = True
        if self._connection.gone:
            return
        length = b"\r\n" if status == 204 else b"content-length: %d\r\n\r\n" % len(body)
        if self.method == "HEAD":
            body = b""
        self._connection.transport.write(b"".join((head, length, body)))

    @property
    def changeable(self) -> bool:
        """May the connection go on in another protocol behind this request?"""
        return self._connection.foreign is not None

    def hand_over(self, headers: bytes, make: "Callable[[Connection], Successor]") -> None:
        """The end of HTTP here: from now on the connection belongs to what `make` makes.  `headers`:
        complete lines.

        Raises: Refusal: server_shutting_down; Left.
        """
        connection = self._connection
        if connection.gone:
            raise Left(self.leaving.reason)
        if connection.edge.draining:
            raise errors.DRAINING("This server is shutting down.", retry_after_ms=2_000)
        self.started = self.ended = True
        self.status = 101
        line = STATUS_LINE[101]
        head = b"".join((line, connection.edge.date_line(), headers, self.also, b"\r\n"))
        connection.hand_over(head, make(connection))

    def open(self, status: int, headers: bytes, length_bytes: int | None = None) -> None:
        """Begin a stream.  The head leaves together with the first bytes of the body.

        length_bytes: what will be written in all; None where nobody knows."""
        if length_bytes is not None:
            self._unchunked = True
            headers += b"content-length: %d\r\n" % length_bytes
        framing = b"\r\n" if self._unchunked else _CHUNKED
        self._head = self._started(status, headers) + framing

    async def write(self, data: bytes) -> None:
        """One transport write.  Waits while the client reads slowly; silent once it is gone."""
        connection = self._connection
        if connection.flow.write_paused:
            await connection.flow.drain()
        if connection.gone or not data:
            return
        self.push(data)

    def write_at_once(self, data: bytes) -> bool:
        """As `write`, where that need not wait (nearly always); False where it must, unwritten."""
        connection = self._connection
        if connection.flow.write_paused:
            return False
        if data and not connection.gone:
            self.push(data)
        return True

    def push(self, data: bytes) -> None:
        """One transport write, now, however slowly the client reads."""
        self._silent_since_s = 0.0
        if self._unchunked or self._head:
            self._write_unusual(data)
        else:
            self._connection.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self, data: bytes = b"") -> None:
        """`data` and the end of the stream, in one write.  Does not wait: it is the last one."""
        self.ended = True
        head, self._head = self._head, b""
        if self._connection.gone:
            return
        if self.method == "HEAD":
            data = b""
        elif not self._unchunked:
            data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else _LAST_CHUNK
        self._connection.transport.write(head + data)

    def _started(self, status: int, headers: bytes) -> bytes:
        if self.started:
            raise RuntimeError("this exchange has been answered already")
        self.started = True
        self.status = status
        connection = self._connection
        self.closes = self.closes or not self.received_whole or connection.edge.draining
        closing = _CLOSE if self.closes else b""
        return b"".join(
            (STATUS_LINE[status], connection.edge.date_line(), headers, self.also, closing)
        )

    def _write_unusual(self, data: bytes) -> None:
        head, self._head = self._head, b""
        if self.method == "HEAD":
            data = b""
        elif not self._unchunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self._connection.transport.write(head + data)

    def _expects_word(self) -> bool:
        return not self._unchunked and b"expect" in self.headers  # the guard knows one word only

    def _check_size(self, limit_bytes: int) -> None:
        if self._declared_bytes > limit_bytes or self.received_bytes > limit_bytes:
            raise _too_large(max(self._declared_bytes, self.received_bytes), limit_bytes)

    async def _rest(self, limit_bytes: int) -> None:
        if self._fault is not None:
            raise self._fault
        connection = self._connection
        if not self.received_bytes and self._pace is None and self._expects_word():
            connection.transport.write(_CONTINUE)
        self._limit_bytes = limit_bytes
        if self._pace is None:
            self._pace = Pace(connection.edge.limits, in_stretches=self._streams)
        self._pace.wait(connection.edge.clock.monotonic_s())
        self._waiter = connection.loop.create_future()
        connection.flow.resume_reading()
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._pace.rest(connection.edge.clock.monotonic_s())

    # -- the connection's side ---------------------------------------------------------------

    def arrive(self, data: bytes) -> None:
        """A piece of the body."""
        if self._fault is not None or self.ended:
            return
        self._parts.append(data)
        self.received_bytes += len(data)
        if self._limit_bytes == _UNASKED:
            if self.received_bytes > UNREAD_BODY_BYTES_MAX:
                self._connection.flow.pause_reading()
        elif self.received_bytes > self._limit_bytes:
            self.fail(_too_large(self.received_bytes, self._limit_bytes))
        elif self._streams:
            self._offer()
        elif self.received_bytes > UNREAD_BODY_BYTES_MAX:
            self._hold()

    def _offer(self) -> None:
        """To whoever waits for a piece; or else nothing more is read before somebody does."""
        if self._waiter is None or self._waiter.done():
            self._connection.flow.pause_reading()
        else:
            self._waiter.set_result(None)

    def _hold(self) -> None:
        """A large body takes its part of the room for all of them.  Only one that was asked for:
        its end is certain to be noticed."""
        edge = self._connection.edge
        edge.bodies_bytes += self.received_bytes - self.held_bytes
        self.held_bytes = self.received_bytes
        if edge.bodies_bytes > edge.limits.bodies_bytes_max:
            self.fail(
                errors.OVERLOADED(
                    "This server holds as many large bodies as it can.",
                    limit=edge.limits.bodies_bytes_max,
                    retry_after_ms=1_000,
                )
            )

    def complete(self) -> None:
        self.received_whole = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def fail(self, fault: Exception) -> None:
        """The body will never be whole.  Whoever waits for it, or will, is told why."""
        if self.received_whole or self._fault is not None:
            return
        self._fault = fault
        self._parts.clear()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(fault)

    def forget(self) -> None:
        """Let go of why the body never came: once raised, it knows this exchange by its traceback,
        and both would be left to the collector."""
        self._fault = None

    def leave(self, reason: str) -> None:
        """Nobody waits for this answer any more."""
        self.fail(Left(reason))
        self.leaving.leave(reason)

    def check_silence(self, now_s: float) -> None:
        """Let a stream that has had nothing to say say so; called on every tick.

        The first tick after a write starts the clock: asking it at every write would cost more."""
        if self.on_silence is None or self.ended:
            return
        if not self._silent_since_s:
            self._silent_since_s = now_s
        elif now_s - self._silent_since_s >= self._connection.edge.limits.ping_s:
            self._silent_since_s = now_s
            if not self._connection.gone and not self._connection.flow.write_paused:
                self.on_silence()

    def check_pace(self, now_s: float) -> None:
        """Refuse a body that is late or too slow; called on every tick."""
        if self._waiter is not None and self._pace is not None:
            late = self._pace.late(now_s, self.received_bytes)
            if late is not None:
                self.fail(late)


def _too_large(size_bytes: int, limit_bytes: int) -> errors.Refusal:
    return errors.BODY_TOO_LARGE(
        f"The body has {size_bytes} bytes or more; the limit is {limit_bytes}.",
        value=size_bytes,
        limit=limit_bytes,
    )
