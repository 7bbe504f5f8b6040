"""How often a key may ask the admin API, and how often an address may try with one that is none."""

from portico.admin.throttle import Throttle
from portico.door.framing.forwarded import counted_as
from portico.kit.clock import Clock

_KNOWN_MAX = 10_000


class Turnstile:
    """Counts by minutes of the wall clock, each server for itself.  One event loop owns this object.

    Whose key was good here a moment ago is not kept out by others who fail from his address: behind
    a proxy that nobody has named to us, that is everybody's.
    """

    def __init__(self, clock: Clock, requests_per_minute: int, failures_per_minute: int) -> None:
        self._requests = Throttle(clock, requests_per_minute, "A key", "ask the admin API")
        self._failures = Throttle(clock, failures_per_minute, what="fail here")
        self._known: dict[bytes, str] = {}
        """Ids of keys that were good, by digest."""

    def enter(self, digest: bytes, address: str) -> None:
        """Before a key is looked for.  digest: with the newest pepper; b"" for what is no key.

        Raises: Refusal: requests_per_minute_exceeded.
        """
        key_id = self._known.get(digest)
        if key_id is None:
            self._failures.check(counted_as(address))
        else:
            self._requests.admit(key_id)

    def opened(self, digest: bytes, key_id: str) -> None:
        """It is a key.  Raises: Refusal: requests_per_minute_exceeded."""
        if digest in self._known:
            return
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
        self._known[digest] = key_id
        self._requests.admit(key_id)

    def failed(self, digest: bytes, address: str) -> None:
        """It is none, or none any more."""
        self._known.pop(digest, None)
        self._failures.note(counted_as(address))
