"""How often an address may ask where no key is asked for."""

from portico import errors
from portico.kit.clock import Clock

_ADDRESSES_MAX = 10_000


class Throttle:
    """Counts by minutes of the wall clock.  One event loop owns this object."""

    def __init__(self, clock: Clock, per_minute: int) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._minute = 0
        self._heard: dict[str, int] = {}

    def admit(self, address: str, remedy: str = "") -> None:
        """Raises: Refusal: requests_per_minute_exceeded."""
        minute, past_ms = divmod(self._clock.wall_ms(), 60_000)
        if minute != self._minute or len(self._heard) >= _ADDRESSES_MAX:
            self._minute = minute
            self._heard.clear()
        self._heard[address] = self._heard.get(address, 0) + 1
        if self._heard[address] > self._per_minute:
            raise errors.RATE_LIMITS["requests"](
                f"An address may ask this {self._per_minute} times a minute.",
                limit=self._per_minute,
                retry_after_ms=60_000 - past_ms,
                remedy=remedy or "Wait for `Retry-After`.",
            )
