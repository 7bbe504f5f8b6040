"""The decoders: some processes, started when the first file comes, replaced when one is worn."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from portico import errors
from portico.media.child import Child, Gone, start_child
from portico.media.model import Job, Limits, Refused, Reply

_FILES_EACH = 1_000
"""Then another process takes over: whatever leaks in it, leaks no further."""
_RETRY_MS = 1_000
_log = logging.getLogger(__name__)

Spawn = Callable[[Limits], Awaitable[Child]]


class _Turns:
    """Of one owner.  wanted: files he has here now."""

    def __init__(self, places: int) -> None:
        self.places = asyncio.Semaphore(places)
        self.wanted = 0


class Decoders:
    """Asked from one event loop.  `started`: processes so far."""

    def __init__(
        self, limits: Limits, spawn: Spawn = start_child, files_each: int = _FILES_EACH
    ) -> None:
        """files_each: that one process looks at."""
        self.limits = limits
        self.started = 0
        self._spawn = spawn
        self._files_each = files_each
        self._places = asyncio.Semaphore(limits.workers)
        self._turns: dict[str, _Turns] = {}
        self._idle: list[Child] = []
        self._all: set[Child] = set()

    async def ask(self, job: Job, owner: str = "") -> Reply:
        """May be cancelled: then the file is given up and its decoder ended.

        owner: whose file it is.  Whoever sends many waits behind himself: he is in the line for
        places with no more of them than leave one place to others.
        Raises: Refusal: overloaded (503), when none is free in time or none can be started.
        """
        turns = self._turns.get(owner)
        if turns is None:
            turns = self._turns[owner] = _Turns(max(1, self.limits.workers - 1))
        turns.wanted += 1
        try:
            await self._enter(turns.places)
            try:
                return await self._asked(job)
            finally:
                self._places.release()
                turns.places.release()
        finally:
            turns.wanted -= 1
            if not turns.wanted:
                del self._turns[owner]

    async def _enter(self, own: asyncio.Semaphore) -> None:
        """Raises: Refusal: overloaded."""
        try:
            async with asyncio.timeout(self.limits.wait_s):
                await own.acquire()
                try:
                    await self._places.acquire()
                except BaseException:
                    own.release()
                    raise
        except TimeoutError:
            raise errors.OVERLOADED(
                f"No decoder for images and files became free within {self.limits.wait_s:g} s.",
                retry_after_ms=_RETRY_MS,
            ) from None

    async def close(self) -> None:
        """End them all; returns when they are gone."""
        self._idle.clear()
        for child in tuple(self._all):
            child.kill()
            await child.ended()

    async def _asked(self, job: Job) -> Reply:
        """A decoder that was there before may have died of something else, and unseen: whoever
        finds that out is given a new one, once."""
        while self._idle:
            child = self._idle.pop()
            try:
                return await self._with(child, job)
            except Gone:
                continue
        try:
            return await self._with(await self._new(), job)
        except Gone:
            return Refused("crashed")

    async def _new(self) -> Child:
        try:
            child = await self._spawn(self.limits)
        except OSError as error:
            _log.error("no decoder can be started: %s", error)
            raise errors.OVERLOADED(
                "No decoder for images and files can be started now.", retry_after_ms=_RETRY_MS
            ) from error
        self.started += 1
        self._all.add(child)
        child.when_ended(partial(self._all.discard, child))
        return child

    async def _with(self, child: Child, job: Job) -> Reply:
        """Raises: Gone."""
        kept = False
        try:
            async with asyncio.timeout(self.limits.timeout_s):
                reply = await child.ask(job)
            kept = child.asked < self._files_each
        except TimeoutError:
            return Refused("time", None, self.limits.timeout_s)
        finally:
            # Not kept: worn, dead, or still at work for nobody.
            if kept:
                self._idle.append(child)
            else:
                child.kill()
        return reply
