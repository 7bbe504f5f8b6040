"""The waiting room: a concurrency cap per model, a bounded queue, a deadline on every entry.

One event loop owns this object.  The fast path (a free place) neither waits nor allocates a
future.  Overload therefore ends in 429 or 503 with Retry-After, never in growing memory.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from portico import errors
from portico.admission.holds import Holds, Purse
from portico.admission.rules import drain_estimate_ms, headroom_lines
from portico.callers.model import Caller
from portico.kit.clock import Clock
from portico.kit.leaving import Leaving, Left
from portico.pricing.offer import Offer

_FIRST_GUESS_RUN_MS = 2_000.0
_MEAN_WEIGHT = 0.05


class Destination(Protocol):
    """What admission needs to know about where a request goes."""

    @property
    def model(self) -> str: ...

    @property
    def places(self) -> int:
        """Requests of this model that may run at once."""
        ...


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """requests_max: waiting requests per model.  wait_s_max: longest wait before a refusal."""

    requests_max: int
    wait_s_max: float


class _Pool:
    """One model's places and the line in front of them."""

    __slots__ = ("mean_run_ms", "running", "waiting")

    def __init__(self) -> None:
        self.running = 0
        self.waiting: deque[asyncio.Future[None]] = deque()
        self.mean_run_ms = _FIRST_GUESS_RUN_MS


class Permit:
    """A place to run in, and the money set aside.  Given back exactly once, however often it is
    released; money that is being settled stays where it is."""

    __slots__ = ("_admission", "_caller", "_pool", "_since_s", "purse", "queue_ms")

    def __init__(
        self, admission: "Admission", pool: _Pool, caller: Caller, since_s: float, queue_ms: int
    ) -> None:
        self._admission: Admission | None = admission
        self._pool = pool
        self._caller = caller
        self._since_s = since_s
        self.queue_ms = queue_ms
        self.purse: Purse | None = None
        """What was set aside for it; None where nothing had to be."""

    def lines(self) -> bytes:
        """Header lines: what is left of the caller's limits while this one runs."""
        assert self._admission is not None
        lines = self._admission.places_lines(self._caller)
        if self.purse is None or self.purse.held.headroom is None:
            return lines
        return lines + headroom_lines(self.purse.held.headroom)

    def release(self) -> None:
        if self.purse is not None:
            self.purse.release()
        admission, self._admission = self._admission, None
        if admission is not None:
            admission.took_back(self._pool, self._caller, self._since_s)


