"""Works on lines of batches, with what nobody else needs: each is a journey of its own.

A line begins where its model has places to spare and nobody waits for one; whoever comes and has
to wait gets the place of the newest lines, which are made again later, at our cost.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import msgspec
from sqlalchemy.exc import DBAPIError

from portico import errors
from portico.admission.service import Admission
from portico.background.finishing import Finishing
from portico.background.validating import Validating
from portico.callers.scopes import EMBED, GENERATE
from portico.db.readers import Readers
from portico.db.writer import Writer
from portico.door.visits.carrier import Unattended
from portico.errors import Refusal
from portico.kit.clock import Clock
from portico.kit.ids import new_id
from portico.kit.leaving import DRAINED, PREEMPTED, Leaving, Left
from portico.kit.tasks import Tasks
from portico.resources.batches import store
from portico.resources.batches.keeper import Lines
from portico.resources.batches.model import Batch, LineState, Work

_TICK_S = 0.05
_REST_S = 1.0
_CLAIM_S = 5.0
_AHEAD = 64
"""Lines of one batch that are looked at before they are taken."""
_TRIES_MAX = 4
"""Of one line; after so many it is not made to make room any more, and its next failure counts."""
_AGAIN_S = 2.0
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Way:
    """handle: the door's, for callers who are not there.  told: a refusal as its dialect tells it:
    the status, and the body."""

    handle: Callable[[Unattended, str], Awaitable[None]]
    told: Callable[[Refusal, str], tuple[int, bytes]]


@dataclass(slots=True)
class _Mine:
    """A batch that this process works on.  ahead: lines that were looked at: number and model.
    not_before_s: until then none of its lines begins.  busy: with its beginning or its end."""

    batch: Batch
    ahead: list[tuple[int, str]] = field(default_factory=list)
    last: int = 0
    running: int = 0
    not_before_s: float = 0.0
    busy: bool = False


@dataclass(slots=True, eq=False)
class _Running:
    work: Work
    model: str
    leaving: Leaving


class _Model(msgspec.Struct):
    model: str = ""


_model = msgspec.json.Decoder(_Model)


class Lane:
    """One event loop owns this object."""

    def __init__(
        self,
        ways: Mapping[str, Way],
        lines: Lines,
        admission: Admission,
        places: Callable[[str], int],
        writer: Writer,
        readers: Readers,
        clock: Clock,
        validating: Validating,
        finishing: Finishing,
        *,
        owner: str,
        at_once: int,
        share: float,
    ) -> None:
        """ways: by endpoint.  places: requests that may run at once for a model.
        share: of them, that lines may take.  at_once: lines that run, of all models."""
        self._ways = ways
        self._lines = lines
        self._admission = admission
        self._places = places
        self._writer = writer
        self._readers = readers
        self._clock = clock
        self._validating = validating
        self._finishing = finishing
        self._owner = owner
        self._at_once = at_once
        self._share = share
        self._mine: dict[str, _Mine] = {}
        self._running: list[_Running] = []
        self._claim_s = 0.0
        self.news = asyncio.Event()
        """Set when there is a new batch, or one was cancelled."""
        self._tasks = Tasks(lambda failure: log.critical("in the lane", exc_info=failure))

    async def run(self) -> None:
        """For as long as this server runs.  Cancelled, it leaves its batches to whoever comes."""
        try:
            while True:
                try:
                    await self._tick()
                except (Refusal, DBAPIError) as error:
                    log.warning("batches wait: %s", error)
                await self._pause()
        finally:
            await self._leave()

    async def _pause(self) -> None:
        idle = not self._mine
        with suppress(TimeoutError):
            async with asyncio.timeout(_REST_S if idle else _TICK_S):
                await self.news.wait()

    async def _tick(self) -> None:
        now_s = self._clock.monotonic_s()
        if self.news.is_set() or now_s >= self._claim_s:
            self.news.clear()
            self._claim_s = now_s + _CLAIM_S
            await self._claim()
        self._make_room()
        for mine in list(self._mine.values()):
            await self._step(mine)
        if len(self._running) < self._at_once:
            await self._dispatch(now_s)

    async def _claim(self) -> None:
        found = await self._readers.run(store.unended)
        if not found and not self._mine:
            return
        claimed = await self._writer.run(partial(store.claim, owner=self._owner))
        there = {each.id for each in claimed}
        for batch in claimed:
            if batch.id in self._mine:
                self._mine[batch.id].batch = batch
                continue
            again, lost = await self._writer.run(partial(store.recover, of=batch))
            if again or lost:
                log.warning("%s goes on: %d lines anew, %d lost", batch.id, again, lost)
            self._mine[batch.id] = _Mine(batch)
        for gone in self._mine.keys() - there:
            if not self._mine[gone].running and not self._mine[gone].busy:
                del self._mine[gone]

    async def _step(self, mine: _Mine) -> None:
        batch = mine.batch
        if mine.busy:
            return
        if batch.state == "validating":
            self._begin(mine, self._validating.validate(batch))
        elif batch.state == "finalizing":
            self._begin(mine, self._finishing.finish(batch))
        elif batch.state == "cancelling":
            await self._close(mine, "cancelled")
        elif self._clock.wall_ms() >= batch.due_at_ms:
            await self._close(mine, "expired")

    def _begin(self, mine: _Mine, work: Awaitable[None]) -> None:
        async def done() -> None:
            try:
                await work
            except (Refusal, DBAPIError) as error:
                log.warning("%s waits: %s", mine.batch.id, error)
                await asyncio.sleep(_AGAIN_S)
            finally:
                mine.busy = False
                self.news.set()

        mine.busy = True
        self._tasks.start(done())

    async def _close(self, mine: _Mine, state: LineState) -> None:
        """Nothing of it begins any more."""
        await self._writer.run(partial(store.resolve_waiting, of=mine.batch, state=state))
        mine.ahead.clear()
        if not mine.running:
            await self._finishing.begin(mine.batch)
            self.news.set()

    # -- lines -------------------------------------------------------------------------------

    async def _dispatch(self, now_s: float) -> None:
        """One line of each batch, and again, while there are places to spare."""
        spare: dict[str, int] = {}
        free = self._at_once - len(self._running)
        chosen: dict[str, list[int]] = {}
        models: dict[tuple[str, int], str] = {}
        ready = [each for each in self._mine.values() if self._goes_on(each, now_s)]
        while free > 0 and ready:
            for mine in list(ready):
                line = await self._next(mine, spare) if free > 0 else None
                if line is None:
                    ready.remove(mine)
                    continue
                number, model = line
                chosen.setdefault(mine.batch.id, []).append(number)
                models[mine.batch.id, number] = model
                free -= 1
        for batch_id, numbers in chosen.items():
            batch = self._mine[batch_id].batch
            taken = await self._writer.run(
                partial(store.take, of=batch, numbers=numbers, draw=lambda: new_id("req"))
            )
            for work in taken:
                self._start(work, models[batch_id, work.number])

    def _goes_on(self, mine: _Mine, now_s: float) -> bool:
        return mine.batch.state == "in_progress" and not mine.busy and now_s >= mine.not_before_s

    async def _next(self, mine: _Mine, spare: dict[str, int]) -> tuple[int, str] | None:
        """A line whose model has a place to spare; it is not looked at again."""
        if not mine.ahead:
            await self._look_ahead(mine)
        for at, (number, model) in enumerate(mine.ahead):
            if model not in spare:
                spare[model] = self._admission.spare(model, self._places(model), self._share)
            if spare[model] > 0:
                spare[model] -= 1
                del mine.ahead[at]
                return number, model
        return None

    async def _look_ahead(self, mine: _Mine) -> None:
        """More lines; where there are none behind the last one, those that wait again."""
        batch = mine.batch
        read = partial(store.waiting, of=batch, after=mine.last, most=_AHEAD)
        found = await self._readers.run(read, tenant=batch.organisation_id)
        if not found and mine.last:
            mine.last = 0
            return
        if not found and not mine.running:
            await self._finishing.begin(batch)
            self.news.set()
            return
        mine.ahead = [(number, _model_of(request)) for number, request in found]
        mine.last = found[-1][0] if found else 0

    def _start(self, work: Work, model: str) -> None:
        running = _Running(work, model, Leaving())
        self._running.append(running)
        self._mine[work.batch_id].running += 1
        self._tasks.start(self._make(running))

    async def _make(self, running: _Running) -> None:
        """One try of one line."""
        work, again_s = running.work, None
        way, keeper = self._ways[work.endpoint], self._lines.enter(work)
        carrier = self._carrier(running)
        try:
            await way.handle(carrier, "")
            if not keeper.kept:
                await self._answer(work, carrier.status, carrier.answered)
        except Left:
            again_s = await self._left(running, way)
        except Refusal as refusal:
            again_s = await self._refused(running, way, refusal)
        except Exception:
            log.exception("a line failed", extra={"batch": work.batch_id, "line": work.number})
            await self._tell(work, way, errors.INTERNAL("Something went wrong here."))
        finally:
            self._lines.leave(work)
            self._running.remove(running)
            mine = self._mine[work.batch_id]
            mine.running -= 1
            if again_s is not None:
                mine.last = 0
                mine.not_before_s = self._clock.monotonic_s() + again_s
            self.news.set()

    async def _left(self, running: _Running, way: Way) -> float | None:
        """Gives when its batch goes on, None where this changes nothing for it."""
        reason = running.leaving.reason
        if reason in (PREEMPTED, DRAINED):
            await self._put_back(running.work, begun=reason == PREEMPTED)
            return 0.0
        await self._tell(running.work, way, errors.KEY_REVOKED("The key of this batch has ended."))
        return None

    async def _refused(self, running: _Running, way: Way, refusal: Refusal) -> float | None:
        work = running.work
        if running.leaving.left and running.leaving.reason in (PREEMPTED, DRAINED):
            return await self._left(running, way)
        before = refusal.status in (429, 503)
        if refusal.entry.retryable and (before or work.attempts < _TRIES_MAX):
            await self._put_back(work, begun=not before)
            return (refusal.retry_after_ms or 0) / 1000 or _AGAIN_S
        await self._tell(work, way, refusal)
        return None

    async def _tell(self, work: Work, way: Way, refusal: Refusal) -> None:
        await self._answer(work, *way.told(refusal, work.request_id))

    async def _answer(self, work: Work, status: int, told: bytes) -> None:
        await self._writer.run(partial(store.answer, work=work, status=status, told=told))

    async def _put_back(self, work: Work, *, begun: bool) -> None:
        with suppress(Refusal):  # else it is, by whoever takes its batch over
            await self._writer.run(partial(store.put_back, work=work, begun=begun))

    def _carrier(self, running: _Running) -> Unattended:
        work = running.work
        return Unattended(
            work.request_id,
            work.request_id,
            ("POST", work.endpoint.encode("ascii")),
            {b"authorization": b"Bearer " + work.key_id.encode("ascii")},
            work.request,
            running.leaving,
            scope=EMBED if work.endpoint.endswith("embeddings") else GENERATE,
            arrived_s=self._clock.monotonic_s(),
        )

    def _make_room(self) -> None:
        """A quarter of the lines, the newest, of every model that somebody waits for."""
        for model in {each.model for each in self._running}:
            if not self._admission.is_waited_for(model):
                continue
            of_it = [
                each
                for each in self._running
                if each.model == model and not each.leaving.left and each.work.attempts < _TRIES_MAX
            ]
            for running in of_it[len(of_it) - (len(of_it) + 3) // 4 :]:
                running.leaving.leave(PREEMPTED)

    async def _leave(self) -> None:
        for running in list(self._running):
            running.leaving.leave(DRAINED)
        await self._tasks.finish()
        with suppress(Refusal):
            await self._writer.run(partial(store.let_go, owner=self._owner))


def _model_of(request: bytes) -> str:
    """ "" of what is no request; the door says what is wrong with it."""
    try:
        return _model.decode(request).model
    except msgspec.DecodeError:
        return ""
