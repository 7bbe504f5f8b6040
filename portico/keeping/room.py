"""How much room each project has left for what it keeps in rows: counted as it is kept, weighed now
and then, and never waited for.

A counter in the database would be one more row that every settlement of a project changes.  Here the
limit is soft instead.  What this server keeps counts at once; what others keep on the same database,
and what was removed, is seen when the project is weighed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from portico.errors import Refusal
from portico.keeping.rules import no_room
from portico.kit.clock import Clock

_STEPS = 64
"""A project is weighed again once this server has added so much of what it may keep: others may have,
too."""
_FULL_EVERY_S = 15.0
"""How often one that is full is weighed: something may have gone."""
_PROJECTS_MAX = 50_000


@dataclass(slots=True)
class _Held:
    """weighed_bytes: None before the first time.  grown_bytes: by this server, since."""

    weighed_bytes: int | None = None
    grown_bytes: int = 0
    weighed_at_s: float = 0.0

    @property
    def size_bytes(self) -> int:
        return (self.weighed_bytes or 0) + self.grown_bytes


class Room:
    """Of all projects.  One event loop owns this object.

    bytes_max: that one project may keep; 0: none.
    """

    def __init__(self, bytes_max: int, clock: Clock) -> None:
        self._bytes_max = bytes_max
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._due: dict[str, None] = {}
        self._full: set[str] = set()

    @property
    def full(self) -> int:
        """Projects that keep as much as they may."""
        return len(self._full)

    def is_full(self, project_id: str) -> bool:
        """As far as is known: of a project that was never asked about, nothing is."""
        if project_id not in self._held:
            self._begin(project_id)
        return project_id in self._full

    def check(self, project_id: str, field: str | None = None, instead: str = "") -> None:
        """field: what asks for more to be kept.  instead: what to do if not that, for the remedy.

        Raises: Refusal: storage_quota_exceeded."""
        refusal = self.refusal(project_id, field, instead)
        if refusal is not None:
            raise refusal

    def refusal(
        self, project_id: str, field: str | None = None, instead: str = ""
    ) -> Refusal | None:
        """None where there is room."""
        if not self.is_full(project_id):
            return None
        return no_room(self._held[project_id].size_bytes, self._bytes_max, field, instead)

    def grew(self, project_id: str, size_bytes: int) -> None:
        """This server keeps so much more."""
        held = self._held.get(project_id) or self._begin(project_id)
        held.grown_bytes += size_bytes
        if held.grown_bytes * _STEPS >= self._bytes_max:
            self._due[project_id] = None
        self._judge(project_id, held)

    def shrank(self, project_id: str) -> None:
        """Something was removed here."""
        if project_id in self._full:
            self._due[project_id] = None

    def due(self) -> list[str]:
        """Projects that are to be weighed now."""
        before_s = self._clock.monotonic_s() - _FULL_EVERY_S
        found = dict.fromkeys([*self._due, *self._full])
        return [
            each for each in found if each in self._due or self._held[each].weighed_at_s <= before_s
        ]

    def weigh(self, project_id: str) -> Callable[[int], None]:
        """It begins now.  Call what this gives with what was found."""
        held = self._held.get(project_id) or self._begin(project_id)
        before = held.grown_bytes

        def found(size_bytes: int) -> None:
            held.weighed_bytes = size_bytes
            held.grown_bytes -= before  # what came meanwhile may not have been seen
            held.weighed_at_s = self._clock.monotonic_s()
            if self._held.get(project_id) is held:
                self._due.pop(project_id, None)
                self._judge(project_id, held)

        return found

    def _begin(self, project_id: str) -> _Held:
        if len(self._held) >= _PROJECTS_MAX:
            self._forget(next(iter(self._held)))
        held = self._held[project_id] = _Held()
        self._due[project_id] = None
        self._judge(project_id, held)
        return held

    def _forget(self, project_id: str) -> None:
        del self._held[project_id]
        self._due.pop(project_id, None)
        self._full.discard(project_id)

    def _judge(self, project_id: str, held: _Held) -> None:
        if held.size_bytes >= self._bytes_max:
            self._full.add(project_id)
        else:
            self._full.discard(project_id)