class Admission:
    def __init__(self, limits: QueueLimits, clock: Clock, holds: Holds | None = None) -> None:
        """holds: None where nobody ever pays."""
        self._holds = holds
        self._limits = limits
        self._clock = clock
        self._pools: dict[str, _Pool] = {}
        self._open_per_key: dict[str, int] = {}
        self.draining = False
        self.storage_refusal: errors.Refusal | None = None
        """Set while usage cannot be recorded: admission closes first, settlement goes on."""

    @property
    def running(self) -> int:
        return sum(pool.running for pool in self._pools.values())

    @property
    def waiting(self) -> int:
        return sum(len(pool.waiting) for pool in self._pools.values())

    async def admit(
        self,
        request_id: str,
        caller: Caller,
        to: Destination,
        offer: Offer | None,
        leaving: Leaving,
    ) -> Permit:
        """A permit, at once or within the queue's deadline, with its worst case on disk.

        offer: what it may cost; None where it costs nothing.
        Raises: Refusal: concurrency_exceeded, credit_balance_exhausted,
        funds_held_by_in_flight_requests, ..._spend_limit_exceeded (429); overloaded,
        server_shutting_down, storage_unavailable (503); Left, when the client goes while waiting.
        """
        permit = await self._place(caller, to, leaving)
        if offer is not None and self._holds is not None:
            # Only now: money that waits in line would keep others from running.
            try:
                permit.purse = await self._holds.open(request_id, caller, offer)
            except errors.Refusal as refusal:
                if refusal.status == 429:  # made for this request alone
                    refusal.lines = permit.lines() + refusal.lines
                permit.release()
                raise
            except BaseException:
                permit.release()
                raise
        return permit

    def places_lines(self, caller: Caller) -> bytes:
        """Header lines about requests at once."""
        limit = caller.concurrency_max
        left = limit - self._open_per_key.get(caller.key_id, 0)
        return b"portico-concurrency-limit: %d\r\nportico-concurrency-remaining: %d\r\n" % (
            limit,
            left,
        )

    async def _place(self, caller: Caller, to: Destination, leaving: Leaving) -> Permit:
        self._check_open()
        open_requests = self._open_per_key.get(caller.key_id, 0)
        if open_requests >= caller.concurrency_max:
            refusal = self._over_share(caller, open_requests, to)
            refusal.lines = self.places_lines(caller)
            raise refusal
        pool = self._pools.get(to.model)
        if pool is None:
            pool = self._pools[to.model] = _Pool()
        self._open_per_key[caller.key_id] = open_requests + 1
        now_s = self._clock.monotonic_s()
        if pool.running < to.places and not pool.waiting:
            pool.running += 1
            return Permit(self, pool, caller, now_s, 0)
        try:
            await self._wait(pool, to, leaving)
        except BaseException:
            self._leave(caller)
            raise
        started_s = self._clock.monotonic_s()
        return Permit(self, pool, caller, started_s, round((started_s - now_s) * 1000))

    def took_back(self, pool: _Pool, caller: Caller, since_s: float) -> None:
        """A permit was released: hand its place to the head of the line."""
        ran_ms = (self._clock.monotonic_s() - since_s) * 1000
        pool.mean_run_ms += _MEAN_WEIGHT * (ran_ms - pool.mean_run_ms)
        self._leave(caller)
        self._hand_on(pool)

    def _check_open(self) -> None:
        if self.draining:
            raise errors.DRAINING(
                "This server is shutting down and takes no new requests.", retry_after_ms=2_000
            )
        if self.storage_refusal is not None:
            # The same object every time: without this it would collect the frames of them all.
            raise self.storage_refusal.with_traceback(None)

    async def _wait(self, pool: _Pool, to: Destination, leaving: Leaving) -> None:
        """Returns holding a place in `pool`."""
        if len(pool.waiting) >= self._limits.requests_max:
            raise self._overloaded(pool, to, f"{len(pool.waiting)} requests are waiting already")
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        pool.waiting.append(turn)
        deadline = loop.call_later(self._limits.wait_s_max, turn.cancel)
        try:
            with leaving:
                await turn
        except asyncio.CancelledError:
            if not deadline.cancelled() and deadline.when() <= loop.time():
                waited = f"none of {to.places} places came free in {self._limits.wait_s_max:g} s"
                raise self._overloaded(pool, to, waited) from None
            raise
        finally:
            deadline.cancel()
            self._step_out(
                pool, turn, kept=turn.done() and not turn.cancelled() and not leaving.left
            )
        if leaving.left:
            raise Left(leaving.reason)

    def _step_out(self, pool: _Pool, turn: "asyncio.Future[None]", *, kept: bool) -> None:
        """Leave the line.  A place that was handed over just as its taker left goes on."""
        if turn in pool.waiting:
            pool.waiting.remove(turn)
        elif not kept and turn.done() and not turn.cancelled():
            self._hand_on(pool)

    def _hand_on(self, pool: _Pool) -> None:
        while pool.waiting:
            turn = pool.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        pool.running -= 1

    def _leave(self, caller: Caller) -> None:
        left = self._open_per_key[caller.key_id] - 1
        if left:
            self._open_per_key[caller.key_id] = left
        else:
            del self._open_per_key[caller.key_id]

    def _over_share(self, caller: Caller, open_requests: int, to: Destination) -> errors.Refusal:
        pool = self._pools.get(to.model)
        return errors.CONCURRENCY(
            f"This key has {open_requests} requests open; it may have "
            f"{caller.concurrency_max} at once.",
            value=open_requests,
            limit=caller.concurrency_max,
            retry_after_ms=drain_estimate_ms(
                0, caller.concurrency_max, pool.mean_run_ms if pool else _FIRST_GUESS_RUN_MS
            ),
        )

    def _overloaded(self, pool: _Pool, to: Destination, why: str) -> errors.Refusal:
        return errors.OVERLOADED(
            f"The model {to.model!r} is busy: {why}.",
            field="model",
            value=to.model,
            limit=to.places,
            retry_after_ms=drain_estimate_ms(len(pool.waiting), to.places, pool.mean_run_ms),
        )
