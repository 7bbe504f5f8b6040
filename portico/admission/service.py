"""The waiting room: a concurrency cap per model, a bounded queue, a deadline on every entry.

One event loop owns this object.  The fast path (a free place) neither waits nor allocates a
future.  Overload therefore ends in 429 or 503 with Retry-After, never in growing memory.
"""

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from portico import errors
from portico.admission.holds import Holds, Purse
from portico.admission.line import FIRST_GUESS_RUN_MS, Destination, Line, QueueLimits, Shares
from portico.admission.rules import headroom_lines
from portico.callers.model import Caller
from portico.canon.usage import NOTHING, Usage
from portico.kit.clock import Clock
from portico.kit.leaving import Leaving
from portico.pricing.offer import Offer
from portico.rates.model import AtOnce, Standing
from portico.rates.service import Allowance, Rates

_SUBJECT = "requests"


class Permit(msgspec.Struct, eq=False):
    """A place to run in, and the money set aside.  Given back exactly once, however often it is
    released; money that is being settled stays where it is.  (A msgspec struct, as all that is
    made once per request.)

    purse: what was set aside for it; None where nothing had to be.
    allowance: what it took of limits per minute; None where there are none.
    used: what it uses, once it runs: by that the allowance is settled.
    """

    _admission: "Admission | None"
    _line: Line
    _caller: Caller
    _shares: Sequence[str]
    _since_s: float
    queue_ms: int
    purse: Purse | None = None
    allowance: Allowance | None = None
    used: Usage | None = None

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
            admission.took_back(self._line, self._shares, self._since_s)
            if self.allowance is not None:
                self.allowance.settle(NOTHING if self.used is None else self.used.meters())

    def withdraw(self) -> None:
        """Release it as if it had never been asked for."""
        allowance, self.allowance = self.allowance, None
        self.release()
        if allowance is not None:
            allowance.undo()


