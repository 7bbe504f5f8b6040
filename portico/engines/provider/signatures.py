"""Signatures of tool calls, kept for callers whose dialect has no place for them.

Chat clients send back what they know of a call, and that is its id.  (Other dialects carry the
signature themselves, sealed, to whichever server.)  Of this process alone; bounded in number, bytes
and age.  A signature that is gone is no failure, the provider is told so in the word it documents.
"""

from collections import OrderedDict

from portico.kit.clock import Clock

_AGE_S = 6 * 3600.0
_KEPT_MAX = 20_000
_BYTES_MAX = 32 * 1024 * 1024


class Signatures:
    """By project, and by ids of our own making, which nobody guesses."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], tuple[float, str]] = OrderedDict()
        self._bytes = 0

    def keep(self, project_id: str, call_id: str, signature: str) -> None:
        now_s = self._clock.monotonic_s()
        self._kept[project_id, call_id] = (now_s, signature)
        self._bytes += len(signature)
        while self._kept and self._is_too_much(now_s):
            _, (_, oldest) = self._kept.popitem(last=False)
            self._bytes -= len(oldest)

    def find(self, project_id: str, call_id: str) -> str:
        """ "" where there is none any more."""
        kept_s, signature = self._kept.get((project_id, call_id), (0.0, ""))
        return signature if signature and not self._is_old(kept_s) else ""

    def _is_too_much(self, now_s: float) -> bool:
        oldest_s, _ = next(iter(self._kept.values()))
        return len(self._kept) > _KEPT_MAX or self._bytes > _BYTES_MAX or now_s - oldest_s > _AGE_S

    def _is_old(self, kept_s: float) -> bool:
        return self._clock.monotonic_s() - kept_s > _AGE_S
