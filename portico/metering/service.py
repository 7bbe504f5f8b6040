"""Every admitted request that ends leaves exactly one record, however it ends.

`open` starts it, `count` adds to it, `settle` ends it; `run` writes down where the open ones stand,
so that a killed process loses at most two seconds of counting.  A request that is not a stream and is
killed with the process (`kill -9`) within 0.25 s of its admission leaves no record; a stream only
where no commit of anybody's came in between.  The sweeper gives its hold back, nothing is charged.
"""

import asyncio
import logging
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Protocol

import msgspec

from portico import errors
from portico.admission.holds import Purse
from portico.callers.model import Caller
from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.canon.usage import Usage
from portico.db.lane import Row
from portico.db.writer import Writer
from portico.keeping.model import Kept
from portico.kit.clock import Clock
from portico.ledger.model import Settled
from portico.metering.bill import settlement_of
from portico.metering.model import Closing, Outcome
from portico.metering.rounds import Rounds
from portico.metering.rules import finish_word, storable
from portico.metering.store import UsageLane, close_abandoned
from portico.replay.claim import Claim

_TICK_S = 1 / 32
_IDLE_TICK_S = 0.25
"""While nothing is open."""
_FIRST_S = 0.25 - _TICK_S
_ROUND_S = 1.75
"""A checkpoint goes with anybody's commit, of which there is one in 0.25 s: 2 s in all."""
_SETTLE_S_MAX = 10.0
log = logging.getLogger(__name__)


class Keeper(Protocol):
    """Collects what is kept of a request."""

    def end(self, outcome: str) -> Kept | None:
        """What is kept now that it has ended so.  Never changed after this: the writer's thread
        reads it."""
        ...


class Arriving(Protocol):
    """What metering needs of the request at the door."""

    @property
    def request_id(self) -> str: ...

    @property
    def arrived_s(self) -> float: ...

    @property
    def claim(self) -> Claim | None: ...

    @property
    def keeper(self) -> Keeper | None: ...


class Queued(Protocol):
    """What metering needs of a permit."""

    @property
    def queue_ms(self) -> int: ...

    @property
    def purse(self) -> Purse | None: ...


class Observer(Protocol):
    """Who watches the counters.  Must not wait."""

    def admitted(self, model: str) -> None: ...

    def settled(
        self, model: str, outcome: str, input_tokens: int, output_tokens: int, ttft_ms: int | None
    ) -> None: ...


class Unwatched:
    """Nobody does."""

    def admitted(self, model: str) -> None:
        return

    def settled(
        self, model: str, outcome: str, input_tokens: int, output_tokens: int, ttft_ms: int | None
    ) -> None:
        return


UNWATCHED = Unwatched()


def _kept_of(keeper: Keeper, outcome: Outcome, request_id: str) -> Kept | None:
    """Whatever cannot be kept, the record has to be closed and what was set aside settled."""
    try:
        return keeper.end(outcome)
    except Exception:
        log.exception("nothing is kept of a request", extra={"request_id": request_id})
        return None


class OpenRecord:
    """The record of a request under way.  Belongs to its journey; once `ending` is set nothing
    in it changes, so the writer's thread may read it."""

    __slots__ = (
        "_arrived_s",
        "_caller",
        "_claim",
        "_clock",
        "_dialect",
        "_first_token_s",
        "_keeper",
        "_queue_ms",
        "_started_at_ms",
        "_stream",
        "checkpoint_due_s",
        "closing",
        "deployment",
        "ending",
        "id",
        "model",
        "purse",
        "settled",
        "usage",
    )

    def __init__(
        self, arrival: Arriving, caller: Caller, prompt: Prompt, permit: Queued, clock: Clock
    ) -> None:
        now_s = clock.monotonic_s()
        self.id = arrival.request_id
        self.deployment = ""
        self.usage = Usage(prompt.input_tokens_guess)
        self.ending: tuple[Outcome, float] | None = None
        """How it ended and when (monotonic seconds)."""
        self.checkpoint_due_s = now_s
        self.purse = permit.purse
        """What was set aside; None where nothing had to be."""
        self.closing: Closing | None = None
        """What goes with its end, once it has ended."""
        self.settled: Settled | None = None
        """What came of that; None while it is under way, or where it could only be spooled."""
        self._caller = caller
        self._claim = arrival.claim
        self._keeper = arrival.keeper
        self._clock = clock
        self._dialect = prompt.dialect
        self.model = prompt.model
        self._stream = prompt.stream
        self._queue_ms = permit.queue_ms
        self._arrived_s = arrival.arrived_s
        self._started_at_ms = clock.wall_ms() - round((now_s - arrival.arrived_s) * 1000)
        self._first_token_s: float | None = None

    def count(self, delta: Delta) -> None:
        """Add what was generated.  What the engine says replaces what we counted."""
        usage = self.usage
        usage.started = True
        meters = delta.meters
        if meters is not None:
            # In this order: a checkpoint taken between the two says less, never more.
            usage.counted_output = 0
            usage.told = meters
        elif delta.output_tokens:
            usage.counted_output += delta.output_tokens
        if self._first_token_s is None and (delta.output_tokens or meters is not None):
            self._first_token_s = self._clock.monotonic_s()
        if delta.finish:
            usage.finish = delta.finish
        if delta.last:
            usage.completed = True

    @property
    def output_tokens(self) -> int:
        """Generated so far."""
        usage = self.usage
        told = 0 if usage.told is None else usage.told.output_tokens
        return told + usage.counted_output

    def end(self, outcome: Outcome, now_s: float) -> None:
        """Nothing changes after this; what was set aside is on its way to be settled."""
        purse, settlement = self.purse, None
        if purse is not None:
            purse.resolved = True
            usage, caller = self.usage, self._caller
            settlement = settlement_of(
                self.id,
                outcome,
                purse.offer.quote,
                usage.meters() if usage.started else None,
                caller.project_id,
                caller.key_id,
            )
        claim = None if self._claim is None else self._claim.end(outcome)
        kept = None if self._keeper is None else _kept_of(self._keeper, outcome, self.id)
        # In one assignment: a commit that settled and left the key open would be charged twice.
        self.closing = Closing(settlement, claim, kept)
        self.ending = (outcome, now_s)  # last: the writer's thread reads what goes with it

    @property
    def ttft_ms(self) -> int | None:
        """Arrival to first token; None while there is none."""
        if self._first_token_s is None:
            return None
        return round((self._first_token_s - self._arrived_s) * 1000)

    def row(self) -> Row:
        """As it stands, in the order of the table's columns.  Called on the writer's thread."""
        outcome, until_s = self.ending or ("running", self._clock.monotonic_s())
        usage = self.usage
        caller = self._caller
        return (
            self.id,
            caller.organisation_id,
            caller.project_id,
            caller.key_id,
            caller.mode,
            self._dialect,
            self.model,
            self.deployment,
            int(self._stream),
            outcome,
            finish_word(usage.finish),
            *storable(msgspec.structs.astuple(usage.meters())),
            int(usage.started and usage.estimated),
            self._started_at_ms,
            self._queue_ms,
            self.ttft_ms,
            round((until_s - self._arrived_s) * 1000),
        )