class Admission:
    def __init__(
        self,
        limits: QueueLimits,
        clock: Clock,
        holds: Holds | None = None,
        rates: Rates | None = None,
    ) -> None:
        """holds: None where nobody ever pays.  rates: None where nothing is limited by time."""
        self._holds = holds
        self._rates = rates
        self._limits = limits
        self._clock = clock
        self._lines: dict[str, Line] = {}
        self._shares = Shares(_SUBJECT)
        self.draining = False
        self.storage_refusal: errors.Refusal | None = None
        """Set while usage cannot be recorded: admission closes first, settlement goes on."""

    @property
    def running(self) -> int:
        return sum(line.running for line in self._lines.values())

    @property
    def waiting(self) -> int:
        return sum(len(line.waiting) for line in self._lines.values())

    def spare(self, model: str, places: int, share: float) -> int:
        """How many more may run for those who can wait: none while anybody else waits, and so that
        of `places` a part stays free for whoever comes next; one where nothing runs at all."""
        line = self._lines.get(model)
        if self.draining or self.storage_refusal is not None:
            return 0
        if line is None or (not line.running and not line.waiting):
            return max(1, int(places * share))
        return 0 if line.waiting else max(0, int(places * share) - line.running)

    def is_waited_for(self, model: str) -> bool:
        line = self._lines.get(model)
        return line is not None and bool(line.waiting)

    async def admit(
        self,
        request_id: str,
        caller: Caller,
        to: Destination,
        offer: Offer | None,
        leaving: Leaving,
        input_tokens: int = 0,
    ) -> Permit:
        """A permit, at once or within the queue's deadline, with its worst case on disk.

        offer: what it may cost; None where it costs nothing.  input_tokens: as guessed.
        Raises: Refusal: concurrency_exceeded, ..._per_minute_exceeded, credit_balance_exhausted,
        funds_held_by_in_flight_requests, ..._spend_limit_exceeded (429); overloaded,
        server_shutting_down, storage_unavailable (503); Left, when the client goes while waiting.
        """
        rates = self._rates
        if rates is None or not rates.limits_anybody:
            permit = await self._place(caller, to, leaving)
        else:
            permit = await self._limited(rates, caller, to, leaving, input_tokens)
        if offer is not None and self._holds is not None:
            # Only now: money that waits in line would keep others from running.
            try:
                permit.purse = await self._holds.open(request_id, caller, offer)
            except errors.Refusal as refusal:
                if permit.allowance is not None and refusal.status == 429:  # made for it alone
                    refusal.standing = permit.allowance.standing
                permit.release()
                raise
            except BaseException:
                permit.release()
                raise
        return permit

    async def _limited(
        self, rates: Rates, caller: Caller, to: Destination, leaving: Leaving, input_tokens: int
    ) -> Permit:
        """A place, within limits per minute: those first, so that whoever is over them is not
        heard in the line."""
        self._check_open()
        allowance = await rates.take(caller, to.model, input_tokens)
        try:
            permit = await self._place(caller, to, leaving, rates.at_once(caller, to.model))
        except BaseException as error:
            if allowance is not None:
                if isinstance(error, errors.Refusal) and error.status == 429:
                    error.standing = allowance.standing
                allowance.settle(NOTHING)
            raise
        permit.allowance = allowance
        return permit

    def places_lines(self, caller: Caller) -> bytes:
        """Header lines about requests at once."""
        limit = caller.concurrency_max
        return _places_lines(limit, self._shares.left(caller.key_id, limit))

    async def standing(self, caller: Caller) -> Standing | None:
        """What is left of limits per minute for all models together; None: nothing limits them."""
        rates = self._rates
        if rates is None or not rates.limits_anybody:
            return None
        return await rates.standing(caller)

    async def _place(
        self, caller: Caller, to: Destination, leaving: Leaving, also: Sequence[AtOnce] = ()
    ) -> Permit:
        self._check_open()
        line = self._lines.get(to.model)
        mean_run_ms = FIRST_GUESS_RUN_MS if line is None else line.mean_run_ms
        shares = self._take_shares(caller, also, mean_run_ms)
        if line is None:
            line = self._lines[to.model] = Line(self._limits, _SUBJECT)
        now_s = self._clock.monotonic_s()
        if line.enter(to):
            return Permit(self, line, caller, shares, now_s, 0)
        try:
            await line.wait(to, leaving)
        except BaseException:
            self._give_back(shares)
            raise
        started_s = self._clock.monotonic_s()
        return Permit(self, line, caller, shares, started_s, round((started_s - now_s) * 1000))

    def _take_shares(
        self, caller: Caller, also: Sequence[AtOnce], mean_run_ms: float
    ) -> Sequence[str]:
        """What is open under each name, one more; all of them or none."""
        taken: tuple[str, ...] = ()
        try:
            if not caller.patient:
                self._shares.take(caller.key_id, caller.concurrency_max, mean_run_ms)
                taken = (caller.key_id,)
            for limit in also:
                self._shares.take(limit.name, limit.most, mean_run_ms, limit.whose)
                taken += (limit.name,)
        except errors.Refusal:
            self._give_back(taken)
            raise
        return taken

    def _give_back(self, shares: Sequence[str]) -> None:
        for name in shares:
            self._shares.give_back(name)

    def took_back(self, line: Line, shares: Sequence[str], since_s: float) -> None:
        """A permit was released: its place goes to the head of the line."""
        self._give_back(shares)
        line.give_back((self._clock.monotonic_s() - since_s) * 1000)

    def _check_open(self) -> None:
        if self.draining:
            raise errors.DRAINING(
                "This server is shutting down and takes no new requests.", retry_after_ms=2_000
            )
        if self.storage_refusal is not None:
            # The same object every time: without this it would collect the frames of them all.
            raise self.storage_refusal.with_traceback(None)


@lru_cache(maxsize=1_024)
def _places_lines(limit: int, left: int) -> bytes:
    """Of small numbers, which come again and again."""
    return b"portico-concurrency-limit: %d\r\nportico-concurrency-remaining: %d\r\n" % (limit, left)
