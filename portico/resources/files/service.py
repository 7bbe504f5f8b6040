"""Files: kept, found, read and deleted.  What others in Portico need of them is here.

file = await files.get(owner, "file_...")          # 404 for everybody else's
async with await files.open(file) as reading:
    while piece := await reading.piece():
        ...
file = await files.write(owner, Wish("batch_output", "out.jsonl", "application/jsonl"), pieces)
"""

import asyncio
import logging
from collections.abc import AsyncIterable, Awaitable, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import islice
from types import TracebackType
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from portico.db.readers import Readers
from portico.db.writer import Writer
from portico.errors import Refusal
from portico.kit.clock import Clock
from portico.kit.ids import new_id
from portico.resources.files import store
from portico.resources.files.drafts import Draft, Drafts
from portico.resources.files.model import File, Limits, Owner, Room, Wish
from portico.resources.files.rules import check_kept, expires_at_ms, not_found
from portico.resources.files.shelves.shelf import Shelf, Stream
from portico.resources.pages import Window

_THREADS = 8
_PIECE_BYTES = 262_144
_SWEEP_EVERY_S = 60.0
_ROUNDS_BETWEEN_STRAYS = 60
_YOUNG_MS = 3_600_000
"""Bytes so young may be somebody's whose row comes at any moment."""
_MOST = 500
"""Rows in one transaction of the sweep, for which others wait."""
log = logging.getLogger(__name__)

Trouble = Callable[[], Refusal | None]
T = TypeVar("T")


