"""Free questions at once (token counts, moderations): an engine or a guard is asked for them outside its
places, so they have a cap of their own.  A free question must neither drown an engine nor wait behind
what is paid for."""

from dataclasses import dataclass

from portico.admission.line import Line, QueueLimits, Shares
from portico.callers.model import Caller
from portico.kit.clock import Clock
from portico.kit.leaving import Leaving


@dataclass(frozen=True, slots=True)
class CountLimits:
    """per_key, per_model: counts at once; those of a model beyond it wait in line, as `queue` says."""

    per_key: int
    per_model: int
    queue: QueueLimits


@dataclass(frozen=True, slots=True)
class _Desk:
    """Where counts of one model are made; see `line.Destination`."""

    model: str
    places: int

    @property
    def places_in_all(self) -> int:
        return self.places


class Place:
    """Of one count.  Given back exactly once, however often it is released."""

    __slots__ = ("_counts", "_key_id", "_line", "_since_s")

    def __init__(self, counts: "Counts", line: Line, key_id: str, since_s: float) -> None:
        self._counts: Counts | None = counts
        self._line = line
        self._key_id = key_id
        self._since_s = since_s

    def release(self) -> None:
        counts, self._counts = self._counts, None
        if counts is not None:
            counts.took_back(self._line, self._key_id, self._since_s)


class Counts:
    """One event loop owns this object."""

    def __init__(self, limits: CountLimits, clock: Clock, subject: str = "token counts") -> None:
        """subject: what is asked for, in the plural."""
        self._limits = limits
        self._clock = clock
        self._subject = subject
        self._lines: dict[str, Line] = {}
        self._shares = Shares(subject)

    async def enter(self, caller: Caller, model: str, leaving: Leaving) -> Place:
        """Raises: Refusal: concurrency_exceeded (429), overloaded (503); Left."""
        limits = self._limits
        line = self._lines.get(model)
        if line is None:
            line = self._lines[model] = Line(limits.queue, self._subject)
        self._shares.take(caller.key_id, limits.per_key, line.mean_run_ms)
        desk = _Desk(model, limits.per_model)
        try:
            if not line.enter(desk):
                await line.wait(desk, leaving)
        except BaseException:
            self._shares.give_back(caller.key_id)
            raise
        return Place(self, line, caller.key_id, self._clock.monotonic_s())

    def took_back(self, line: Line, key_id: str, since_s: float) -> None:
        self._shares.give_back(key_id)
        line.give_back((self._clock.monotonic_s() - since_s) * 1000)
