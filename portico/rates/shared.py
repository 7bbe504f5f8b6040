"""Counted in Valkey, for all servers together; each counts for itself while it is away.

One script counts all windows of a request, or none of them.  Valkey says what time it is, so servers
whose clocks differ share one window.  It never holds money, and nobody waits for it for longer than
the timeout: then, and for a moment after, each server keeps to its share of every limit.
"""

import asyncio
import logging
from collections.abc import Sequence

from valkey.asyncio import Valkey
from valkey.exceptions import ValkeyError

from portico.kit.clock import Clock
from portico.kit.tasks import Tasks
from portico.rates.counters import NOW, Local, Needs
from portico.rates.model import Count, Window
from portico.rates.window import SLOT_S, SLOTS, WINDOW_S

_PREFIX = "portico:rate:"
_SERVERS = "portico:servers"
_HEARTBEAT_S = 2.0
_DEAD_AFTER_S = 10.0
_AWAY_S = 1.0
"""After it failed to answer, it is left alone for so long."""
_SERVERS_MAX = 1_000
_OWED_MAX = 10_000
log = logging.getLogger(__name__)

_TAKE = """
local now = redis.call('TIME')
local slot = math.floor((now[1] + now[2] / 1000000) / tonumber(ARGV[1]))
local slots = tonumber(ARGV[2])
local first = slot - slots + 1
local found, fits = {slot}, 1
for i, key in ipairs(KEYS) do
  local limit, need = tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2])
  local wanted = math.max(need, 1)
  local pairs_ = redis.call('HGETALL', key)
  local used, counts, stale = 0, {}, {}
  for j = 1, #pairs_, 2 do
    local at = tonumber(pairs_[j])
    if at < first then
      stale[#stale + 1] = pairs_[j]
    else
      used = used + tonumber(pairs_[j + 1])
      counts[#counts + 1] = {at, tonumber(pairs_[j + 1])}
    end
  end
  if #stale > 0 then redis.call('HDEL', key, unpack(stale)) end
  local wait = 0
  if used + wanted > limit then
    fits = 0
    wait = slots
    table.sort(counts, function(a, b) return a[1] < b[1] end)
    local over = used + wanted - limit
    for _, entry in ipairs(counts) do
      over = over - entry[2]
      if over <= 0 then
        wait = entry[1] + slots - slot
        break
      end
    end
  end
  found[#found + 1] = used
  found[#found + 1] = wait
end
if fits == 1 then
  for i, key in ipairs(KEYS) do
    redis.call('HINCRBY', key, slot, ARGV[2 * i + 2])
    redis.call('EXPIRE', key, 90)
  end
end
found[#found + 1] = fits
return found
"""
_CORRECT = """
local slot = tonumber(ARGV[1])
if slot < 0 then
  local now = redis.call('TIME')
  slot = math.floor((now[1] + now[2] / 1000000) / tonumber(ARGV[3]))
end
redis.call('HINCRBY', KEYS[1], slot, ARGV[2])
redis.call('EXPIRE', KEYS[1], 90)
return 0
"""


class Shared:
    """One event loop owns this object."""

    def __init__(
        self, valkey: Valkey, server: str, clock: Clock, tasks: Tasks, *, timeout_s: float
    ) -> None:
        """server: what this process is called among the others."""
        self._valkey = valkey
        self._server = server
        self._clock = clock
        self._tasks = tasks
        self._timeout_s = timeout_s
        self._take = valkey.register_script(_TAKE)
        self._correct = valkey.register_script(_CORRECT)
        self._local = Local()
        self._away_until_s = 0.0
        self._owed: list[tuple[Window, int, float]] = []
        self.servers = 1
        """That share the limits, as last heard."""
        self.fallbacks = 0
        """Requests this server counted for itself because Valkey was away."""

    async def take(self, needs: Needs) -> tuple[bool, list[Count]]:
        now_s = self._clock.monotonic_s()
        if now_s >= self._away_until_s:
            try:
                async with asyncio.timeout(self._timeout_s):
                    said = await self._take(
                        keys=[_PREFIX + window.name for window, _ in needs], args=_arguments(needs)
                    )
            except (ValkeyError, OSError, TimeoutError) as error:
                self._lost(now_s, error)
            else:
                fits, counts = _told(said, needs)
                if fits:
                    self._local.note(needs, now_s)
                if self._owed:
                    self._tasks.start(self._pay())
                return fits, counts
        self.fallbacks += 1
        fits, counts = self._local.take(needs, now_s, self.servers)
        if fits:
            self._owe(needs)
        return fits, counts

    def correct(self, changes: Sequence[tuple[Window, int, int]]) -> None:
        now_s = self._clock.monotonic_s()
        for window, slot, change in changes:
            self._local.correct(window, NOW, change, now_s)
            if now_s >= self._away_until_s:
                self._tasks.start(self._send(window, slot, change))

    async def run(self) -> None:
        """Tell the others that this server is there, and hear how many they are; for ever."""
        while True:
            try:
                await self._beat()
            except (ValkeyError, OSError, TimeoutError) as error:
                self._lost(self._clock.monotonic_s(), error)
            await asyncio.sleep(_HEARTBEAT_S)

    async def close(self) -> None:
        await self._valkey.aclose()

    async def _beat(self) -> None:
        async with asyncio.timeout(_HEARTBEAT_S):
            seconds, micros = await self._valkey.time()
            now_s = seconds + micros / 1_000_000
            async with self._valkey.pipeline(transaction=True) as together:
                together.zadd(_SERVERS, {self._server: now_s})
                together.zremrangebyscore(_SERVERS, "-inf", now_s - _DEAD_AFTER_S)
                together.zcard(_SERVERS)
                *_, known = await together.execute()
        self.servers = min(max(1, int(known)), _SERVERS_MAX)

    def _owe(self, needs: Needs) -> None:
        """Valkey is told later what was let through without it, or others would let it through
        again.  What was owed for longer than a window does not count any more."""
        until_s = self._clock.monotonic_s() + WINDOW_S
        self._owed.extend((window, need, until_s) for window, need in needs if need)
        del self._owed[:-_OWED_MAX]

    async def _pay(self) -> None:
        owed, self._owed = self._owed, []
        now_s = self._clock.monotonic_s()
        together: dict[str, tuple[Window, int]] = {}
        for window, need, until_s in owed:
            if until_s > now_s:
                known = together.get(window.name, (window, 0))[1]
                together[window.name] = (window, known + need)
        for window, need in together.values():
            await self._send(window, NOW, need)

    async def _send(self, window: Window, slot: int, change: int) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._correct(keys=[_PREFIX + window.name], args=[slot, change, SLOT_S])
        except (ValkeyError, OSError, TimeoutError) as error:
            self._lost(self._clock.monotonic_s(), error)

    def _lost(self, now_s: float, error: Exception) -> None:
        if now_s >= self._away_until_s:
            log.warning(
                "Valkey is away (%s); this server keeps to a %d. of each limit",
                type(error).__name__,
                self.servers,
            )
        self._away_until_s = now_s + _AWAY_S


def _arguments(needs: Needs) -> list[int | float]:
    found: list[int | float] = [SLOT_S, SLOTS]
    for window, need in needs:
        found += [window.limit, need]
    return found


def _told(said: list[int], needs: Needs) -> tuple[bool, list[Count]]:
    slot, *stands, fits = said
    counts = []
    for at, (_, need) in enumerate(needs):
        used, wait = stands[2 * at], stands[2 * at + 1]
        wait_s = min(wait * SLOT_S, WINDOW_S)
        counts.append(Count(used + need if fits else used, slot, wait_s))
    return bool(fits), counts