class Files:
    """trouble: why nothing can be recorded now, None where it can.
    alone: nobody else uses the shelf, so what a start finds half done is nobody's."""

    def __init__(
        self,
        shelf: Shelf,
        writer: Writer,
        readers: Readers,
        clock: Clock,
        limits: Limits,
        trouble: Trouble,
        *,
        alone: bool,
    ) -> None:
        self.limits = limits
        self.clock = clock
        self.stored = Room(0, 0)
        """By everybody, as the last sweep found it."""
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="portico-files")
        self._drafts = Drafts(shelf, self._executor, writer, limits)
        self._shelf = shelf
        self._readers = readers
        self._trouble = trouble
        self._alone = alone

    # -- reading -----------------------------------------------------------------------------

    async def get(self, owner: Owner, file_id: str, field: str | None = None) -> File:
        """field: what names it in a request, None where the path does.

        Raises: Refusal: resource_not_found."""
        found = await self.some(owner, (file_id,))
        if file_id not in found:
            raise not_found(file_id, field)
        return found[file_id]

    async def some(self, owner: Owner, ids: Collection[str]) -> dict[str, File]:
        """Those of `ids` that are the owner's, by id."""
        now_ms = self.clock.wall_ms()
        found = await self._readers.run(
            partial(store.some, owner=owner, ids=tuple(ids), now_ms=now_ms),
            tenant=owner.organisation_id,
        )
        return {file.id: file for file in found}

    async def page(
        self,
        owner: Owner,
        window: Window,
        purpose: str,
        show: Callable[[Sequence[File]], T],
    ) -> T:
        """A list's page, one file longer where there are more.  purpose: "" for any.

        show: called on the reader's thread: a page can have thousands."""
        now_ms = self.clock.wall_ms()
        return await self._readers.run(
            lambda connection: show(store.page(connection, owner, window, purpose, now_ms)),
            tenant=owner.organisation_id,
        )

    async def open(self, file: File, start: int = 0) -> "Reading":
        """From the byte `start` on; `async with` it.

        Raises: Refusal: resource_not_found, where it was deleted meanwhile; storage_unavailable."""
        try:
            return await self.open_named(file.id, start)
        except Refusal as refusal:
            owner = Owner(file.organisation_id, file.project_id)
            if await self.some(owner, (file.id,)):
                raise
            raise not_found(file.id) from refusal

    async def open_named(self, name: str, start: int = 0) -> "Reading":
        """Of a file or a part, by what it is called on the shelf.

        Raises: Refusal: storage_unavailable."""
        work = partial(self._shelf.open, name, start)
        stream = await self._drafts.opening(work, lambda stream: stream.close())
        return Reading(self._drafts, stream)

    async def read(self, file: File) -> bytes:
        """All of it at once: ask `file.size_bytes` first.  Raises: as `open`."""
        pieces = []
        async with await self.open(file) as reading:
            while piece := await reading.piece():
                pieces.append(piece)
        return b"".join(pieces)

    # -- writing -----------------------------------------------------------------------------

    async def draft(
        self,
        owner: Owner,
        bytes_max: int,
        kind: str = "file",
        counted_bytes: int = 0,
        field: str = "file",
    ) -> Draft:
        """Where the bytes of a new file go: `async with` it, `add`, and then `add_file`.

        kind: of its id.  counted_bytes, field: see `Draft`.
        Raises: Refusal: zero_retention, storage_unavailable, concurrency_exceeded,
        storage_quota_exceeded."""
        check_kept(owner)
        trouble = self._trouble()
        if trouble is not None:
            raise trouble
        room = await self._readers.run(
            partial(store.room_of, owner=owner), tenant=owner.organisation_id
        )
        self._drafts.enter(owner.project_id, room, counted_bytes)
        name = new_id(kind)
        return Draft(self._drafts, owner.project_id, name, bytes_max, counted_bytes, field)

    async def add_file(
        self, draft: Draft, owner: Owner, wish: Wish, before: store.Before[File] | None = None
    ) -> File:
        """What is in the draft, as a file; on disk when this returns.

        before: done in the same commit, in front of it.
        Raises: Refusal: storage_quota_exceeded, storage_unavailable; what `before` raises."""
        made = self.made_of(draft, owner, wish)

        def add(connection: Connection) -> Room:
            if before is not None:
                before(connection, made)
            return store.add(connection, made, self.limits)

        room = await draft.keep(add)
        self._drafts.learn(owner.project_id, room)
        return made

    async def write(self, owner: Owner, wish: Wish, pieces: AsyncIterable[bytes]) -> File:
        """A file of Portico's own making, such as the answers of a batch, of any size.

        Raises: Refusal, as `draft` and `add_file`; what `pieces` raise; nothing is left then."""
        async with await self.draft(owner, self.limits.upload_bytes_max) as draft:
            async for piece in pieces:
                await draft.add(piece)
            return await self.add_file(draft, owner, wish)

    def made_of(self, draft: Draft, owner: Owner, wish: Wish) -> File:
        now_ms = self.clock.wall_ms()
        return File(
            draft.name,
            owner.organisation_id,
            owner.project_id,
            owner.key_id,
            wish.purpose,
            wish.filename,
            wish.media_type,
            draft.size_bytes,
            now_ms,
            expires_at_ms(wish.purpose, wish.keep_ms, owner, self.limits, now_ms),
        )

    async def delete(self, owner: Owner, file_id: str) -> None:
        """Raises: Refusal: resource_not_found."""
        now_ms = self.clock.wall_ms()
        room = await self._drafts.commit(
            partial(store.remove, owner=owner, file_id=file_id, now_ms=now_ms)
        )
        if room is None:
            raise not_found(file_id)
        self._drafts.learn(owner.project_id, room)
        await self.forget([file_id])

    async def empty(self, owner: Owner) -> int:
        """All of a project's files and uploads go; how many.  Raises: Refusal: storage_unavailable."""
        gone = 0
        while True:
            count, names = await self._drafts.commit(
                partial(store.remove_all, owner=owner, most=_MOST)
            )
            await self.forget(names)
            gone += count
            if not count:
                return gone

    async def forget(self, names: Collection[str]) -> None:
        """Take from the shelf what has no row any more.  What stays is swept later."""
        for name in names:
            with suppress(Refusal):
                await self._drafts.blocking(partial(self._shelf.remove, name))

    # -- sweeping ----------------------------------------------------------------------------

    async def run(self) -> None:
        """What has expired goes every minute; bytes without a row at the start and every hour.
        Ends when cancelled."""
        # Where nobody else uses the shelf, a start finds only what the dead have left.
        young_ms = 0 if self._alone else _YOUNG_MS
        while True:
            await self._quietly(partial(self.sweep_strays, self.clock.wall_ms() - young_ms))
            young_ms = _YOUNG_MS
            for _ in range(_ROUNDS_BETWEEN_STRAYS):
                await self._quietly(self.sweep)
                await asyncio.sleep(_SWEEP_EVERY_S)

    def close(self) -> None:
        """Waits for what is being written."""
        self._executor.shutdown(cancel_futures=True)

    async def sweep(self) -> int:
        """Remove files and uploads whose time is over; how many names that was.

        Raises: Refusal: storage_unavailable."""
        removed = 0
        while True:
            now_ms = self.clock.wall_ms()
            files = await self._drafts.commit(
                partial(store.remove_expired, now_ms=now_ms, most=_MOST)
            )
            parts = await self._drafts.commit(
                partial(store.remove_uploads, now_ms=now_ms, most=_MOST)
            )
            await self.forget([*files, *parts])
            removed += len(files) + len(parts)
            if len(files) < _MOST and len(parts) < _MOST:
                break
        self.stored = await self._readers.run(store.stored)
        return removed

    async def sweep_strays(self, before_ms: int) -> int:
        """Remove bytes from before this moment that no row knows; how many names that was.

        Raises: Refusal: storage_unavailable."""
        dropped = await self._drafts.blocking(
            lambda: self._shelf.drop_drafts(before_ms, frozenset(self._drafts.names))
        )
        names = self._shelf.names()
        while some := await self._drafts.blocking(lambda: list(islice(names, _MOST))):
            old = [name for name, since_ms in some if since_ms < before_ms]
            under_way = set(self._drafts.names)  # asked first: their rows may come meanwhile
            known = await self._readers.run(partial(store.known, names=old))
            strays = set(old) - known - under_way - self._drafts.names
            await self.forget(strays)
            dropped += len(strays)
        if dropped:
            log.warning("%d files that were not whole, or not deleted whole, are gone", dropped)
        return dropped

    async def _quietly(self, work: Callable[[], Awaitable[object]]) -> None:
        """The next round tries again."""
        try:
            await work()
        except (Refusal, DBAPIError) as error:
            log.warning("files are not swept now: %s", error)


class Reading:
    """One file, from its beginning to its end.  For one task."""

    def __init__(self, drafts: Drafts, stream: Stream) -> None:
        self._drafts = drafts
        self._stream = stream

    async def piece(self) -> bytes:
        """The next bytes, b"" at the end.  Raises: Refusal: storage_unavailable."""
        return await self._drafts.blocking(partial(self._stream.read, _PIECE_BYTES))

    async def __aenter__(self) -> "Reading":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._drafts.closing(self._stream.close)
