"""One client connection: httptools below, exchanges above, in order, one at a time.

A valid uvicorn protocol (its server keeps the sets of connections and tasks), but a request never
becomes an ASGI scope: that alone would cost more than everything the door does.
"""

import asyncio
import struct
from collections import deque
from math import inf
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

import httptools
import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from portico import errors
from portico.door.edge import Edge
from portico.door.exchange import Exchange
from portico.door.framing import guard
from portico.door.framing.forwarded import counted_as, plain, trusts
from portico.door.limits import (
    FRAMING_BYTES_MAX,
    PIPELINED_MAX,
    TAKEN_BYTES_MIN,
    UNREAD_BODY_BYTES_MAX,
)
from portico.door.sockets.successor import Successor
from portico.kit.ids import new_id

log = structlog.get_logger("portico.door")

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: on, for no time."""


class _Refused(Exception):
    """Raised inside a parser callback to stop the parser; the refusal is under way already."""


class _BodyOnly:
    """What a parser calls when only the body it finds is of interest; nothing is read after it."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    def on_body(self, body: bytes) -> None:
        self._connection.on_body(body)

    def on_message_complete(self) -> None:
        self._connection.on_message_complete()
        self._connection.deaf = True


class Connection(HttpToolsProtocol):
    """
    gone: nobody reads any more; writing is useless.
    deaf: what arrives from now on is thrown away (closing, or framing in doubt).
    foreign: what came behind a request for another protocol, which is not HTTP if that is granted;
      None where nobody asked for one.
    deadline_s: monotonic time at which the connection is ended unless something happens first.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.edge: Edge = config.loaded_app
        self.gone = False
        self.deaf = False
        self.deadline_s = inf
        self.peer = self.address = ""
        self.proxied = False
        """Is the other side one of our own proxies?"""
        self.foreign: bytearray | None = None
        self._successor: Successor | None = None
        self._current: Exchange | None = None
        """Being answered."""
        self._receiving: Exchange | None = None
        """Its body is still arriving."""
        self._waiting: deque[Exchange] = deque()
        self._parting: errors.Refusal | None = None
        self._must_take = False
        self._fields: dict[bytes, bytes] | None = None
        """None outside a head: trailers fall on the floor."""
        self._upgrade_asked = False
        self._repeated: set[bytes] = set()
        self._repeats = 0
        self._read_bytes = 0
        self._head_began = False
        self._head_is_timed = True
        self._head_first_bytes = 0
        self._head_read_bytes = 0
        self._barren_bytes = 0
        self._fruitful_bytes = 0
        self._untaken_bytes = 0
        self._taken_s = 0.0

    # -- the transport's side ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        if self.client is not None:
            self.peer = plain(self.client[0])
            self.address = counted_as(self.peer)
            self.proxied = bool(self.edge.proxies) and trusts(self.peer, self.edge.proxies)
        self.deadline_s = self.edge.clock.monotonic_s() + self.edge.limits.header_read_s
        refusal = self.edge.enter(self)
        if refusal is not None:
            self._write_refusal(refusal)
            self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.edge.leave(self)
        self._left("hung up")
        self._receiving = None  # it knows us: we would be left to the collector
        super().connection_lost(exc)

    def eof_received(self) -> None:
        # No more requests can come, and a client that stopped sending in the middle of an answer
        # is almost always gone; the transport closes itself.
        self._left("hung up")
        self._time_taking()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._time_taking()
        if self._successor is not None:
            self.flow.pause_reading()  # or what it asks for next would be answered into a heap

    def resume_writing(self) -> None:
        super().resume_writing()
        self._must_take = self.deaf
        if self._successor is not None:
            self.flow.resume_reading()
        elif self._current is None and not self.gone:
            self._next()

    def data_received(self, data: bytes) -> None:
        if self.deaf:
            return
        if self.foreign is not None:
            self._receive_foreign(data)
            return
        self._read_bytes = len(data)
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as paused:
                self._upgrade(data[paused.args[0] :])
        except httptools.HttpParserError as error:
            if not self.deaf:
                self._malformed(str(error))
        if self._current is None or self._receiving is not None or self._fields is not None:
            self._after_partial(len(data))

    def tick(self, now_s: float) -> None:
        """End what has run out of time."""
        if self._must_take:
            self._check_taking(now_s)
        if self._current is not None:
            self._current.check_pace(now_s)
            self._current.check_silence(now_s)
        if self._successor is not None and not self.deaf:
            self._successor.tick(now_s)
        if now_s >= self.deadline_s:
            if not self.transport.get_write_buffer_size():
                self.transport.abort()
            elif not self._must_take:
                self._time_taking()

    def shutdown(self) -> None:
        """uvicorn's word for: no more requests.  One under way is answered first."""
        if self._successor is not None and not self.deaf:
            self._successor.shutdown()
        elif self._current is None and self._successor is None:
            self.transport.close()

    def cut(self, reason: str) -> None:
        """Interrupt the answer under way; its handler still gets to say so."""
        if self._successor is not None:
            self._successor.cut(reason)
        if self._current is not None:
            self._current.leave(reason)

    # -- the parser's side -------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self.url = b""
        self._fields = {}
        self._head_first_bytes = self._head_read_bytes = 0
        self._head_began = True
        if self._repeats:
            self._repeated = set()
            self._repeats = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        fields = self._fields
        if fields is None:
            return
        name = name.lower()
        if name in fields:
            self._repeats += 1
            if self._repeats <= self.edge.limits.headers_max:
                self._repeated.add(name)
                fields[name] = b"%b, %b" % (fields[name], value)
        else:
            fields[name] = value

    def on_headers_complete(self) -> None:
        fields, self._fields = self._fields, None
        assert fields is not None
        parser, edge = self.parser, self.edge
        head = guard.Head(
            parser.get_method(),
            self.url,
            parser.get_http_version(),
            fields,
            self._repeated,
            len(fields) + self._repeats,
            # A head is never larger than the reads it came in; only then is it worth counting.
            self._head_first_bytes + self._head_read_bytes + self._read_bytes,
        )
        try:
            refusal = guard.refusal_for(head, edge.limits, edge.hosts_allowed)
            if refusal is not None:
                raise refusal
            exchange = self._exchange(head)
        except errors.Refusal as refused:
            self._refuse(refused)
            raise _Refused from None
        self._receiving = exchange
        self._upgrade_asked = b"upgrade" in fields
        self._barren_bytes = self._fruitful_bytes = 0
        if self._current is None and not self._waiting and not self.flow.write_paused:
            self._start(exchange)
        else:
            self._waiting.append(exchange)
            if len(self._waiting) >= PIPELINED_MAX:
                self.flow.pause_reading()

    def on_body(self, body: bytes) -> None:
        if self._receiving is not None:
            self._receiving.arrive(body)

    def on_message_complete(self) -> None:
        if self._receiving is None or (self._upgrade_asked and self.parser.should_upgrade()):
            return
        self._receiving.complete()
        self._receiving = None

    # -- one exchange after the other --------------------------------------------------------

    def _exchange(self, head: guard.Head) -> Exchange:
        http_1_0 = head.version == "1.0"
        return Exchange(
            self,
            head.method.decode("ascii"),
            guard.target_of(head),
            head.fields,
            http_1_0,
            http_1_0 or not self.parser.should_keep_alive(),
            self.edge.clock.monotonic_s(),
        )

    def _start(self, exchange: Exchange) -> None:
        self._current = exchange
        self.deadline_s = inf
        # With a name: making one up, as `create_task` does, is a quarter of what a task costs.
        exchange.task = asyncio.Task(self._answer(exchange), loop=self.loop, name="exchange")
        self.tasks.add(exchange.task)

    async def _answer(self, exchange: Exchange) -> None:
        try:
            await self.edge.serve(exchange)
        except Exception:
            log.exception("a handler failed", request_id=exchange.request_id)
        finally:
            if exchange.task is not None:
                self.tasks.discard(exchange.task)
            self._answered(exchange)

    def _answered(self, exchange: Exchange) -> None:
        self._current = None
        self.server_state.total_requests += 1
        self.edge.finished(exchange)
        if not exchange.received_whole:
            exchange.forget()
        if self.gone or self._successor is not None:
            return
        if not exchange.ended:
            self._reset()
        elif not exchange.received_whole:
            self.linger()
        elif exchange.closes:
            self._close()
        else:
            if self.flow.read_paused:
                self.flow.resume_reading()
            self._next()

    def _next(self) -> None:
        """Answer whoever waits, unless the client does not take what it has got already."""
        if self._waiting:
            if not self.flow.write_paused:
                self._start(self._waiting.popleft())
        elif self._parting is not None:
            self._part(self._parting)
        else:
            limits = self.edge.limits
            self._head_is_timed = self._fields is not None
            wait_s = limits.header_read_s if self._head_is_timed else limits.keep_alive_s
            self.deadline_s = self.edge.clock.monotonic_s() + wait_s

    # -- endings -----------------------------------------------------------------------------

    def _malformed(self, reason: str) -> None:
        refusal = guard.malformed(reason)
        if self._receiving is None:
            self._refuse(refusal)
        else:
            self.deaf = True
            self._receiving.fail(refusal)

    def _refuse(self, refusal: errors.Refusal) -> None:
        """Answer what cannot be served, after everything before it, and close."""
        self.deaf = True
        if self._current is None and not self._waiting:
            self._part(refusal)
        else:
            self._parting = refusal

    def _part(self, refusal: errors.Refusal) -> None:
        self._write_refusal(refusal)
        self.linger()

    def _write_refusal(self, refusal: errors.Refusal) -> None:
        self.edge.observer.refused(refusal.code)
        self.edge.observer.answered("edge", refusal.status, 0.0)
        headers, body = self.edge.render(refusal, new_id("req"))
        self.transport.write(
            b"%b%b%bconnection: close\r\ncontent-length: %d\r\n\r\n%b"
            % (STATUS_LINE[refusal.status], self.edge.date_line(), headers, len(body), body)
        )

    def _reset(self) -> None:
        """Half an answer must not look like a whole one; to HTTP/1.0 an orderly end does.  And to a
        client that does not read, an orderly end never comes: the kernel would keep what waits."""
        socket = self.transport.get_extra_info("socket")
        socket.setsockopt(SOL_SOCKET, SO_LINGER, _RESET)
        self.transport.abort()

    def _close(self) -> None:
        """Close as soon as everything written is taken."""
        self.deaf = True
        self._waiting.clear()
        self._time_taking()
        self.transport.close()

    def linger(self) -> None:
        """Say that nothing follows, then read on for a moment: closing with unread data would
        reset the connection, and the client might never see what it was told."""
        self.deaf = True
        self._waiting.clear()
        self._time_taking()
        self.deadline_s = self._taken_s + self.edge.limits.linger_s
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()

    def _time_taking(self) -> None:
        """From now on the client has to take what waits for it."""
        self._must_take = True
        self._untaken_bytes = self.transport.get_write_buffer_size()
        self._taken_s = self.edge.clock.monotonic_s()

    def _left(self, reason: str) -> None:
        if self.gone:
            return
        self.gone = True
        for exchange in (self._current, *self._waiting):
            if exchange is not None:
                exchange.leave(reason)
        self._waiting.clear()
        if self._successor is not None:
            self._successor.lost(reason)

    def abandon(self, reason: str) -> None:
        """Nobody is there who could be told anything."""
        self._left(reason)
        self._reset()

    # -- another protocol --------------------------------------------------------------------

    def hand_over(self, head: bytes, successor: Successor) -> None:
        """From now on this is the successor's connection.  head: the last words of HTTP."""
        self.transport.write(head)
        self._successor = successor
        early, self.foreign = self.foreign, bytearray()
        self.flow.resume_reading()
        if early:
            successor.receive(bytes(early))

    def _receive_foreign(self, data: bytes) -> None:
        if self._successor is not None:
            self._successor.receive(data)
            return
        assert self.foreign is not None
        self.foreign += data
        if len(self.foreign) > UNREAD_BODY_BYTES_MAX:
            self.flow.pause_reading()

    def _upgrade(self, rest: bytes) -> None:
        """The parser has stopped behind a head that asks for another protocol.  Whoever serves it
        says whether it is granted; meanwhile `rest` is neither's."""
        asked = self._receiving
        if asked is None:
            return
        asked.closes = True
        version = self.parser.get_http_version()
        if version == "1.1" and guard.may_change(asked.method, asked.headers):
            self._receiving = None
            asked.complete()
            self.foreign = bytearray(rest)
        else:
            self._decline_upgrade(asked, rest)

    def _decline_upgrade(self, asked: Exchange, rest: bytes) -> None:
        """Serve the request as if it had not asked.  The parser takes its body for the other
        protocol and drops it (Java's client asks for h2c with every POST, body included), so a
        second parser reads that body, under a head that says only where it ends."""
        chunked = b"transfer-encoding" in asked.headers
        length = asked.headers.get(b"content-length", b"0")
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: " + length
        self.parser = httptools.HttpRequestParser(_BodyOnly(self))
        self.parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n" + rest)

    def _after_partial(self, read_bytes: int) -> None:
        """A read ended inside a head, inside a body, or between requests: keep that in bounds."""
        if self.deaf:
            return
        if self._receiving is not None:
            self._check_fruit(self._receiving, read_bytes)
        elif self._fields is not None:
            self._check_head_growth(read_bytes)
        if self._current is None and not self._head_is_timed:
            self._head_is_timed = True
            self.deadline_s = self.edge.clock.monotonic_s() + self.edge.limits.header_read_s

    def _check_head_growth(self, read_bytes: int) -> None:
        """The parser collects an unfinished header without bound.  The read in which the head
        began may hold the end of the request before it, so counting starts with the next."""
        if self._head_began:
            self._head_began = False
            self._head_first_bytes = read_bytes
            return
        self._head_read_bytes += read_bytes
        limits = self.edge.limits
        if self._head_read_bytes > limits.header_bytes_max:
            self._refuse(guard.too_large(self._head_read_bytes, 0, limits))

    def _check_fruit(self, receiving: Exchange, read_bytes: int) -> None:
        """Trailers are dropped, but the parser collects each one whole, without bound."""
        if receiving.received_bytes != self._fruitful_bytes:
            self._fruitful_bytes = receiving.received_bytes
            self._barren_bytes = 0
            return
        self._barren_bytes += read_bytes
        if self._barren_bytes > FRAMING_BYTES_MAX:
            self._malformed("a chunked body that is all framing")

    def _check_taking(self, now_s: float) -> None:
        """Leave a client that has stopped reading: it would hold an engine, a permit and a
        buffer for ever."""
        untaken_bytes = self.transport.get_write_buffer_size()
        if self._untaken_bytes - untaken_bytes >= TAKEN_BYTES_MIN:
            self._untaken_bytes = untaken_bytes
            self._taken_s = now_s
        elif now_s - self._taken_s >= self.edge.limits.write_idle_s:
            self.abandon("stopped reading")
