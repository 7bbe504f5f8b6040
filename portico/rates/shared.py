"""Counted in Valkey, for all servers together; each counts for itself while it is away.

One script counts all windows of a request, or none of them.  Valkey says what time it is, so servers
whose clocks differ share one window.  One node, or one that others stand in for: a cluster keeps the
windows of a request on several.  It never holds money, and nobody waits for it for longer than
the timeout: from then on each server keeps to its share of every limit, and only the heartbeat asks
whether Valkey is back, so that one that hangs makes nobody wait again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress

from msgspec.structs import replace
from valkey.asyncio import Valkey
from valkey.exceptions import ValkeyError

from portico.kit.clock import Clock
from portico.kit.tasks import Tasks
from portico.rates.counters import NOW, Changes, Local, Needs
from portico.rates.model import Count, Window
from portico.rates.window import SLOT_S, SLOTS, WINDOW_S, slot_of

_PREFIX = "portico:rate:"
_SERVERS = "portico:servers"
_HEARTBEAT_S = 1.0
_DEAD_AFTER_S = 10.0
_SERVERS_MAX = 1_000
_SILENT_S = 60.0
_UNTOLD_MAX = 100_000
_TOLD_AT_ONCE = 500
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
    if at < first or at > slot + slots then
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
local now = redis.call('TIME')
local current = math.floor((now[1] + now[2] / 1000000) / tonumber(ARGV[1]))
local first = current - tonumber(ARGV[2]) + 1
for i, key in ipairs(KEYS) do
  local slot, change = tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2])
  if slot < 0 then slot = current end
  if slot >= first then
    local known = tonumber(redis.call('HGET', key, slot) or 0)
    change = math.max(change, -known)
    if change ~= 0 then
      redis.call('HINCRBY', key, slot, string.format('%.0f', change))
      redis.call('EXPIRE', key, 90)
    end
  end
end
return 0
"""
"""Never below nothing: where counts were lost, what is given back of them would make room."""

_Change = tuple[str, int, int, float]
"""Name of a window, slot or NOW, by how much, and until when that matters."""


