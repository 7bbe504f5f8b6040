"""How often somebody may ask what no limit of a customer's counts."""

from portico import errors
from portico.kit.clock import Clock

_KNOWN_MAX = 10_000


class Throttle:
    """Counts by minutes of the wall clock, each server for itself.  One event loop owns this object.

    who, what: in the words of a refusal.
    """

    def __init__(
        self, clock: Clock, per_minute: int, who: str = "An address", what: str = "ask this"
    ) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._who = who
        self._what = what
        self._minute = 0
        self._heard: dict[str, int] = {}

    def admit(self, name: str, remedy: str = "") -> None:
        """name: an address, or the id of a key.  Raises: Refusal: requests_per_minute_exceeded."""
        self._check(self.note(name), remedy)

    def note(self, name: str) -> int:
        """Counts him, whatever the limit is; gives how often he was counted before, this minute."""
        heard = self._heard_now().get(name, 0)
        self._heard[name] = heard + 1
        return heard

    def check(self, name: str) -> None:
        """As `admit`, of somebody who is not counted now."""
        self._check(self._heard_now().get(name, 0), "")

    def _heard_now(self) -> dict[str, int]:
        minute = self._clock.wall_ms() // 60_000
        if minute != self._minute or len(self._heard) >= _KNOWN_MAX:
            self._minute = minute
            self._heard.clear()
        return self._heard

    def _check(self, heard: int, remedy: str) -> None:
        if heard < self._per_minute:
            return
        raise errors.RATE_LIMITS["requests"](
            f"{self._who} may {self._what} {self._per_minute} times a minute.",
            limit=self._per_minute,
            retry_after_ms=60_000 - self._clock.wall_ms() % 60_000,
            remedy=remedy or "Wait for `Retry-After`.",
        )
