"""Works on responses that nobody waits for: each is a journey of its own, at the same door."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from portico import errors
from portico.callers.scopes import GENERATE
from portico.db.readers import Readers
from portico.db.transaction import Transaction
from portico.db.writer import Writer
from portico.door.visits.carrier import Unattended
from portico.errors import Refusal
from portico.keeping import service as keeping
from portico.keeping.room import Room
from portico.keeping.rules import ROW_BYTES
from portico.kit.clock import Clock
from portico.kit.ids import new_id
from portico.kit.leaving import DRAINED, Leaving, Left
from portico.kit.tasks import Tasks
from portico.resources.background import rules, store
from portico.resources.background.lives import Live, Lives
from portico.resources.background.model import Limits, Task

_LOOK_S = 1.0
_RECOVER_S = 10.0
_SAVE_S = 0.25
_AGAIN_S = 2.0
"""How soon one is tried again that could not be taken in, where nobody says."""
_SETTLING_S = 60.0
_CANCELLED = "cancelled"
log = logging.getLogger(__name__)

Handle = Callable[[Unattended, str], Awaitable[None]]


class _Again(NamedTuple):
    """after_s: 0 where it is not tried again.  begun: that try counts."""

    after_s: float = 0.0
    begun: bool = True


class Runner:
    """One event loop owns this object.

    handle: the door's way to answer a request of this dialect, for callers who are not there.
    owner: this serving process.  closed: takes nothing new any more.
    """

    def __init__(
        self,
        handle: Handle,
        lives: Lives,
        writer: Writer,
        readers: Readers,
        clock: Clock,
        limits: Limits,
        *,
        owner: str,
        keep_ms: int,
        closed: Callable[[], bool],
        room: Room,
    ) -> None:
        self._handle = handle
        self._lives = lives
        self._writer = writer
        self._readers = readers
        self._clock = clock
        self._limits = limits
        self._owner = owner
        self._keep_ms = keep_ms
        self._closed = closed
        self._room = room
        self._asleep: dict[str, float] = {}
        """Responses that could not be taken in, and until when they are left alone."""
        self._recover_s = 0.0
        """When the line is next looked through for what nobody works on."""
        self._since_s = clock.monotonic_s()
        self._saving = asyncio.Lock()
        self._tasks = Tasks(lambda failure: log.critical("in the background", exc_info=failure))

    async def run(self) -> None:
        """For as long as this server runs.  Cancelled, it leaves what it has not answered in line."""
        try:
            while True:
                with _another_round():
                    await self._round(self._clock.monotonic_s())
                await self._news()
        finally:
            await self._leave()

    def search(self) -> None:
        """For what nobody works on, with the next round."""
        self._recover_s = 0.0

    async def save(self) -> None:
        """What streams have said goes to disk, again and again.  Ends when cancelled."""
        while True:
            await asyncio.sleep(_SAVE_S)
            with _another_round():
                await self._save(self._lives.all())

    async def watch(self) -> None:
        """Who was cancelled through another server is cut off here.  Ends when cancelled."""
        while True:
            await asyncio.sleep(_AGAIN_S)
            with _another_round():
                await self._look()

    async def _look(self) -> None:
        lives = self._lives.all()
        ids = [live.task.request_id for live in lives]
        still = await self._readers.run(partial(store.still, request_ids=ids)) if ids else ids
        for live in lives:
            if live.task.request_id not in still:
                live.leaving.leave(_CANCELLED)

    async def _news(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                await self._lives.news.wait()
        self._lives.news.clear()

    async def _round(self, now_s: float) -> None:
        """Raises: Refusal: storage_unavailable."""
        if now_s >= self._recover_s:
            self._recover_s = now_s + _RECOVER_S
            await self._writer.run(self._recover)
        self._asleep = {each: until for each, until in self._asleep.items() if until > now_s}
        free = self._limits.at_once - len(self._lives.all())
        if free <= 0 or self._closed():
            return
        asleep = tuple(self._asleep)
        ids = await self._readers.run(partial(store.turn, most=free, asleep=asleep))
        if not ids:
            return
        taken = await self._writer.run(
            partial(store.take, owner=self._owner, ids=ids, draw=lambda: new_id("req"))
        )
        for task, before in taken:
            live = Live(task, before, Leaving())
            self._lives.add(live)
            self._tasks.start(self._make(live))

    async def _make(self, live: Live) -> None:
        """One try.  Whatever comes of it, it is in line again, or has ended; where that cannot be
        written down now, `recover` finds it."""
        task, again = live.task, _Again()
        try:
            again = await self._tried(live)
        except (Refusal, DBAPIError) as error:
            log.warning("what became of %s is not written yet: %s", task.id, error)
            self.search()
        finally:
            with _another_round():  # first: whoever reads on from the disk finds all of it there
                await self._save([live])
            self._lives.remove(live)
            if again.after_s:
                self._asleep[task.id] = self._clock.monotonic_s() + again.after_s
            if again.after_s or live.leaving.reason == DRAINED:
                with _another_round():
                    change = partial(store.requeue, task=task, begun=again.begun)
                    await self._writer.run(change)
            live.end()
            self._lives.news.set()

    async def _tried(self, live: Live) -> _Again:
        """Raises: Refusal: storage_unavailable; DBAPIError."""
        task = live.task
        try:
            self._check(live)
            await self._handle(self._carrier(live), "")
            await self._ended(live)
        except Left:
            await self._ended(live)
        except Refusal as refusal:
            again = self._again(live, refusal)
            if again.after_s:
                return again
            await self._close(live, refusal)
        except DBAPIError:
            raise
        except Exception:
            log.exception("a response in the background failed", extra={"id": task.id})
            await self._close(live, errors.INTERNAL("Something went wrong here; it was logged."))
        return _Again()

    def _again(self, live: Live, refusal: Refusal) -> _Again:
        """Is it worth another try?  What was not even begun is, for as long as it may wait: also for
        its conversation, while others speak in it.  What an engine serves may not be known yet
        after a start."""
        task, limits = live.task, self._limits
        if live.begun or self._clock.wall_ms() - task.created_at_ms >= limits.age_ms_max:
            return _Again()
        begun = refusal.status not in (429, 503) and refusal.entry is not errors.CONVERSATION_LOCKED
        passes = refusal.entry.retryable and (not begun or task.attempts < limits.attempts_max)
        if refusal.entry is errors.MODEL_NOT_FOUND:
            begun, passes = False, self._clock.monotonic_s() < self._since_s + _SETTLING_S
        return (
            _Again((refusal.retry_after_ms or 0) / 1000 or _AGAIN_S, begun) if passes else _Again()
        )

    def _check(self, live: Live) -> None:
        """Raises: Refusal, of one that must not be begun again."""
        if live.task.attempts > self._limits.attempts_max:
            raise rules.tired(live.task.attempts - 1)
        if live.saved > rules.FIRST_EVENTS:
            raise rules.interrupted()

    def _carrier(self, live: Live) -> Unattended:
        task = live.task
        return Unattended(
            task.request_id,
            f"req_{task.id.removeprefix('resp_')}",
            ("POST", b"/v1/responses"),
            {b"authorization": b"Bearer " + _asking(task).encode("ascii")},
            task.request,
            live.leaving,
            scope=GENERATE,
            arrived_s=self._clock.monotonic_s(),
            take=live.take if task.stream else None,
        )

    async def _ended(self, live: Live) -> None:
        """By the commit that settled it, nearly always."""
        ids = [live.task.request_id]
        if await self._readers.run(partial(store.still, request_ids=ids)):
            await self._close(live, rules.lost())

    async def _close(self, live: Live, refusal: Refusal) -> None:
        """It has no answer, and this is why."""
        if live.leaving.reason == DRAINED:
            return
        task = live.task
        await self._writer.run(partial(self._end, task, rules.failed(task.body, refusal)))

    def _end(self, task: Task, body: bytes, connection: Connection) -> None:
        now_ms = self._clock.wall_ms()
        until_ms = keeping.until_ms(
            Transaction(connection), task.project_id, now_ms, now_ms + self._keep_ms
        )
        if not store.end(connection, task, "failed", body, (now_ms, until_ms)):
            store.explain(connection, task, body)

    def _recover(self, connection: Connection) -> None:
        working = [live.task.request_id for live in self._lives.all()]
        for task in store.lost(connection, self._owner, working):
            self._end(task, rules.failed(task.body, rules.lost()), connection)
        store.recover(connection, self._owner, working)

    async def _save(self, lives: list[Live]) -> None:
        """Raises: Refusal: storage_unavailable."""
        async with self._saving:  # nothing is written twice
            pieces = [
                (live, live.saved, live.events[live.saved :])
                for live in lives
                if live.saved < len(live.events)
            ]
            if pieces:
                await self._write(pieces)

    async def _write(self, pieces: list[tuple[Live, int, list[bytes]]]) -> None:

        def write(connection: Connection) -> None:
            for live, first, events in pieces:
                task = live.task
                store.append(connection, task, first, b"".join(events))

        await self._writer.run(write)
        for live, first, events in pieces:
            live.saved = first + len(events)
            self._room.grew(live.task.project_id, sum(map(len, events)) + ROW_BYTES)

    async def _leave(self) -> None:
        for live in self._lives.all():
            live.leaving.leave(DRAINED)
        await self._tasks.finish()


def _asking(task: Task) -> str:
    """As `Deputies` know it."""
    if task.credential_id == task.key_id:
        return task.key_id
    return f"{task.credential_id}/{task.key_id}"


@contextmanager
def _another_round() -> Iterator[None]:
    """What the database does not take or tell now, it does another time."""
    try:
        yield
    except (Refusal, DBAPIError) as error:
        log.warning("work in the background waits: %s", error)
