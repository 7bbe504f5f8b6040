"""Works on lines of batches, with what nobody else needs: each is a journey of its own.

A line begins where its model has places to spare and nobody waits for one; whoever comes and has
to wait gets the place of the newest lines, which are made again later, at our cost.  Where little
is left of the time of its batch, a line waits in line like any request, and keeps its place.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from heapq import heapify, heappop, heapreplace

import msgspec
from sqlalchemy.exc import DBAPIError

from portico.admission.service import Admission
from portico.background.finishing import Finishing
from portico.background.lines import TRIES_MAX, Making, Running
from portico.background.validating import Validating
from portico.db.readers import Readers
from portico.db.writer import Writer
from portico.errors import Refusal
from portico.kit.clock import Clock
from portico.kit.ids import new_id
from portico.kit.leaving import DRAINED, PREEMPTED
from portico.kit.tasks import Tasks
from portico.resources.batches import store
from portico.resources.batches.model import CANCELLABLE, LINES_AT_ONCE, Batch, LineState, Work
from portico.resources.batches.rules import revoked_key

_TICK_S = 0.05
_REST_S = 1.0
_CLAIM_S = 5.0
_CLAIMED = 200
"""In one transaction."""
_STRAY_S = 1.0
"""How often lines that nobody works on are looked for, once nothing else is left of a batch."""
_AHEAD = 64
"""Lines of one batch that are looked at before they are taken."""
_HURRIED_PART = 8
"""Of its places so many parts, but one at least, may be asked for by lines in a hurry."""
_AGAIN_S = 2.0
log = logging.getLogger(__name__)

Revoked = Callable[[Collection[str]], Awaitable[set[str]]]


@dataclass(slots=True)
class _Mine:
    """A batch that this process works on.  ahead: lines that were looked at: number and model.
    not_before_s: until then none of its lines begins.  busy: with its beginning or its end.
    closed: what had not begun was told that it never will.
    hurried: little is left of its time."""

    batch: Batch
    ahead: list[tuple[int, str]] = field(default_factory=list)
    last: int = 0
    running: int = 0
    not_before_s: float = 0.0
    busy: bool = False
    closed: bool = False
    hurried: bool = False


class _Model(msgspec.Struct):
    model: str = ""


_model = msgspec.json.Decoder(_Model)


class Lane:
    """One event loop owns this object."""

    def __init__(
        self,
        making: Making,
        admission: Admission,
        places: Callable[[str], int],
        writer: Writer,
        readers: Readers,
        clock: Clock,
        validating: Validating,
        finishing: Finishing,
        *,
        revoked: Revoked,
        owner: str,
        coming: Collection[str],
        at_once: int,
        share: float,
        hurry_ms: int,
    ) -> None:
        """places: requests that may run at once for a model.  share: of them, that lines may take.
        at_once: lines that run, of all models.  coming: batches that this process writes down.
        hurry_ms: before its time is over a batch is in a hurry.  revoked: which of these keys are."""
        self._making = making
        self._admission = admission
        self._places = places
        self._writer = writer
        self._readers = readers
        self._clock = clock
        self._validating = validating
        self._finishing = finishing
        self._revoked = revoked
        self._owner = owner
        self._coming = coming
        self._at_once = at_once
        self._share = share
        self._hurry_ms = hurry_ms
        self._mine: dict[str, _Mine] = {}
        self._running: list[Running] = []
        self._claim_s = 0.0
        self._woken = asyncio.Event()
        self._tasks = Tasks(lambda failure: log.critical("in the lane", exc_info=failure))
        self._edges = Tasks(lambda failure: log.critical("in the lane", exc_info=failure))
        """Beginnings and ends of batches, which whoever comes next does again."""

    def hear(self) -> None:
        """There is a new batch, or one was cancelled, or has come further."""
        self._claim_s = 0.0
        self._woken.set()

    async def run(self) -> None:
        """For as long as this server runs.  Cancelled, it leaves its batches to whoever comes."""
        try:
            while True:
                try:
                    await self._tick()
                except (Refusal, DBAPIError) as error:
                    log.warning("batches wait: %s", error)
                    await asyncio.sleep(_REST_S)
                await self._pause()
        finally:
            await self._leave()

    async def _pause(self) -> None:
        idle = not self._mine
        with suppress(TimeoutError):
            async with asyncio.timeout(_REST_S if idle else _TICK_S):
                await self._woken.wait()

    async def _tick(self) -> None:
        self._woken.clear()
        now_s = self._clock.monotonic_s()
        if now_s >= self._claim_s:
            self._claim_s = now_s + _CLAIM_S
            await self._claim()
        self._make_room()
        for mine in list(self._mine.values()):
            await self._step(mine)
        if len(self._running) < self._at_once:
            await self._dispatch(now_s)

    async def _claim(self) -> None:
        owner = self._owner
        ids = await self._readers.run(partial(store.unclaimed, owner=owner, most=_CLAIMED))
        if ids:
            await self._writer.run(partial(store.claim, owner=owner, ids=ids))
            self._claim_s = 0.0  # there may be more of them
        claimed = await self._withdrawn(await self._readers.run(partial(store.owned, owner=owner)))
        there = {each.id for each in claimed}
        for batch in claimed:
            if batch.id in self._mine:
                self._mine[batch.id].batch = batch
                continue
            await self._recover(batch)
            self._mine[batch.id] = _Mine(batch)
        for gone in self._mine.keys() - there:
            if not self._mine[gone].running and not self._mine[gone].busy:
                del self._mine[gone]

    async def _withdrawn(self, claimed: list[Batch]) -> list[Batch]:
        """With those cancelled whose key was revoked: nothing of them costs its owner any more."""
        revoked = await self._revoked({each.credential_id for each in claimed})
        return [
            await self._cancelled(each)
            if each.credential_id in revoked and each.state in CANCELLABLE
            else each
            for each in claimed
        ]

    async def _cancelled(self, batch: Batch) -> Batch:
        told = [revoked_key()]
        now_ms = self._clock.wall_ms()
        cancelling = {"state": "cancelling", "cancelling_at_ms": now_ms}
        change = partial(store.change, of=batch, states=CANCELLABLE)
        await self._writer.run(partial(change, values={**cancelling, "errors": store.words(told)}))
        return replace(batch, state="cancelling", cancelling_at_ms=now_ms, errors=told)

    async def _recover(self, batch: Batch) -> None:
        working = [each.work.request_id for each in self._running]
        again, lost = await self._writer.run(partial(store.recover, of=batch, working=working))
        if again or lost:
            log.warning("%s goes on: %d lines anew, %d lost", batch.id, again, lost)

    async def _step(self, mine: _Mine) -> None:
        batch = mine.batch
        if mine.busy:
            return
        if batch.is_coming:
            await self._forsake(batch)
        elif batch.state == "validating":
            self._begin(mine, self._validating.validate)
        elif batch.state == "finalizing":
            self._begin(mine, self._finishing.finish)
        elif batch.state == "cancelling":
            await self._close(mine, "cancelled")
        elif self._is_over(batch):
            await self._close(mine, "expired")

    async def _forsake(self, batch: Batch) -> None:
        """Not all of it came, and nobody was told of it: it goes as what has expired does."""
        if batch.id in self._coming:
            return
        now_ms = self._clock.wall_ms()
        gone = {"state": "failed"} | dict.fromkeys(
            ("ended_at_ms", "announced_at_ms", "expires_at_ms"), now_ms
        )
        await self._writer.run(partial(store.change, of=batch, states=("validating",), values=gone))
        del self._mine[batch.id]

    def _begin(self, mine: _Mine, work: Callable[[Batch], Awaitable[None]]) -> None:
        async def done() -> None:
            try:
                await work(mine.batch)
            except (Refusal, DBAPIError) as error:
                log.warning("%s waits: %s", mine.batch.id, error)
                await asyncio.sleep(_AGAIN_S)
            except Exception:
                # Tried again: a batch whose end nobody hears of is worse than a log full of this.
                log.exception("a batch goes no further", extra={"batch": mine.batch.id})
                await asyncio.sleep(_CLAIM_S)
            finally:
                mine.busy = False
                self.hear()

        mine.busy = True
        self._edges.start(done())

    async def _close(self, mine: _Mine, state: LineState) -> None:
        """Nothing of it begins any more; what was put back meanwhile neither."""
        if mine.closed and mine.running:
            return
        some = partial(store.resolve_waiting, of=mine.batch, state=state, most=LINES_AT_ONCE)
        if await self._writer.run(some) == LINES_AT_ONCE:  # in pieces, between which others write
            self._woken.set()
            return
        mine.closed = True
        mine.ahead.clear()
        if not mine.running:
            await self._end(mine)

    async def _end(self, mine: _Mine) -> None:
        """All its lines have ended, as far as this process knows."""
        now_s = self._clock.monotonic_s()
        if now_s < mine.not_before_s:
            return
        if await self._finishing.begin(mine.batch):
            self.hear()
            return
        mine.not_before_s = now_s + _STRAY_S
        await self._recover(mine.batch)

    # -- lines -------------------------------------------------------------------------------

    async def _dispatch(self, now_s: float) -> None:
        """Lines, while there are places to spare."""
        chosen: dict[str, list[int]] = {}
        models: dict[tuple[str, int], str] = {}
        for mine, number, model in await self._choose(now_s):
            chosen.setdefault(mine.batch.id, []).append(number)
            models[mine.batch.id, number] = model
        for batch_id, numbers in chosen.items():
            mine = self._mine[batch_id]
            taken = await self._writer.run(
                partial(
                    store.take,
                    of=mine.batch,
                    owner=self._owner,
                    numbers=numbers,
                    draw=lambda: new_id("req"),
                )
            )
            for work in taken:
                self._start(mine, work, models[batch_id, work.number])

    async def _choose(self, now_s: float) -> list[tuple[_Mine, int, str]]:
        """Which lines begin: their numbers, and their models.  Projects take turns, and then their
        batches: whose fewest lines are under way comes first, the oldest of them, so that one who has
        sent a hundred batches does not make the others wait."""
        hurried_ms = self._clock.wall_ms() + self._hurry_ms
        ready = [each for each in self._mine.values() if self._goes_on(each, now_s)]
        for each in ready:
            each.hurried = each.batch.due_at_ms < hurried_ms
        under_way = Counter(each.work.project_id for each in self._running)
        under_way.update(each.work.batch_id for each in self._running)
        turns = [(_turn(under_way, each), each) for each in ready]
        heapify(turns)
        spare: dict[str, int] = {}
        found: list[tuple[_Mine, int, str]] = []
        while turns and len(self._running) + len(found) < self._at_once:
            turn, mine = turns[0]
            now = _turn(under_way, mine)
            if now != turn:  # another batch of its project was faster
                heapreplace(turns, (now, mine))
                continue
            line = await self._next(mine, spare)
            if line is None:
                heappop(turns)
                continue
            found.append((mine, *line))
            under_way.update((mine.batch.project_id, mine.batch.id))
        return found

    def _goes_on(self, mine: _Mine, now_s: float) -> bool:
        batch = mine.batch
        ready = not mine.busy and now_s >= mine.not_before_s
        return ready and batch.state == "in_progress" and not self._is_over(batch)

    def _is_over(self, batch: Batch) -> bool:
        return self._clock.wall_ms() >= batch.due_at_ms

    async def _next(self, mine: _Mine, spare: dict[str, int]) -> tuple[int, str] | None:
        """A line whose model has a place to spare; it is not looked at again."""
        if not mine.ahead:
            await self._look_ahead(mine)
        of_models = self._making.ways[mine.batch.endpoint].of_models
        for at, (number, model) in enumerate(mine.ahead):
            if not of_models:
                del mine.ahead[at]
                return number, ""
            if model not in spare:
                spare[model] = self._spare(model)
            if spare[model] > 0 or (mine.hurried and self._may_wait(model, spare[model])):
                spare[model] -= 1
                del mine.ahead[at]
                return number, model
        return None

    def _may_wait(self, model: str, spare: int) -> bool:
        """For a place that is not there.  spare: less than none, as many as were chosen already."""
        waiting = sum(each.model == model and each.hurried for each in self._running)
        return waiting - min(spare, 0) < self._hurried_most(model)

    def _hurried_most(self, model: str) -> int:
        return max(1, self._places(model) // _HURRIED_PART)

    def _spare(self, model: str) -> int:
        """Lines that are being read take places soon, and admission does not know of them yet."""
        coming = sum(each.model == model and not each.keeper.read for each in self._running)
        return self._admission.spare(model, self._places(model), self._share) - coming

    async def _look_ahead(self, mine: _Mine) -> None:
        """More lines; where there are none behind the last one, those that wait again."""
        batch = mine.batch
        read = partial(store.waiting, of=batch, after=mine.last, most=_AHEAD)
        found = await self._readers.run(read, tenant=batch.organisation_id)
        if not found and mine.last:
            mine.last = 0
            return
        if not found and not mine.running:
            await self._end(mine)
            return
        mine.ahead = [(number, _model_of(request)) for number, request in found]
        mine.last = found[-1][0] if found else 0

    def _start(self, mine: _Mine, work: Work, model: str) -> None:
        running = self._making.begin(work, model, hurried=mine.hurried)
        self._running.append(running)
        mine.running += 1
        self._tasks.start(self._make(running))

    async def _make(self, running: Running) -> None:
        again_s = None
        mine = self._mine[running.work.batch_id]
        try:
            again_s = await self._making.make(running)
        finally:
            self._running.remove(running)
            mine.running -= 1
            if again_s is not None:
                mine.last = 0
                mine.not_before_s = self._clock.monotonic_s() + again_s
            self._woken.set()

    def _make_room(self) -> None:
        """A quarter of the lines, the newest, of every model that somebody waits for; of those in a
        hurry a few stay."""
        for model in {each.model for each in self._running}:
            if not self._admission.is_waited_for(model):
                continue
            hurried = [each for each in self._running if each.model == model and each.hurried]
            stay = hurried[: self._hurried_most(model)]
            of_it = [
                each
                for each in self._running
                if each.model == model and each not in stay and self._may_leave(each)
            ]
            for running in of_it[len(of_it) - (len(of_it) + 3) // 4 :]:
                running.leaving.leave(PREEMPTED)

    def _may_leave(self, running: Running) -> bool:
        return not running.leaving.left and running.work.attempts < TRIES_MAX

    async def _leave(self) -> None:
        self._making.closing = True
        for running in list(self._running):
            running.leaving.leave(DRAINED)
        await self._tasks.finish()
        await self._edges.close()
        with suppress(Refusal):
            await self._writer.run(partial(store.let_go, owner=self._owner))


def _turn(under_way: Counter[str], mine: _Mine) -> tuple[int, int, str]:
    batch = mine.batch
    return under_way[batch.project_id], under_way[batch.id], batch.id


def _model_of(request: bytes) -> str:
    """ "" of what is no request; the door says what is wrong with it."""
    try:
        return _model.decode(request).model
    except (ValueError, RecursionError):
        return ""