class Shared:
    """One event loop owns this object."""

    def __init__(
        self,
        valkey: Valkey,
        server: str,
        clock: Clock,
        tasks: Tasks,
        count: Callable[[], Awaitable[int]],
        *,
        timeout_s: float,
    ) -> None:
        """server: what this process is called among the others.  count: how many servers there are,
        by the word of somebody else than Valkey; never raises."""
        self._valkey = valkey
        self._server = server
        self._clock = clock
        self._tasks = tasks
        self._count = count
        self._timeout_s = timeout_s
        self._take = valkey.register_script(_TAKE)
        self._correct = valkey.register_script(_CORRECT)
        self._local = Local()
        self._away = False
        self._asked = 0
        self._silent_until_s = 0.0
        self._untold: deque[_Change] = deque(maxlen=_UNTOLD_MAX)
        self._telling = False
        self.servers = 1
        """That share the limits, as last heard."""
        self.fallbacks = 0
        """Requests this server counted for itself because Valkey was away."""

    async def take(self, needs: Needs) -> tuple[bool, list[Count]]:
        if not self._away:
            self._asked = number = self._asked + 1
            try:
                async with asyncio.timeout(self._timeout_s):
                    said = await self._take(
                        keys=[_PREFIX + window.name for window, _ in needs], args=_arguments(needs)
                    )
            except (ValkeyError, OSError, TimeoutError) as error:
                self._lost(error)
            else:
                now_s = self._clock.monotonic_s()  # as others that came later may have been noted
                fits, counts = _told(said, needs, slot_of(now_s))
                windows = (window for window, _ in needs)
                self._local.hear(zip(windows, counts, strict=True), now_s, number, self._asked)
                self._tell_soon()
                return fits, counts
        self.fallbacks += 1
        now_s = self._clock.monotonic_s()
        fits, counts = self._local.take(needs, now_s, self.servers)
        if fits:
            self._owe([(window.name, NOW, need) for window, need in needs])
        return fits, [replace(count, slot=NOW) for count in counts]

    async def look(self, windows: Sequence[Window]) -> list[Count]:
        if not self._away:
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._stands(windows)
            except (ValkeyError, OSError, TimeoutError) as error:
                self._lost(error)
        return self._local.look(windows, self._clock.monotonic_s(), self.servers)

    async def _stands(self, windows: Sequence[Window]) -> list[Count]:
        async with self._valkey.pipeline(transaction=False) as together:
            together.time()
            for window in windows:
                together.hgetall(_PREFIX + window.name)
            (seconds, micros), *found = await together.execute()
        slot, here = slot_of(seconds + micros / 1_000_000), slot_of(self._clock.monotonic_s())
        inside = range(slot - SLOTS + 1, slot + SLOTS + 1)  # as the script sees it
        return [
            Count(sum(int(used) for at, used in each.items() if int(at) in inside), slot, here, 0.0)
            for each in found
        ]

    def correct(self, changes: Changes) -> None:
        now_s = self._clock.monotonic_s()
        for window, count, change in changes:
            if count is None:
                share = self.servers if self._away else 1
                self._local.correct(window, NOW, change, now_s, share)
            else:
                self._local.correct(window, count.here, change, now_s, count.share)
        self._owe(
            [
                (window.name, NOW if count is None else count.slot, change)
                for window, count, change in changes
            ]
        )
        self._tell_soon()

    async def run(self) -> None:
        """Tell the others that this server is there, and hear how many they are; for ever."""
        while True:
            await self._beat()
            if self._away:
                await self._ask_around()
            self._tell_soon()
            await asyncio.sleep(_HEARTBEAT_S)

    async def close(self) -> None:
        """Also of connections that nobody answers on any more."""
        with suppress(OSError, TimeoutError, ValkeyError):
            async with asyncio.timeout(self._timeout_s):
                await self._valkey.aclose()

    async def _beat(self) -> None:
        """It takes a write, so that a Valkey that can only be read is away."""
        try:
            async with asyncio.timeout(self._timeout_s):
                seconds, micros = await self._valkey.time()
                now_s = seconds + micros / 1_000_000
                async with self._valkey.pipeline(transaction=True) as together:
                    together.zadd(_SERVERS, {self._server: now_s})
                    together.zremrangebyscore(_SERVERS, "-inf", now_s - _DEAD_AFTER_S)
                    # Those of a clock that ran ahead would live until it is that late.
                    together.zremrangebyscore(_SERVERS, now_s + _DEAD_AFTER_S, "+inf")
                    together.zcard(_SERVERS)
                    *_, known = await together.execute()
        except (ValkeyError, OSError, TimeoutError) as error:
            self._lost(error)
            return
        self.servers = min(max(1, int(known)), _SERVERS_MAX)
        if self._away:
            await self._come_back()

    async def _ask_around(self) -> None:
        """Whoever started while Valkey is away has never heard how many there are, and those that
        were there before have not heard of him.  Never fewer than Valkey said: not all who share it
        need to share a database."""
        self.servers = min(max(self.servers, await self._count()), _SERVERS_MAX)

    async def _come_back(self) -> None:
        """Before anybody asks Valkey again it hears what was let through without it; not more of it
        than there is now, as more comes all the while."""
        for _ in range(len(self._untold) // _TOLD_AT_ONCE + 1):
            if not await self._tell_some():
                return
        self._away = False

    def _owe(self, changes: Iterable[tuple[str, int, int]]) -> None:
        """Valkey is told later: also what was let through without it, or others would let it
        through again."""
        until_s = self._clock.monotonic_s() + WINDOW_S
        self._untold.extend(
            (name, slot, change, until_s) for name, slot, change in changes if change
        )

    def _tell_soon(self) -> None:
        """One at a time, so that a slow Valkey is not asked by ever more at once."""
        if self._untold and not self._telling and not self._away:
            self._telling = True
            self._tasks.start(self._tell())

    async def _tell(self) -> None:
        try:
            while self._untold and not self._away:
                await self._tell_some()
        finally:
            self._telling = False

    async def _tell_some(self) -> bool:
        """False where it could not be told."""
        now_s, together = self._clock.monotonic_s(), dict[tuple[str, int], int]()
        some = [self._untold.popleft() for _ in range(min(len(self._untold), _TOLD_AT_ONCE))]
        for name, slot, change, until_s in some:
            if until_s > now_s:
                together[name, slot] = together.get((name, slot), 0) + change
        if not together:
            return True
        args: list[int | float] = [SLOT_S, SLOTS]
        for (_, slot), change in together.items():
            args += [slot, change]
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._correct(keys=[_PREFIX + name for name, _ in together], args=args)
        except (ValkeyError, OSError, TimeoutError) as error:
            self._untold.extendleft(reversed(some))
            self._lost(error)
            return False
        return True

    def _lost(self, error: Exception) -> None:
        """Said once a minute at most: it is tried again every second."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._silent_until_s:
            self._silent_until_s = now_s + _SILENT_S
            log.warning(
                "Valkey is away (%s); this server keeps to a %d. of each limit",
                type(error).__name__,
                self.servers,
            )
        self._away = True


def _arguments(needs: Needs) -> list[int | float]:
    found: list[int | float] = [SLOT_S, SLOTS]
    for window, need in needs:
        found += [window.limit, need]
    return found


def _told(said: list[int], needs: Needs, here: int) -> tuple[bool, list[Count]]:
    slot, *stands, fits = said
    counts = []
    for at, (_, need) in enumerate(needs):
        used, wait = stands[2 * at], stands[2 * at + 1]
        wait_s = min(wait * SLOT_S, WINDOW_S)
        counts.append(Count(used + need if fits else used, slot, here, wait_s))
    return bool(fits), counts
