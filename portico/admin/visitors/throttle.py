"""How often somebody may ask what no limit of a customer's counts."""

from portico import errors
from portico.kit.clock import Clock

_KNOWN_MAX = 10_000


class Throttle:
    """Counts by minutes of the wall clock, each server for itself.  One event loop owns this object.

    who: in the words of a refusal.
    """

    def __init__(self, clock: Clock, per_minute: int, who: str = "An address") -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._who = who
        self._minute = 0
        self._heard: dict[str, int] = {}

    def admit(self, name: str, remedy: str = "") -> None:
        """name: an address, or the id of a key.  Raises: Refusal: requests_per_minute_exceeded."""
        minute, past_ms = divmod(self._clock.wall_ms(), 60_000)
        if minute != self._minute or len(self._heard) >= _KNOWN_MAX:
            self._minute = minute
            self._heard.clear()
        self._heard[name] = self._heard.get(name, 0) + 1
        if self._heard[name] > self._per_minute:
            raise errors.RATE_LIMITS["requests"](
                f"{self._who} may ask this {self._per_minute} times a minute.",
                limit=self._per_minute,
                retry_after_ms=60_000 - past_ms,
                remedy=remedy or "Wait for `Retry-After`.",
            )
