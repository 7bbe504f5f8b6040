"""The claim of one request: collects its answer while it is sent, and says what becomes of it."""

from portico.replay.model import Answer, Ended, Release, Wish
from portico.replay.rules import KEPT


class Claim:
    """Belongs to its journey.  What `end` gives is never changed, so the writer may read it.

    ended: its end is on the way to the database with the record of its request.
    """

    __slots__ = ("_answer", "_bytes", "_bytes_max", "_keep_ms", "_parts", "_wish", "ended")

    def __init__(self, wish: Wish, *, bytes_max: int, keep_ms: int) -> None:
        """bytes_max: a larger answer is not kept.  keep_ms: how long one is."""
        self.ended = False
        self._wish = wish
        self._bytes_max = bytes_max
        self._keep_ms = keep_ms
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
        if self._bytes + len(end) <= self._bytes_max:
            self._answer = Answer(200, head, stream, b"".join(self._parts), cost, end)

    def end(self, outcome: str) -> Ended:
        self.ended = True
        if outcome not in KEPT:
            return Ended(self._wish.request_id, None)
        return Ended(self._wish.request_id, self._keep_ms, self._answer)

    def release(self) -> Release:
        """What gives the key back where no record will."""
        return Release(self._wish.project_id, self._wish.key, self._wish.request_id)
