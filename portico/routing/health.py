"""How a deployment does, whether it is sent requests, and how many may be tried twice.

Pure: the time comes in with every call, in seconds of the monotonic clock.  `tries` asks, and says
what became of each try.
"""

from collections.abc import Iterable
from typing import Literal

from portico.kit.backoff import exponential_s

State = Literal["closed", "half_open", "open"]
"""closed: sent requests.  open: left alone.  half_open: one request is finding out."""

FAILURES_IN_A_ROW = 5
"""After so many a breaker opens."""
_REST_FIRST_S = 1.0
_REST_MOST_S = 10.0
_PROVEN = 20
"""Answers in a row after which the next rest is short again."""

_SLICE_S = 5.0
_SLICES = 6
JUDGED_FROM = 30
"""Tries within the window (30 s) before their share of failures means anything."""
SHARE_MAX = 0.1
"""Failures a deployment may have where its siblings do better: what the retry budget can carry."""
_WORSE_THAN_SIBLINGS = 2.0

RETRY_SHARE = 0.1
"""Second tries per request, in the long run: an outage costs engines at most so much more load."""
RETRIES_PER_S = 1.0
"""What a quiet model may try again all the same."""
RETRIES_MAX = 100.0
"""Second tries that can be saved up, for the moment when an engine dies with requests under way."""


class Window:
    """Tries and failures of the last 30 s, in slices of 5."""

    __slots__ = ("_ends_s", "_failed", "_newest", "_slot", "_tried")

    def __init__(self) -> None:
        self._tried = [0] * _SLICES
        self._failed = [0] * _SLICES
        self._newest = 0
        """Number of the slice that is being filled, counted from the clock's zero."""
        self._slot = 0
        """Where it is kept."""
        self._ends_s = _SLICE_S

    def add(self, failed: bool, now_s: float) -> None:
        if now_s >= self._ends_s:
            self._move_on(now_s)
        self._tried[self._slot] += 1
        if failed:
            self._failed[self._slot] += 1

    def clear(self) -> None:
        self._tried = [0] * _SLICES
        self._failed = [0] * _SLICES

    def counts(self, now_s: float) -> tuple[int, int]:
        """(tries, failures)."""
        if now_s >= self._ends_s:
            self._move_on(now_s)
        return sum(self._tried), sum(self._failed)

    def _move_on(self, now_s: float) -> None:
        """To the slice of `now_s`, with what is too old forgotten."""
        number = int(now_s // _SLICE_S)
        for passed in range(max(self._newest + 1, number - _SLICES + 1), number + 1):
            self._tried[passed % _SLICES] = self._failed[passed % _SLICES] = 0
        self._newest = number
        self._slot = number % _SLICES
        self._ends_s = (number + 1) * _SLICE_S


class Breaker:
    """Of one deployment.

    `epoch` changes with every change of state.  A try brings back the one it began in, so that what
    began before an outage says nothing about the time after it.
    """

    __slots__ = (
        "_in_a_row",
        "_proven",
        "_strikes",
        "_until_s",
        "epoch",
        "running",
        "state",
        "window",
    )

    def __init__(self) -> None:
        self.state: State = "closed"
        self.epoch = 0
        self.running = 0
        """Tries under way."""
        self.window = Window()
        self._in_a_row = 0
        self._proven = 0
        self._strikes = 0
        self._until_s = 0.0

    @property
    def rests_until_s(self) -> float:
        return self._until_s

    def due(self, now_s: float) -> bool:
        """Is it time to find out with one request?"""
        return self.state == "open" and now_s >= self._until_s

    def probe(self) -> int:
        """That one request begins; its epoch."""
        return self._turn("half_open")

    def answered(self, epoch: int) -> int:
        """A try has its first delta.  Gives the epoch it is in from now on."""
        if epoch != self.epoch or self.state == "closed":
            return epoch
        self._in_a_row = self._proven = 0
        self.window.clear()
        return self._turn("closed")

    def succeeded(self, epoch: int, now_s: float) -> None:
        """A try that was answered has ended well."""
        if epoch != self.epoch:
            return
        self.window.add(False, now_s)
        self._in_a_row = 0
        if self._strikes:
            self._proven += 1
            if self._proven >= _PROVEN:
                self._strikes = 0

    def failed(self, epoch: int, now_s: float) -> None:
        if epoch != self.epoch:
            return
        if self.state == "half_open":
            self.open(now_s)
        elif self.state == "closed":
            self.window.add(True, now_s)
            self._in_a_row += 1
            self._proven = 0
            if self._in_a_row >= FAILURES_IN_A_ROW:
                self.open(now_s)

    def unknown(self, epoch: int, now_s: float) -> None:
        """A try ended before it was known how the deployment does: the caller left.  If it was the
        one to find out, the next one does."""
        if epoch == self.epoch and self.state == "half_open":
            self._until_s = now_s
            self._turn("open")

    def open(self, now_s: float) -> None:
        self._strikes += 1
        self._until_s = now_s + exponential_s(self._strikes, _REST_FIRST_S, _REST_MOST_S)
        self._turn("open")

    def _turn(self, state: State) -> int:
        self.state = state
        self.epoch += 1
        return self.epoch


def is_outlier(breaker: Breaker, siblings: Iterable[Breaker], now_s: float) -> bool:
    """Does it fail much more often than its siblings, one of which at least is there to take over?

    What all of them fail at is no fault of any one: then none is taken out.
    """
    tried, failed = breaker.window.counts(now_s)
    if tried < JUDGED_FROM or failed <= SHARE_MAX * tried:
        return False
    there = [sibling for sibling in siblings if sibling.state == "closed"]
    if not there:
        return False
    counts = [sibling.window.counts(now_s) for sibling in there]
    they_tried = sum(each for each, _ in counts)
    they_failed = sum(each for _, each in counts)
    return failed * they_tried >= _WORSE_THAN_SIBLINGS * they_failed * tried


class RetryBudget:
    """Of one model: an outage must not multiply the load on what is left.

    Whatever happens, in t seconds at most RETRY_SHARE * requests + RETRIES_PER_S * t + RETRIES_MAX
    second tries are made.
    """

    __slots__ = ("_as_of_s", "_saved")

    def __init__(self, now_s: float) -> None:
        self._saved = RETRIES_MAX
        self._as_of_s = now_s

    def earn(self) -> None:
        """One more request."""
        if self._saved < RETRIES_MAX:
            self._saved += RETRY_SHARE

    def affords(self, now_s: float) -> bool:
        """Is there one second try left?"""
        if self._saved < 1.0:
            self._rise(now_s)
        return self._saved >= 1.0

    def spend(self, now_s: float) -> bool:
        """Take one second try; False where none is left."""
        self._rise(now_s)
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True

    def _rise(self, now_s: float) -> None:
        passed_s = max(0.0, now_s - self._as_of_s)
        self._saved = min(RETRIES_MAX, self._saved + RETRIES_PER_S * passed_s)
        self._as_of_s = now_s
