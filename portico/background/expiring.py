"""What was kept long enough goes: by its own time, and by what its project says."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from portico.audit import service as audit
from portico.audit.model import Actor
from portico.db.readers import Readers
from portico.db.writer import Writer
from portico.errors import Refusal
from portico.keeping import stock
from portico.keeping.stock import Kind, Restricted
from portico.kit.clock import Clock
from portico.resources.files.model import Owner
from portico.resources.files.service import Files

_EVERY_S = 60.0
_MOST = 200
"""In one transaction, for which others wait."""
_WALKS = 2
"""Through what a project keeps, once it says that it may stay for fewer days: whoever asked a moment
before may have kept something in between."""
_ACTOR = Actor("system", "retention")
log = logging.getLogger(__name__)


class Expiring:
    """Nobody sees what has expired even before it is gone; this makes it gone."""

    def __init__(self, readers: Readers, writer: Writer, files: Files, clock: Clock) -> None:
        self._readers = readers
        self._writer = writer
        self._files = files
        self._clock = clock
        self._walked: dict[str, tuple[int, int]] = {}
        """By project: how long it may keep, and how often what it keeps was looked through for that."""

    async def run(self) -> None:
        """Ends when cancelled."""
        while True:
            with suppress(Refusal):  # no room: there is another round
                try:
                    await self.once()
                except DBAPIError as error:
                    log.warning("what has expired stays for now: %s", error)
            await asyncio.sleep(_EVERY_S)

    async def once(self) -> int:
        """How many rows went.  Raises: Refusal: storage_unavailable."""
        now_ms = self._clock.wall_ms()
        restricted = await self._readers.run(partial(stock.restricted, now_ms=now_ms))
        for each in restricted:
            if each.content_ms_max:
                await self._shorten(each)
        gone = 0
        for kind in stock.ROWS:
            gone += await self._expire(kind, now_ms)
        keeping = [each for each in restricted if not each.content_ms_max]
        for each in await self._readers.run(partial(stock.still_keeping, projects=keeping)):
            gone += await self.empty(each)
        return gone

    async def empty(self, of: Restricted) -> int:
        """Nothing is left of what the project keeps; that stands in the audit log.  How many rows went.

        Raises: Refusal: storage_unavailable."""
        owner = Owner(of.organisation_id, of.id)
        removed = {"files": await self._files.empty(owner)}
        for kind in stock.ROWS:
            removed[kind.name] = 0
            while keys := await self._readers.run(
                partial(stock.some, kind=kind, project_id=of.id, most=_MOST)
            ):
                removed[kind.name] += await self._remove(
                    kind, keys, partial(stock.remove, kind=kind, project_id=of.id, keys=keys)
                )
        if any(removed.values()):
            await self._writer.run(partial(self._note, of, removed))
        return sum(removed.values())

    async def _expire(self, kind: Kind, now_ms: int) -> int:
        gone = 0
        while keys := await self._readers.run(
            partial(stock.expired, kind=kind, now_ms=now_ms, most=_MOST)
        ):
            gone += await self._remove(
                kind, keys, partial(stock.remove_expired, kind=kind, keys=keys, now_ms=now_ms)
            )
        return gone

    async def _remove(self, kind: Kind, keys: Sequence[str], last: "partial[int]") -> int:
        """last: takes the rows themselves, once little stands below them."""
        while await self._writer.run(partial(stock.thin, kind=kind, keys=keys, most=_MOST)):
            pass
        return await self._writer.run(last)

    async def _shorten(self, of: Restricted) -> None:
        """What may stay for fewer days than when it was kept says so."""
        most_ms, walks = self._walked.get(of.id, (0, 0))
        if most_ms != of.content_ms_max:
            walks = 0
        if walks >= _WALKS:
            return
        for kind in stock.KINDS:
            await self._walk(kind, of)
        self._walked[of.id] = (of.content_ms_max, walks + 1)

    async def _walk(self, kind: Kind, of: Restricted) -> None:
        after = ""
        while True:
            found, after = await self._readers.run(
                partial(stock.too_long, kind=kind, of=of, after=after, most=_MOST)
            )
            if found:
                await self._writer.run(partial(stock.shorten, kind=kind, of=of, found=found))
            if not after:
                return

    def _note(self, of: Restricted, removed: dict[str, int], connection: Connection) -> None:
        audit.record(
            connection,
            self._clock.wall_ms(),
            _ACTOR,
            of.organisation_id,
            "project.empty",
            of.id,
            None,
            {"removed": removed},
        )
