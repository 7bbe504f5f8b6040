"""Places that may be held at once, and the line in front of them: bounded in length and in time.

How many places there are is asked whenever somebody wants in: they shrink while what is behind them
is away, and grow back.  Places that came back without anybody leaving are noticed within `LOOK_S`.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from portico import errors
from portico.admission.rules import drain_estimate_ms
from portico.kit.leaving import Leaving, Left

LOOK_S = 0.1
FIRST_GUESS_RUN_MS = 2_000.0
_MEAN_WEIGHT = 0.05


class Destination(Protocol):
    """What admission needs to know about where a request goes."""

    @property
    def model(self) -> str: ...

    @property
    def places(self) -> int:
        """Requests that may run at once where this one may go; at least 1."""
        ...

    @property
    def places_in_all(self) -> int:
        """The same for all requests of this model, wherever they may go."""
        ...


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """requests_max: waiting requests per model.  wait_s_max: longest wait before a refusal."""

    requests_max: int
    wait_s_max: float


class _Turn:
    __slots__ = ("came", "to")

    def __init__(self, came: "asyncio.Future[None]", to: Destination) -> None:
        self.came = came
        self.to = to


class Line:
    """Of one model.  One event loop owns this object."""

    __slots__ = ("_limits", "_looking", "_subject", "mean_run_ms", "running", "waiting")

    def __init__(self, limits: QueueLimits, subject: str) -> None:
        """subject: what waits, in the plural."""
        self.running = 0
        self.waiting: deque[_Turn] = deque()
        self.mean_run_ms = FIRST_GUESS_RUN_MS
        self._limits = limits
        self._subject = subject
        self._looking = False

    def enter(self, to: Destination) -> bool:
        """Take a place that is free and that nobody waits for."""
        if self.waiting or self.running >= to.places:
            return False
        self.running += 1
        return True

    async def wait(self, to: Destination, leaving: Leaving) -> None:
        """Returns holding a place.  Raises: Refusal: overloaded; Left."""
        if len(self.waiting) >= self._limits.requests_max:
            raise self._overloaded(to, f"{len(self.waiting)} {self._subject} are waiting already")
        loop = asyncio.get_running_loop()
        turn = _Turn(loop.create_future(), to)
        self.waiting.append(turn)
        self._watch(loop)
        deadline = loop.call_later(self._limits.wait_s_max, turn.came.cancel)
        try:
            with leaving:
                await turn.came
        except asyncio.CancelledError:
            if not deadline.cancelled() and deadline.when() <= loop.time():
                waited = f"none of {to.places} places came free in {self._limits.wait_s_max:g} s"
                raise self._overloaded(to, waited) from None
            raise
        finally:
            deadline.cancel()
            came = turn.came.done() and not turn.came.cancelled()
            self._step_out(turn, came=came, kept=came and not leaving.left)
        if leaving.left:
            raise Left(leaving.reason)

    def give_back(self, ran_ms: float) -> None:
        """A place, that was held for so long."""
        self.mean_run_ms += _MEAN_WEIGHT * (ran_ms - self.mean_run_ms)
        if self.waiting:
            self._hand_on()
        else:
            self.running -= 1

    def _step_out(self, turn: _Turn, *, came: bool, kept: bool) -> None:
        """Leave the line.  A place that was handed over just as its taker left goes on."""
        if turn in self.waiting:
            self.waiting.remove(turn)
        elif came and not kept:
            self._hand_on()

    def _hand_on(self) -> None:
        """The head of the line gets this place, wherever it was; else whoever may go to one place
        only would wait for as long as others keep the rest busy."""
        self.running -= 1
        if not self.waiting:
            return
        head = self._head()
        if head is not None and self.running < head.to.places_in_all:
            self._let_in(head)
        self._look()

    def _look(self) -> None:
        """Let in whom there is a place for."""
        while (head := self._head()) is not None and self.running < head.to.places:
            self._let_in(head)

    def _head(self) -> _Turn | None:
        """Those whose wait is over are passed over; they are about to step out."""
        while self.waiting and self.waiting[0].came.done():
            self.waiting.popleft()
        return self.waiting[0] if self.waiting else None

    def _let_in(self, head: _Turn) -> None:
        self.waiting.popleft()
        self.running += 1
        head.came.set_result(None)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """As long as somebody waits: nobody tells the line that a deployment is back."""
        if not self._looking:
            self._looking = True
            loop.call_later(LOOK_S, self._watched, loop)

    def _watched(self, loop: asyncio.AbstractEventLoop) -> None:
        self._looking = False
        self._look()
        if self.waiting:
            self._watch(loop)

    def _overloaded(self, to: Destination, why: str) -> errors.Refusal:
        places = to.places
        return errors.OVERLOADED(
            f"The model {to.model!r} is busy: {why}.",
            field="model",
            value=to.model,
            limit=places,
            retry_after_ms=drain_estimate_ms(len(self.waiting), places, self.mean_run_ms),
        )


class Shares:
    """What each key has open, so that none takes all there is; and each project, organisation and
    model that has a limit."""

    __slots__ = ("_subject", "open")

    def __init__(self, subject: str) -> None:
        """subject: what is open, in the plural."""
        self.open: dict[str, int] = {}
        self._subject = subject

    def left(self, name: str, limit: int) -> int:
        return limit - self.open.get(name, 0)

    def take(self, name: str, limit: int, mean_run_ms: float, whose: str = "This key") -> None:
        """name: of what is limited.  mean_run_ms: how long one is held, as far as is known.

        Raises: Refusal: concurrency_exceeded."""
        now = self.open.get(name, 0)
        if now >= limit:
            raise errors.CONCURRENCY(
                f"{whose} has {now} {self._subject} open; it may have {limit} at once.",
                value=now,
                limit=limit,
                retry_after_ms=drain_estimate_ms(0, limit, mean_run_ms),
            )
        self.open[name] = now + 1

    def give_back(self, name: str) -> None:
        now = self.open[name] - 1
        if now:
            self.open[name] = now
        else:
            del self.open[name]