class Metering:
    """Made before `writer.start()`; `recover` once after it, then `run` for as long as it serves."""

    def __init__(self, writer: Writer, clock: Clock, observer: Observer = UNWATCHED) -> None:
        self._writer = writer
        self._observer = observer
        self._clock = clock
        self._open = Rounds[OpenRecord](first_s=_FIRST_S, round_s=_ROUND_S, tick_s=_TICK_S)
        self._settling: deque[tuple[float, asyncio.Future[Settled | None]]] = deque()
        self._lane = UsageLane(clock)
        self._owed: list[OpenRecord] = []
        """Ended, but the writer had no room: put again with every tick."""
        writer.add_lane(self._lane)

    @property
    def open_count(self) -> int:
        return len(self._open)

    def open(self, arrival: Arriving, caller: Caller, prompt: Prompt, permit: Queued) -> OpenRecord:
        """Start a record.  A stream's goes with the next commit of anybody's; another's with the
        next tick of `run`.  Both within 0.25 s, or with its end: most requests are written once.

        Raises: Refusal: storage_unavailable, and there is no record.
        """
        record = OpenRecord(arrival, caller, prompt, permit, self._clock)
        now_s = self._clock.monotonic_s()
        if prompt.stream:
            self._writer.put_later(self._lane, record)
            self._open.written(record, now_s)
        else:
            self._open.enter(record, now_s)
        self._observer.admitted(prompt.model)
        return record

    async def settle(self, record: OpenRecord, outcome: Outcome) -> None:
        """End the record; returns once it is durable.  A second call changes nothing.

        It is queued before anything here waits: a caller that is cancelled leaves it written.
        Raises: Refusal: storage_unavailable, when neither the database nor the spool took it in
        10 s; it is still tried.
        """
        now_s = self._clock.monotonic_s()
        if record.ending is None:
            record.end(outcome, now_s)
            self._open.leave(record)
            meters = record.usage.meters()
            self._observer.settled(
                record.model, outcome, meters.input_tokens, meters.output_tokens, record.ttft_ms
            )
        durable = self._writer.ack()
        try:
            self._writer.put(self._lane, record, durable)
        except errors.Refusal:
            self._owed.append(record)
            raise
        self._settling.append((now_s, durable))
        settled = await durable
        if settled is not None:
            record.settled = settled

    async def recover(self, started_before_ms: int | None = None) -> int:
        """Close what an earlier process left running; how many.  Before the first `open`.

        started_before_ms: wall clock; None closes all, which is right under the server's lock.
        On a database that several servers share it keeps the others' live records out.
        Raises: Refusal: storage_unavailable.
        """
        return await self._writer.run(partial(close_abandoned, started_before_ms=started_before_ms))

    async def run(self) -> None:
        """Checkpoint open records, and let no settlement wait for ever.  Ends when cancelled."""
        while True:
            await asyncio.sleep(_TICK_S if self._open else _IDLE_TICK_S)
            now_s = self._clock.monotonic_s()
            with suppress(errors.Refusal):  # no room: there is another tick
                self.checkpoint(now_s)
            self._release_overdue(now_s)

    def checkpoint(self, now_s: float) -> None:
        """Queue the state of every open record that is due by `now_s`.  Raises: Refusal."""
        while self._owed:
            self._writer.put(self._lane, self._owed[-1])
            self._owed.pop()
        for record in self._open.first(now_s):
            self._writer.put(self._lane, record)
            self._open.written(record, now_s)
        for record in self._open.turn(now_s):
            self._writer.put_later(self._lane, record)
            self._open.written(record, now_s)

    def _release_overdue(self, now_s: float) -> None:
        while self._settling:
            queued_s, durable = self._settling[0]
            if not durable.done():
                if now_s - queued_s < _SETTLE_S_MAX:
                    return
                durable.set_exception(
                    errors.STORAGE_UNAVAILABLE(
                        "The usage of this request could not be recorded in time.",
                        retry_after_ms=2_000,
                    )
                )
            self._settling.popleft()
