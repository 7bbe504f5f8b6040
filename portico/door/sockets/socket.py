"""One WebSocket: messages come in, one at a time is answered, and each is a request of its own."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import structlog
from websockets.frames import CloseCode

from portico import errors
from portico.db.away import AWAY, away
from portico.door.dialect import Dialect
from portico.door.framing.pace import Pace
from portico.door.limits import UNREAD_BODY_BYTES_MAX
from portico.door.sockets.framed import Framed, Opening, Wanted, refusal_event
from portico.door.sockets.frames import Frames
from portico.door.sockets.messages import lane_in, wanted_in
from portico.door.visits.preparing import Preparing
from portico.kit.failures import let_go
from portico.kit.ids import new_id
from portico.kit.leaving import Leaving, Left
from portico.resources.responses.unstored import Memory, Recalling

if TYPE_CHECKING:
    from portico.door.connection import Connection

log = structlog.get_logger("portico.door")

_TAKEN_AT_ONCE_BYTES = 4_096
"""Between two such pieces it is seen whether enough is enough: a read full of the smallest frames
would hold up everybody."""
_NUISANCES_MAX = 128
_NUISANCES_PER_S = 16


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """
    connections_max: in all; per_key_max: of one key.
    waiting_max: requests in line behind the one that is answered.
    connection_s: how long one may last.  idle_s: with nothing asked.
    ping_s: without a byte from the client until it is asked whether it is there; pong_s: then to
      its answer.
    memory_bytes_max, links_max: of responses that nobody keeps, on one connection;
      memory_bytes_in_all: on all of them.
    """

    connections_max: int = 1_000
    per_key_max: int = 100
    waiting_max: int = 16
    connection_s: float = 3_600.0
    idle_s: float = 600.0
    ping_s: float = 20.0
    pong_s: float = 20.0
    memory_bytes_max: int = 8_388_608
    memory_bytes_in_all: int = 268_435_456
    links_max: int = 1_000


@dataclass(frozen=True, slots=True)
class Behind:
    """What the requests of one connection meet."""

    generation: Preparing
    recalling: Recalling
    memory: Memory
    dialect: Dialect


class Nuisances:
    """Counts what costs us more than them.  Some are let pass, and then so many a second."""

    def __init__(self, now_s: float) -> None:
        self._left: float = _NUISANCES_MAX
        self._at_s = now_s

    def bear(self, count: int, now_s: float) -> bool:
        """False where it is too much."""
        grown = self._left + (now_s - self._at_s) * _NUISANCES_PER_S
        self._left, self._at_s = min(grown, _NUISANCES_MAX) - count, now_s
        return self._left >= 0


class Socket:
    """A `Successor` of HTTP on its connection, and the `Line` of its requests.

    leaving: left when its key has ended.
    """

    def __init__(
        self,
        connection: "Connection",
        opening: Opening,
        behind: Behind,
        limits: SocketLimits,
        ended: Callable[["Socket"], None],
    ) -> None:
        """ended: called once, when nobody is there any more."""
        self._connection = connection
        self._edge = connection.edge
        self._opening = opening
        self._behind = behind
        self._limits = limits
        self._ended = ended
        self.leaving = Leaving(connection.loop)
        self._frames = Frames(connection.edge.limits.body_bytes_max)
        self._waiting: deque[Wanted] = deque()
        self._running: Framed | None = None
        self._gone = False
        now_s = self._edge.clock.monotonic_s()
        self._opened_s = self._heard_s = self._used_s = now_s
        self._pong_until_s = inf
        self._nuisances = Nuisances(now_s)
        self._pace: Pace | None = None
        self._counted_bytes = 0

    # -- what its requests say ---------------------------------------------------------------

    @property
    def writable(self) -> bool:
        return not self._connection.flow.write_paused

    async def drain(self) -> None:
        await self._connection.flow.drain()

    def say(self, payload: bytes) -> None:
        if not self._gone:
            self._frames.text(payload)
            self._flush()

    # -- what the connection says ------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        now_s = self._edge.clock.monotonic_s()
        self._heard_s, self._pong_until_s = now_s, inf
        for start in range(0, len(data), _TAKEN_AT_ONCE_BYTES):
            barren = self._frames.barren
            for message in self._frames.take(data[start : start + _TAKEN_AT_ONCE_BYTES]):
                self._hear(message)
            self._flush()
            if not self._nuisances.bear(self._frames.barren - barren, now_s):
                self._close(CloseCode.POLICY_VIOLATION, "too many frames that say nothing")
            if self._frames.over:
                break
        if self._frames.over:
            self._part()
            return
        self._count()
        self._time_message(now_s)

    def lost(self, reason: str) -> None:
        if self._gone:
            return
        self._gone = True
        self._waiting.clear()
        if self._running is None:
            self._behind.memory.clear()
        else:
            self._running.leaving.leave(reason)
        self._count()
        self._ended(self)

    def cut(self, reason: str) -> None:
        if self._running is not None:
            self._running.leaving.leave(reason)

    def shutdown(self) -> None:
        self._close(CloseCode.GOING_AWAY, "this server is shutting down")

    def tick(self, now_s: float) -> None:
        if self._gone:
            return
        self._check_silence(now_s)
        if self._running is None and not self._waiting:
            self._check_idle(now_s)
        if not self._gone and not self._connection.flow.read_paused:
            self._check_hearing(now_s)

    # -- one request after the other ---------------------------------------------------------

    def _hear(self, message: bytes) -> None:
        """One message, which is refused at once, waits, or is answered."""
        if self._gone:
            return
        self._used_s = self._heard_s
        try:
            wanted = wanted_in(message)
            self._check_line()
        except errors.Refusal as refusal:
            self._refuse(refusal, lane_in(message))
            let_go(refusal)
            return
        self._waiting.append(wanted)
        if self._running is None:
            self._next()

    def _check_line(self) -> None:
        """Raises: Refusal."""
        self._check_open()
        if len(self._waiting) >= self._limits.waiting_max:
            raise errors.CONCURRENCY(
                f"This connection has {len(self._waiting)} requests in line behind the one that is "
                "answered; more cannot wait.",
                value=len(self._waiting),
                limit=self._limits.waiting_max,
                retry_after_ms=1_000,
                remedy="Send the next one when an answer has ended.",
            )

    def _check_open(self) -> None:
        """Raises: Refusal, where no request may begin any more."""
        if self._edge.draining:
            raise errors.DRAINING("This server is shutting down.", retry_after_ms=2_000)
        if self._edge.clock.monotonic_s() - self._opened_s >= self._limits.connection_s:
            raise self._outlived()

    def _outlived(self) -> errors.Refusal:
        return errors.WEBSOCKET_CONNECTION_LIMIT(
            f"This connection is {self._limits.connection_s / 60:g} minutes old, and may not be "
            "older.",
            limit=self._limits.connection_s,
        )

    def _next(self) -> None:
        """Answer the one that waits longest; refuse those that may not begin any more."""
        while self._waiting and self._running is None:
            wanted = self._waiting.popleft()
            try:
                self._check_open()
            except errors.Refusal as refusal:
                self._refuse(refusal, wanted.lane)
                let_go(refusal)
                continue
            self._start(wanted)

    def _start(self, wanted: Wanted) -> None:
        connection = self._connection
        leaving = Leaving(connection.loop)
        now_s = self._edge.clock.monotonic_s()
        self._running = framed = Framed(wanted, self._opening, self, leaving, now_s)
        task = asyncio.Task(self._answer(framed), loop=connection.loop, name="exchange")
        connection.tasks.add(task)
        task.add_done_callback(connection.tasks.discard)

    async def _answer(self, framed: Framed) -> None:
        try:
            await self._generate(framed)
        except Left as left:
            let_go(left)
        except errors.Refusal as refusal:
            self._edge.observer.refused(refusal.code)
            framed.refuse(refusal, self._behind.dialect)
            let_go(refusal)
        except AWAY as failure:
            framed.refuse(away(failure, framed.request_id), self._behind.dialect)
            let_go(failure)
        except Exception as failure:
            log.exception("a request failed", request_id=framed.request_id)
            internal = errors.INTERNAL("Something went wrong here; it was logged.")
            framed.refuse(internal, self._behind.dialect)
            let_go(failure)
        finally:
            self._answered(framed)

    async def _generate(self, framed: Framed) -> None:
        if framed.wanted.generates:
            await self._behind.generation.handle(framed, "")
        else:
            await self._behind.generation.prepare(framed)

    def _answered(self, framed: Framed) -> None:
        self._behind.recalling.ended(framed.wanted.previous_id)
        self._running = None
        self._used_s = self._edge.clock.monotonic_s()
        self._edge.finished(framed)
        self._count()
        if self._gone:
            self._behind.memory.clear()
            return
        if not self.leaving.left:
            self._next()
        if self._running is None:
            self._check_idle(self._used_s)

    def _refuse(self, refusal: errors.Refusal, lane: str) -> None:
        """A message that became no request."""
        self._edge.observer.refused(refusal.code)
        now_s = self._edge.clock.monotonic_s()
        wanted = Wanted(b"", "", lane, generates=False)
        framed = Framed(wanted, self._opening, self, self.leaving, now_s)
        framed.refuse(refusal, self._behind.dialect)
        self._edge.observer.answered(framed.route, framed.status, 0.0)
        if not self._nuisances.bear(1, now_s):
            self._close(CloseCode.POLICY_VIOLATION, "too many messages that are refused")

    # -- what runs out -----------------------------------------------------------------------

    def _check_idle(self, now_s: float) -> None:
        """Nothing is asked: is there a reason to end?"""
        if self.leaving.left:
            self._close(CloseCode.POLICY_VIOLATION, "the API key has ended")
        elif self._edge.draining:
            self.shutdown()
        elif now_s - self._opened_s >= self._limits.connection_s:
            refusal = self._outlived()
            self._edge.observer.refused(refusal.code)
            self.say(refusal_event(refusal, self._behind.dialect, new_id("req")))
            self._close(CloseCode.GOING_AWAY, "this connection is too old")
        elif now_s - self._used_s >= self._limits.idle_s and not self._frames.held_bytes:
            self._close(CloseCode.NORMAL_CLOSURE, "nothing was asked for too long")

    def _check_hearing(self, now_s: float) -> None:
        """Is the client there, and its message on the way?"""
        if now_s >= self._pong_until_s:
            self._connection.abandon("gave no sign of life")
            return
        if self._pong_until_s == inf and now_s - self._heard_s >= self._limits.ping_s:
            self._pong_until_s = now_s + self._limits.pong_s
            self._frames.ping()
            self._flush()
        late = None if self._pace is None else self._pace.late(now_s, self._frames.held_bytes)
        if late is not None:
            self._refuse(late, "")
            self._close(CloseCode.POLICY_VIOLATION, "the message came too slowly")

    def _check_silence(self, now_s: float) -> None:
        """Let an answer that has had nothing to say say so."""
        framed = self._running
        if framed is None or framed.on_silence is None:
            return
        if not framed.silent_since_s:
            framed.silent_since_s = now_s
        elif now_s - framed.silent_since_s >= self._edge.limits.ping_s and self.writable:
            framed.silent_since_s = now_s
            framed.on_silence()

    def _time_message(self, now_s: float) -> None:
        """A message that has begun has to become whole."""
        if not self._frames.held_bytes:
            self._pace = None
        elif self._pace is None:
            self._pace = Pace(self._edge.limits, in_stretches=False)
            self._pace.wait(now_s)

    def _count(self) -> None:
        """Large messages take their part of the room for all large bodies."""
        held = 0
        if not self._gone:
            held = self._frames.held_bytes + sum(len(each.body) for each in self._waiting)
        if self._running is not None:
            held += len(self._running.wanted.body)
        if held <= UNREAD_BODY_BYTES_MAX:
            held = 0
        grown, self._counted_bytes = held - self._counted_bytes, held
        edge = self._edge
        edge.bodies_bytes += grown
        if grown > 0 and edge.bodies_bytes > edge.limits.bodies_bytes_max:
            refusal = errors.OVERLOADED(
                "This server holds as many large bodies as it can.",
                limit=edge.limits.bodies_bytes_max,
                retry_after_ms=1_000,
            )
            self._refuse(refusal, "")
            self._close(CloseCode.TRY_AGAIN_LATER, "as many large messages as can be held")

    # -- endings -----------------------------------------------------------------------------

    def _close(self, code: int, reason: str) -> None:
        if self._gone:
            return
        self._frames.close(code, reason)
        self._flush()
        self._part()

    def _part(self) -> None:
        """Somebody has said goodbye: what was asked is not wanted any more."""
        if not self._gone:
            self.lost("hung up")
            self._connection.linger()

    def _flush(self) -> None:
        said = self._frames.said()
        if said and not self._connection.gone:
            self._connection.transport.write(said)
