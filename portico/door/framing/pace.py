"""How slowly a body may come: only the time that somebody waits for it counts."""

from portico import errors
from portico.door.limits import EdgeLimits


class Pace:
    """in_stretches: of a body that may be as long as it likes: the time it has is not for all of it,
    but for each stretch, in which it has to keep its pace anew."""

    __slots__ = ("_counted_bytes", "_in_stretches", "_limits", "_since_s")

    def __init__(self, limits: EdgeLimits, *, in_stretches: bool) -> None:
        self._limits = limits
        self._in_stretches = in_stretches
        self._since_s = 0.0
        self._counted_bytes = 0

    def wait(self, now_s: float) -> None:
        """Somebody waits from now on."""
        self._since_s += now_s

    def rest(self, now_s: float) -> None:
        """Nobody waits for a while: what comes later is not late."""
        self._since_s -= now_s

    def late(self, now_s: float, received_bytes: int) -> errors.Refusal | None:
        """While somebody waits; received_bytes: so far.  None where there is still hope."""
        limits = self._limits
        waited_s = now_s - self._since_s
        came_bytes = received_bytes - self._counted_bytes
        if waited_s >= limits.body_grace_s and came_bytes < waited_s * limits.body_bytes_per_s_min:
            return self._refused(
                f"The body arrives more slowly than {limits.body_bytes_per_s_min} bytes/s.",
                received_bytes,
                limits.body_bytes_per_s_min,
            )
        if waited_s < limits.body_read_s:
            return None
        if self._in_stretches and came_bytes:
            self._since_s, self._counted_bytes = now_s, received_bytes
            return None
        return self._refused(
            f"The body was not complete after {limits.body_read_s:g} s."
            if not self._in_stretches
            else f"Nothing of the body has come for {limits.body_read_s:g} s.",
            received_bytes,
            limits.body_read_s,
        )

    def _refused(self, says: str, received_bytes: int, limit: float) -> errors.Refusal:
        return errors.BODY_TIMEOUT(says, value=received_bytes, limit=limit)
