"""Money set aside before a request runs, and more of it while a stream goes on.

Every hold of one commit shares its few statements; a request waits for that commit and for nothing
else.  A hold that is never settled is given back by `Purse.release`, and one whose process died by
the sweeper: neither costs the customer anything.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

from msgspec.structs import replace

from portico import errors
from portico.admission.budgets import Budgets
from portico.admission.rules import short_lines, shortage
from portico.callers.model import Caller
from portico.db.lane import Row
from portico.db.transaction import Transaction
from portico.db.writer import Writer
from portico.kit.clock import Clock
from portico.ledger import service as ledger
from portico.ledger.model import Held, Settlement, Short, Wish
from portico.pricing.offer import Offer

Item = tuple[Literal["hold", "extend"], Wish] | tuple[Literal["void"], str]


class OutOfFunds(Exception):
    """The next window of a stream could not be set aside: the answer ends here.

    refusal: why, in the words of the catalogue.
    """

    def __init__(self, refusal: errors.Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class HoldLane:
    """What the writer does with holds: see `db.lane.Lane`.

    owner: the serving process that answers for its holds.
    """

    name = "hold"

    def __init__(self, clock: Clock, owner: str) -> None:
        self._clock = clock
        self._owner = owner

    def write(
        self, transaction: Transaction, items: Sequence[Item]
    ) -> Sequence[Held | Short | None]:
        now_ms = self._clock.wall_ms()
        wishes = [item[1] for item in items if item[0] == "hold"]
        held = iter(ledger.hold(transaction, wishes, now_ms, self._owner) if wishes else ())
        raises = [item[1] for item in items if item[0] == "extend"]
        raised = iter(ledger.extend(transaction, raises, now_ms) if raises else ())
        # Last: a hold and the wish to give it back may share a commit.
        voids = [Settlement(item[1], "void", None) for item in items if item[0] == "void"]
        if voids:
            ledger.settle(transaction, voids, now_ms)
        answers = {"hold": held, "extend": raised, "void": iter([None] * len(items))}
        return [next(answers[item[0]]) for item in items]

    def keep(self, item: Item) -> Row | None:
        """Nothing: without the database nothing is set aside, and what is lost is swept."""
        return None

    def restore(self, transaction: Transaction, rows: Sequence[Row]) -> None:
        return

    def bare(self, row: Row) -> Row:
        return row


class Purse:
    """What is set aside for one request.  Belongs to its journey."""

    __slots__ = ("_holds", "_more", "_wish", "covers_tokens", "held", "offer", "resolved")

    def __init__(self, holds: "Holds", wish: Wish, held: Held, offer: Offer) -> None:
        self.held = held
        self.offer = offer
        self.covers_tokens = offer.covers_tokens
        """Output tokens that what is held pays for."""
        self.resolved = False
        """Its settlement is on its way: nothing is left to give back."""
        self._holds = holds
        self._wish = wish
        self._more: asyncio.Future[Held | Short | None] | None = None

    async def cover(self, output_tokens: int) -> None:
        """See that what is held pays for the output so far, and ask for more in good time.

        Waits only where a stream has outrun the answer of the database.  Raises: OutOfFunds.
        """
        window_tokens = self.offer.window_tokens
        if not window_tokens or 2 * (self.covers_tokens - output_tokens) > window_tokens:
            return
        try:
            if self.held.amount_nano < self.offer.worst_nano and self._more is None:
                self._more = self._holds.ask_for_more(self._wish, self._next_nano(output_tokens))
            if self._more is not None and (
                self._more.done() or output_tokens >= self.covers_tokens
            ):
                await self._take(output_tokens)
        except errors.Refusal:
            # The database is away: what runs may finish, and what it costs above its hold is the
            # operator's loss.  It is asked again a window later.
            self._more = None
            self.covers_tokens += window_tokens

    def release(self) -> None:
        """Give back what was never settled.  Without effect after a settlement."""
        if not self.resolved:
            self.resolved = True
            self._holds.void(self._wish.request_id)

    def _next_nano(self, output_tokens: int) -> int:
        """The hold as it should be after the next extension: a burst may need several windows."""
        offer = self.offer
        missing_tokens = max(0, output_tokens - self.covers_tokens)
        windows = 1 + missing_tokens // offer.window_tokens
        return min(self.held.amount_nano + windows * offer.window_nano, offer.worst_nano)

    async def _take(self, output_tokens: int) -> None:
        more = self._more
        assert more is not None
        answer = await more
        if isinstance(answer, Held):
            self._more = None
            gained_nano = answer.amount_nano - self.held.amount_nano
            self.held = answer
            self.covers_tokens += (
                gained_nano * self.offer.window_tokens // max(1, self.offer.window_nano)
            )
        elif answer is not None and output_tokens >= self.covers_tokens:
            # What is held already is used to its end first; it is no money that may come back.
            in_flight_nano = max(0, answer.in_flight_nano - self.held.amount_nano)
            short = replace(answer, in_flight_nano=in_flight_nano)
            raise OutOfFunds(self._holds.refusal(short, self.offer.window_nano))


class Holds:
    """Made before `writer.start()`.  One event loop owns this object."""

    def __init__(
        self, writer: Writer, budgets: Budgets, clock: Clock, owner: str, *, ttl_ms: int
    ) -> None:
        """ttl_ms: after this an open hold belongs to the sweeper; longer than any request."""
        self._writer = writer
        self._budgets = budgets
        self._clock = clock
        self._ttl_ms = ttl_ms
        self._lane = HoldLane(clock, owner)
        writer.add_lane(self._lane)

    async def open(self, request_id: str, caller: Caller, offer: Offer) -> Purse:
        """Returns once the hold is on disk.

        Raises: Refusal: credit_balance_exhausted, funds_held_by_in_flight_requests,
        ..._spend_limit_exceeded (429); storage_unavailable (503).
        """
        limits = self._budgets.limits(caller)
        wish = Wish(
            request_id,
            caller.organisation_id,
            offer.first_nano,
            limits,
            offer.text,
            self._ttl_ms,
        )
        answered = self._writer.ack()
        self._writer.put(self._lane, ("hold", wish), answered)
        try:
            answer = await answered
        except asyncio.CancelledError:
            self.void(request_id)  # it may be on disk, and nobody else knows of it
            raise
        if isinstance(answer, Short):
            raise self.refusal(answer, offer.first_nano)
        return Purse(self, wish, answer, offer)

    def ask_for_more(self, wish: Wish, amount_nano: int) -> "asyncio.Future[Held | Short | None]":
        raised = replace(wish, amount_nano=amount_nano)
        answered = self._writer.ack()
        self._writer.put(self._lane, ("extend", raised), answered)
        return answered

    def void(self, request_id: str) -> None:
        """Give the hold back with the next commit.  Where even that fails, the sweeper does it."""
        with suppress(errors.Refusal):
            self._writer.put(self._lane, ("void", request_id))

    def refusal(self, short: Short, amount_nano: int) -> errors.Refusal:
        refusal = shortage(short, amount_nano, self._clock.wall_ms())
        refusal.lines = short_lines(short)
        return refusal
