"""One socket to an upstream: writes a request, parses the response, keeps the deadlines.

A connection is connecting, idle (`answer` is None) or busy with one exchange.  Everything happens in
the callbacks of the loop; there is no task, and one timer that is re-armed only when it fires or
when an earlier deadline comes up.
"""

import asyncio
import math
from typing import Protocol, cast

import httptools

from portico.engines.transport.answer import NativeAnswer
from portico.engines.transport.base import Call, Deadlines, Limits, Stage, TransportFailed

# Head and body leave in one write up to this size; above, copying costs more than a second write.
JOIN_BYTES = 65_536
# A larger body is handed over in pieces, so that each piece taken is seen as progress.
PIECE_BYTES = 262_144


class Home(Protocol):
    """The pool a connection belongs to."""

    def take_back(self, connection: "Connection") -> None:
        """The exchange is over and the connection is fit for another."""
        ...

    def forget(self, connection: "Connection") -> None:
        """The socket is closed."""
        ...


class Connection(asyncio.BufferedProtocol):
    """`scratch` is where the loop puts what it reads.  All connections of a loop may share it: the
    bytes are parsed before the loop reads again.  Without it each read over TLS would allocate
    256 KiB (docs/design/0003)."""

    def __init__(
        self,
        home: Home,
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
        scratch: memoryview,
    ) -> None:
        self.used = False
        self._scratch = scratch
        self._home = home
        self._limits = limits
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._answer: NativeAnswer | None = None
        # request
        self._unsent = memoryview(b"")
        self._write_paused = False
        self._head_only = False
        self._reusable = True
        # response
        self._reading_paused = False
        self._interim = False  # a 1xx has come, the final head has not begun
        self._barren_bytes = 0  # received since the last piece of body
        self._body_arrived = False  # in the read at hand
        # deadlines
        self._deadlines = Deadlines()
        self._stage: Stage = "idle"
        self._silent_until = math.inf
        self._whole_until = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf

    # --- what the pool asks ---------------------------------------------------------------

    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def start(self, call: Call, head: bytes, whole_until: float) -> NativeAnswer:
        """Send `call`; `whole_until` is the end of its total deadline in loop time."""
        answer = NativeAnswer(self, self._loop)
        transport = self._transport
        if transport is None or transport.is_closing():
            answer.end(TransportFailed("lost", "the upstream closed the connection meanwhile"))
            return answer
        self._answer = answer
        self.used = True
        self._head_only = call.method == "HEAD"
        self._reusable = call.reuse
        self._interim = False
        self._barren_bytes = 0
        self._deadlines = call.deadlines
        self._whole_until = whole_until
        if len(call.body) <= JOIN_BYTES:
            transport.write(head + call.body)
        else:
            transport.write(head)
            self._unsent = memoryview(call.body)
            self._write_on()
        self._watch_request()
        return answer

    def rest(self, age_s: float) -> None:
        """Lie in the pool for at most `age_s`."""
        self._silent_until = due = self._loop.time() + age_s
        self._whole_until = math.inf
        if due < self._timer_at:
            self._arm(due)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # --- what an answer asks --------------------------------------------------------------

    def fail(self, failure: TransportFailed) -> None:
        answer, self._answer = self._answer, None
        self._unsent = memoryview(b"")
        self.abort()
        if answer is not None:
            answer.end(failure)

    def resume(self) -> None:
        if self._reading_paused and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()
            self._silent_until = self._loop.time() + self._deadlines.idle_s
            self._arm(self._silent_until)

    # --- asyncio calls --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # Paused as soon as the kernel leaves us one byte, resumed when it has taken all: "not
        # paused" then means that the upstream's side has the whole request.
        self._transport.set_write_buffer_limits(high=1, low=0)
        self._parser = httptools.HttpResponseParser(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._scratch

    def buffer_updated(self, nbytes: int) -> None:
        answer = self._answer
        if answer is None or self._parser is None:
            self.abort()  # speaks out of turn: its next answer could not be trusted
            return
        answer.answered = True
        self._body_arrived = False
        self._barren_bytes += nbytes
        try:
            self._parser.feed_data(self._scratch[:nbytes])
        except httptools.HttpParserError as error:
            self._broken("protocol", f"not an HTTP/1.1 response: {error}")
            return
        except httptools.HttpParserUpgrade:
            self._broken("protocol", "switched protocols unasked")
            return
        if excess := self._excess(answer):
            self._broken("too_large", excess)
        elif answer.complete:
            self._let_go(answer)
        else:
            self._watch_response(answer)

    def eof_received(self) -> None:
        answer = self._answer
        if answer is not None and answer.status and _ends_with_the_connection(answer):
            self._answer = None
            answer.end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._broken("lost", str(exc) if exc else "the upstream closed the connection")
        if self._timer is not None:
            self._timer.cancel()
        # Parser and connection hold one another; without this only the collector frees them.
        self._timer = self._parser = self._transport = None
        self._home.forget(self)

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._answer is not None:
            self._write_on()
            if not self._answer.status:
                self._watch_request()

    # --- the parser calls -----------------------------------------------------------------

    def on_message_begin(self) -> None:
        answer = self._answer
        if answer is None or answer.complete:
            self._reusable = False  # bytes after the end: not an answer to anything we asked

    def on_header(self, name: bytes, value: bytes) -> None:
        answer = self._answer
        if answer is not None and not answer.status:  # after the head these are trailers
            answer.headers.append((name.lower(), value.rstrip()))

    def on_headers_complete(self) -> None:
        answer = self._answer
        if answer is None or answer.complete or self._parser is None:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            answer.headers = []
            self._interim = True
            return
        answer.status = status
        if self._head_only:
            self._reusable = False  # the parser cannot be told that no body follows
            answer.complete = True
        answer.wake()

    def on_body(self, piece: bytes) -> None:
        answer = self._answer
        if answer is not None and not answer.complete:
            answer.pieces.append(piece)
            answer.buffered_bytes += len(piece)
            self._body_arrived = True

    def on_message_complete(self) -> None:
        answer = self._answer
        if answer is not None and answer.status and not answer.complete:
            if self._parser is not None and not self._parser.should_keep_alive():
                self._reusable = False
            answer.complete = True

    # --- inside ---------------------------------------------------------------------------

    def _let_go(self, answer: NativeAnswer) -> None:
        """The response is complete: back to the pool, if both sides are fit for another."""
        self._answer = None
        if self._reusable and not self._unsent and not self._write_paused and self.is_open():
            self._home.take_back(self)
        else:
            self._unsent = memoryview(b"")
            self.abort()
        answer.end(None)

    def _broken(self, stage: Stage, detail: str) -> None:
        if self._answer is not None:
            self.fail(TransportFailed(stage, detail, answered=self._answer.answered))

    def _write_on(self) -> None:
        while self._unsent and not self._write_paused and self._transport is not None:
            piece, self._unsent = self._unsent[:PIECE_BYTES], self._unsent[PIECE_BYTES:]
            self._transport.write(piece)

    def _watch_request(self) -> None:
        """The next sign of life is due: more room for our body, or the first byte back."""
        if self._write_paused:
            self._stage, allowed_s = "write", self._deadlines.write_s
        else:
            self._stage, allowed_s = "first_byte", self._deadlines.first_byte_s
        self._silent_until = due = self._loop.time() + allowed_s
        if due > self._whole_until:
            due = self._whole_until
        if due < self._timer_at:
            self._arm(due)

    def _watch_response(self, answer: NativeAnswer) -> None:
        """Some bytes came, the end did not: hand over, hold back, wait for the next."""
        if answer.status or not self._interim:
            self._stage = "idle"
            self._silent_until = self._loop.time() + self._deadlines.idle_s
        if self._body_arrived:
            self._barren_bytes = 0
            answer.wake()
            if answer.buffered_bytes > self._limits.buffer_bytes:
                self._hold_back()
        self._arm(self._silent_until)

    def _hold_back(self) -> None:
        if not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()
            self._silent_until = math.inf  # the silence is ours

    def _excess(self, answer: NativeAnswer) -> str | None:
        """What is too large about the bytes that are not body, if anything."""
        limits = self._limits
        if len(answer.headers) > limits.head_fields:
            return f"more than {limits.head_fields} header fields"
        if self._barren_bytes <= limits.head_bytes:
            return None
        if not self._body_arrived:
            return f"more than {limits.head_bytes} bytes and no body in them"
        # One read brought head and body; only the head counts.
        size_bytes = sum(len(name) + len(value) for name, value in answer.headers)
        return f"a head of {size_bytes} bytes" if size_bytes > limits.head_bytes else None

    def _arm(self, due: float) -> None:
        """See that the timer fires at `due` or before; firing early costs nothing but a look."""
        if due < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = due
            self._timer = self._loop.call_at(due, self._look_at_the_clock)

    def _look_at_the_clock(self) -> None:
        self._timer, self._timer_at = None, math.inf
        due = min(self._silent_until, self._whole_until)
        if self._loop.time() < due:
            self._arm(due)
        elif self._answer is None:
            self.abort()  # too long in the pool
        elif due == self._whole_until:
            self._broken("total", f"not complete after {self._deadlines.total_s} s")
        else:
            allowed_s = getattr(self._deadlines, f"{self._stage}_s")
            self._broken(self._stage, f"nothing happened for {allowed_s} s")


def _ends_with_the_connection(answer: NativeAnswer) -> bool:
    """Neither a length nor chunks announce the end (RFC 9112, section 6.3, last case)."""
    coding = [value for name, value in answer.headers if name == b"transfer-encoding"]
    if coding:
        return not coding[-1].lower().rstrip().endswith(b"chunked")
    return all(name != b"content-length" for name, _ in answer.headers)
