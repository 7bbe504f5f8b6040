"""Asking the guard: at most so long, so many times at once, and not at all while it keeps failing."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from portico.canon.data_use import DataUse
from portico.canon.moderation import Item, Judgement
from portico.dialects.openai_moderations.upstream import Unreadable
from portico.engines.openai_compatible.server import Server
from portico.engines.transport.base import Call, Deadlines, Transport, TransportFailed
from portico.kit.clock import Clock
from portico.routing.health import Breaker
from portico.safety.guard.forms import Form
from portico.safety.judging import NOTHING

OnError = Literal["open", "closed"]
"""What becomes of a request when the guard does not answer: judged by the rules alone, or refused."""
Result = Literal["answered", "refused", "failed", "timed_out", "cut"]
_ANSWER_BYTES_MAX = 4_194_304
_ITS_FAULT_NOT = frozenset({400, 413, 422})
_TIMED_OUT = frozenset({"first_byte", "idle", "total"})
log = logging.getLogger(__name__)


class Observer(Protocol):
    """Who watches the counters.  Must not wait."""

    def tried(self, model: str, deployment: str, result: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Terms:
    """name: what answers and metrics call it.
    budget_s: for all calls of one request, waiting for a place included.
    at_once: calls under way, of all requests together.
    data_use: what whoever runs it does with texts."""

    name: str
    budget_s: float
    at_once: int
    on_error: OnError
    data_use: DataUse


class GuardAway(Exception):
    """It gave no judgement.  result: for the counters; refused: the text was not to its liking, which
    another try will not change."""

    def __init__(self, why: str, result: Result) -> None:
        super().__init__(why)
        self.result = result

    @property
    def refused(self) -> bool:
        return self.result == "refused"


class Guard:
    """One event loop owns this object."""

    def __init__(
        self,
        terms: Terms,
        form: Form,
        server: Server,
        transport: Transport,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self.terms = terms
        self.sees = form.sees
        self._form = form
        self._server = server
        self._transport = transport
        self._clock = clock
        self._observer = observer
        self._breaker = Breaker()
        self._places = asyncio.Semaphore(terms.at_once)
        whole_s = terms.budget_s
        self._deadlines = Deadlines(min(5.0, whole_s), whole_s, whole_s, whole_s, whole_s)

    async def judge(self, items: Sequence[Item]) -> list[Judgement]:
        """One for each item; of what it cannot judge, nothing.  Within the budget, whatever it does.

        Raises: GuardAway.
        """
        calls = self._form.calls(items)
        found = [NOTHING] * len(items)
        if not calls:
            return found
        epoch = self._begin()
        try:
            async with asyncio.timeout(self.terms.budget_s):
                answers = await self._all([[items[at] for at in places] for places in calls])
        except TimeoutError:
            raise self._failed(epoch, GuardAway("it took too long", "timed_out")) from None
        except GuardAway as away:
            raise self._failed(epoch, away) from away.__cause__
        except BaseException:
            self._breaker.unknown(epoch, self._clock.monotonic_s())
            self._count("cut")
            raise
        self._worked(epoch)
        self._count("answered")
        for places, judged in zip(calls, answers, strict=True):
            for at, judgement in zip(places, judged, strict=False):
                found[at] = judgement
        return found

    async def _all(self, calls: list[list[Item]]) -> list[list[Judgement]]:
        """Raises: GuardAway, the first one; the others are hung up on."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._ask(items)) for items in calls]
        except* GuardAway as many:
            raise _first(many) from None
        return [task.result() for task in tasks]

    async def _ask(self, items: list[Item]) -> list[Judgement]:
        async with self._places:
            said = await self._said(self._form.body(items))
        try:
            return self._form.read(said, items)
        except Unreadable as error:
            raise GuardAway(f"its answer was unusable: {error}", "failed") from None

    async def _said(self, body: bytes) -> bytes:
        server = self._server
        target = f"{server.base_path}/v1{self._form.path}"
        call = Call(server.origin, "POST", target, server.headers, body, self._deadlines)
        try:
            answer = await self._transport.send(call)
            try:
                said = await answer.read(_ANSWER_BYTES_MAX)
            finally:
                answer.close()
        except TransportFailed as failed:
            result: Result = "timed_out" if failed.stage in _TIMED_OUT else "failed"
            raise GuardAway(f"it broke off ({failed.stage})", result) from None
        if answer.status in _ITS_FAULT_NOT:
            raise GuardAway(f"it refuses the text (status {answer.status})", "refused")
        if answer.status != 200:
            raise GuardAway(f"it answered with status {answer.status}", "failed")
        return said

    # --- the breaker ----------------------------------------------------------------------------

    def _begin(self) -> int:
        """The epoch this try is in.  Raises: GuardAway."""
        breaker = self._breaker
        if breaker.state == "closed":
            return breaker.epoch
        if breaker.due(self._clock.monotonic_s()):
            return breaker.probe()
        raise GuardAway("it is left alone after failures", "failed")

    def _worked(self, epoch: int) -> None:
        epoch = self._breaker.answered(epoch)
        self._breaker.succeeded(epoch, self._clock.monotonic_s())

    def _failed(self, epoch: int, away: GuardAway) -> GuardAway:
        self._count(away.result)
        if away.refused:  # it works; it is the text
            self._worked(epoch)
            return away
        before = self._breaker.state
        self._breaker.failed(epoch, self._clock.monotonic_s())
        if before == "closed" and self._breaker.state == "open":  # once per outage, however long
            log.warning("the guard %s is left alone for a while: %s", self.terms.name, away)
        return away

    def _count(self, result: Result) -> None:
        self._observer.tried(self.terms.name, "guard", result)


def _first(many: ExceptionGroup[GuardAway]) -> GuardAway:
    """One that says something about the guard, before one that says something about a text."""
    each = [found for found in many.exceptions if isinstance(found, GuardAway)]
    return min(each, key=lambda found: found.refused)
