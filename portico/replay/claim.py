"""The claim of one request: collects its answer while it is sent, and says what becomes of it."""

from typing import Literal, Protocol

from portico.replay.model import Answer, Ended, Release, Wish
from portico.replay.rules import KEPT

NANO_DIGITS_MAX = 20
Lack = Literal["too_large", "no_room", "zero_retention"]
"""Why an answer that is whole is not kept."""


class Room(Protocol):
    """Where answers of a project are stored."""

    def take(self, count: int) -> bool:
        """False where there is no room for so many bytes."""
        ...

    def give_back(self, count: int) -> None: ...


class Observer(Protocol):
    """Who watches the counters.  Must not wait."""

    def keyed(self, outcome: str) -> None:
        """outcome: of a request that names a key: ran, replayed, or the code of its refusal."""
        ...

    def not_stored(self, reason: Lack) -> None:
        """An answer that would have been kept."""
        ...


class Claim:
    """Belongs to its journey.  What `end` gives is never changed, so the writer may read it.

    ended: its end is on the way to the database with the record of its request.
    """

    __slots__ = (
        "_answer",
        "_bytes",
        "_bytes_max",
        "_keep_ms",
        "_keeps",
        "_lacks",
        "_observer",
        "_parts",
        "_room",
        "_taken",
        "_wish",
        "ended",
        "goes_on",
    )

    def __init__(
        self,
        wish: Wish,
        room: Room,
        observer: Observer,
        *,
        bytes_max: int,
        keep_ms: int,
        content_ms_max: int | None = None,
    ) -> None:
        """bytes_max: a larger answer is not kept.  keep_ms: how long one is.
        content_ms_max: the longest its project lets anything be kept; 0: nothing is."""
        self.ended = False
        self.goes_on = False
        """What comes next of its answer is made by another request."""
        self._room = room
        self._observer = observer
        self._taken = 0
        self._lacks: Lack | None = None
        self._wish = wish
        self._keeps = content_ms_max != 0
        self._bytes_max = bytes_max if self._keeps else 0
        self._keep_ms = min(keep_ms, content_ms_max) if content_ms_max else keep_ms
        self._parts: list[bytes] = []
        self._bytes = 0
        self._answer: Answer | None = None

    def add(self, data: bytes) -> None:
        """A piece of the body, as it is sent."""
        self._bytes += len(data)
        if self._bytes <= self._bytes_max:
            self._parts.append(data)
        else:
            self._parts.clear()

    def complete(self, head: bytes, end: bytes, *, stream: bool, cost: bytes) -> None:
        """The answer is whole with `end`; the rest as in `Answer`."""
        if not self._keeps:
            self._lacks = "zero_retention"
            return
        body = self._bytes + len(end)
        if body > self._bytes_max:
            self._lacks = "too_large"
            return
        said = len(cost) + NANO_DIGITS_MAX if cost else 0
        if not self._room.take(len(head) + body + said):
            self._lacks = "no_room"
            return
        self._taken = len(head) + body + said
        self._answer = Answer(200, head, stream, b"".join(self._parts), cost, end)

    def end(self, outcome: str) -> Ended | None:
        """None: not yet."""
        if self.goes_on:
            return None
        self.ended = True
        if outcome not in KEPT:
            self._room.give_back(self._taken)
            return Ended(self._wish.request_id, None)
        if self._lacks is not None:
            self._observer.not_stored(self._lacks)
        return Ended(self._wish.request_id, self._keep_ms, self._answer)

    def release(self) -> Release:
        """What gives the key back where no record will."""
        return Release(self._wish.project_id, self._wish.key, self._wish.request_id)
