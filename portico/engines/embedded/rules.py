"""When a dead child is restarted, and which requests are suspected of killing it.  Pure."""

from collections import OrderedDict, deque
from dataclasses import dataclass
from hashlib import blake2b

from portico.kit.backoff import exponential_s


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """deaths_max deaths within window_s open the circuit: no start for half_open_s, then one
    try, and a death within window_s of that try opens it again."""

    first_s: float = 0.2
    most_s: float = 10.0
    deaths_max: int = 5
    window_s: float = 60.0
    half_open_s: float = 30.0


class Restarts:
    """The deaths of one child line.  Times are monotonic seconds."""

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self._deaths: deque[float] = deque()
        self._opened_at: float | None = None
        self.circuit_open = False

    def died(self, now_s: float) -> float:
        """Note a death; gives the seconds to wait before the next start.  `circuit_open` says
        whether that is a back-off or the open circuit."""
        policy = self._policy
        self._deaths.append(now_s)
        while self._deaths[0] <= now_s - policy.window_s:
            self._deaths.popleft()
        tried_at = None if self._opened_at is None else self._opened_at + policy.half_open_s
        on_probation = tried_at is not None and now_s < tried_at + policy.window_s
        self.circuit_open = on_probation or len(self._deaths) >= policy.deaths_max
        if self.circuit_open:
            self._opened_at = now_s
            return policy.half_open_s
        self._opened_at = None
        return exponential_s(len(self._deaths), policy.first_s, policy.most_s)

    def trying(self) -> None:
        """The wait is over; a start is under way."""
        self.circuit_open = False


class Suspects:
    """Requests that were being answered when the child died, by digest of their body.

    Once: could be the culprit, or a neighbour of it; it is tried again, with no other suspect
    beside it, so that the next death has one suspect.  Twice: poison, and never sent again until
    it has been forgotten.  Remembers `kept` requests, each for `remembered_s`.
    """

    def __init__(self, kept: int = 256, remembered_s: float = 3_600.0) -> None:
        self._kept = kept
        self._remembered_s = remembered_s
        self._deaths: OrderedDict[bytes, tuple[int, float]] = OrderedDict()

    def __bool__(self) -> bool:
        """Is anybody suspected?  Asked on every request, so that a digest is made only then."""
        return bool(self._deaths)

    def deaths(self, body: bytes, now_s: float) -> int:
        """How many deaths `body` has seen."""
        digest = _digest(body)
        count, at_s = self._deaths.get(digest, (0, now_s))
        if at_s < now_s - self._remembered_s:
            del self._deaths[digest]
            return 0
        return count

    def blame(self, body: bytes, now_s: float) -> int:
        """The child died while answering `body`.  Gives the deaths it has seen by now."""
        count = self.deaths(body, now_s) + 1
        digest = _digest(body)
        self._deaths[digest] = (count, now_s)
        self._deaths.move_to_end(digest)
        while len(self._deaths) > self._kept:
            self._deaths.popitem(last=False)
        return count

    def clear(self, body: bytes) -> None:
        """It was answered, so it is no poison."""
        self._deaths.pop(_digest(body), None)


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=16).digest()
