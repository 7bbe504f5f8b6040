"""Bytes on their way to the shelf: counted while they come, gone unless they are kept."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TypeVar

from sqlalchemy import Connection

from portico import errors
from portico.db.writer import Writer
from portico.errors import Refusal
from portico.resources.files.model import Limits, Room
from portico.resources.files.rules import no_room, too_large, too_many, unavailable
from portico.resources.files.shelves.shelf import Shelf, Slot

_AT_ONCE_BYTES = 262_144
"""Collected before a thread is asked to write them: being asked costs more than a small write."""
log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(slots=True)
class _Coming:
    """Of one project.  count: drafts open.  room: kept, as last seen.  bytes: of the drafts."""

    room: Room
    count: int = 0
    bytes: int = 0


class Drafts:
    """What is under way.  One event loop owns this object.

    The bound of a project is exact in the commit; here it is kept while bytes come, by what was
    last seen, so that the shelf is not filled by what will then be refused.
    """

    def __init__(self, shelf: Shelf, executor: Executor, writer: Writer, limits: Limits) -> None:
        self.shelf = shelf
        self.limits = limits
        self._executor = executor
        self._writer = writer
        self._coming: dict[str, _Coming] = {}
        self.names: set[str] = set()
        """On the shelf or nearly, without a row yet."""

    def enter(self, project_id: str, room: Room, counted_bytes: int) -> None:
        """room: kept now.  counted_bytes: see `Draft`.

        Raises: Refusal: concurrency_exceeded, storage_quota_exceeded."""
        coming = self._coming.get(project_id) or _Coming(room)
        coming.room = room
        if coming.count >= self.limits.at_once_max:
            raise too_many(self.limits)
        wanted = Room(room.files + 1, room.stored_bytes + coming.bytes + counted_bytes)
        refusal = no_room(wanted, self.limits)
        if refusal is not None:
            raise refusal
        self._coming[project_id] = coming
        coming.count += 1
        coming.bytes += counted_bytes

    def leave(self, project_id: str, size_bytes: int) -> None:
        """size_bytes: as counted."""
        coming = self._coming[project_id]
        coming.count -= 1
        coming.bytes -= size_bytes
        if coming.count == 0:
            del self._coming[project_id]

    def count(self, project_id: str, size_bytes: int) -> None:
        """Raises: Refusal: storage_quota_exceeded; nothing is counted then."""
        coming = self._coming[project_id]
        wanted = Room(coming.room.files, coming.room.stored_bytes + coming.bytes + size_bytes)
        refusal = no_room(wanted, self.limits)
        if refusal is not None:
            raise refusal
        coming.bytes += size_bytes

    def learn(self, project_id: str, room: Room) -> None:
        coming = self._coming.get(project_id)
        if coming is not None:
            coming.room = room

    async def blocking(self, work: Callable[[], T]) -> T:
        """On a thread of the shelf's own.  Raises: Refusal: storage_unavailable."""
        with _told():
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def opening(self, work: Callable[[], T], close: Callable[[T], None]) -> T:
        """As `blocking`; what was opened for somebody who was cancelled meanwhile is closed again."""
        opened = self._executor.submit(work)
        with _told():
            try:
                return await asyncio.wrap_future(opened)
            except asyncio.CancelledError:
                opened.add_done_callback(partial(_close, close))
                raise

    async def closing(self, work: Callable[[], None]) -> None:
        """As `blocking`; done also where whoever waits for it is cancelled."""
        with _told():
            loop = asyncio.get_running_loop()
            await asyncio.shield(loop.run_in_executor(self._executor, work))

    async def commit(self, change: Callable[[Connection], T]) -> T:
        return await self._writer.run(change)


class Draft:
    """`async with draft:`; what is not kept by its end is gone.  For one task.

    size_bytes: come so far.  bytes_max: that may come.  field: what refusals call them.
    counted_bytes: as it counts against its project's room: before they come, those that were
      announced, so that who comes later is refused and not both in the middle; less than none,
      where as many will be free once it is kept.
    """

    def __init__(
        self,
        drafts: Drafts,
        project_id: str,
        name: str,
        bytes_max: int,
        counted_bytes: int,
        field: str,
    ) -> None:
        self.name = name
        self.field = field
        self.size_bytes = 0
        self._drafts = drafts
        self._project_id = project_id
        self.bytes_max = bytes_max
        self._counted_bytes = counted_bytes
        self._offset_bytes = min(counted_bytes, 0)
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._slot: Slot | None = None
        self._kept = False
        # Who is cancelled leaves a thread at work behind, and the next one must not overtake it.
        self._one = threading.Lock()

    async def __aenter__(self) -> "Draft":
        """Raises: Refusal: storage_unavailable."""
        self._drafts.names.add(self.name)
        try:
            begin = partial(self._drafts.shelf.begin, self.name)
            self._slot = await self._drafts.opening(begin, lambda slot: slot.drop())
        except BaseException:
            self._leave()
            raise
        return self

    async def add(self, data: bytes) -> None:
        """Raises: Refusal: file_too_large, storage_quota_exceeded, storage_unavailable."""
        self.size_bytes += len(data)
        if self.size_bytes > self.bytes_max:
            raise too_large(self.field, self.size_bytes, self.bytes_max)
        more_bytes = self.size_bytes + self._offset_bytes - self._counted_bytes
        if more_bytes > 0:
            self._drafts.count(self._project_id, more_bytes)
            self._counted_bytes += more_bytes
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= _AT_ONCE_BYTES:
            await self._write()

    async def keep(self, change: Callable[[Connection], T]) -> T:
        """Make the bytes safe, then commit `change`, which says so.  What that raises undoes both.

        Raises: Refusal; what `change` raises."""
        assert self._slot is not None
        await self._write()
        await self._blocking(self._slot.keep)
        # Where nobody knows whether it was done, the bytes stay: without a row they are swept, and a
        # row without them would be worse.
        try:
            made = await self._drafts.commit(change)
        except asyncio.CancelledError:
            self._kept = True
            raise
        except Refusal as refusal:
            self._kept = refusal.entry is errors.STORAGE_UNAVAILABLE
            raise
        self._kept = True
        return made

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if not self._kept:
                await self._drop()
        finally:
            self._leave()

    async def _write(self) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if waiting and self._slot is not None:
            await self._blocking(partial(self._slot.write, b"".join(waiting)))

    async def _drop(self) -> None:
        """Where that fails, the sweep finds it."""
        assert self._slot is not None
        with suppress(Refusal):
            await self._drafts.closing(partial(self._alone, self._slot.drop))
            remove = partial(self._drafts.shelf.remove, self.name)
            await self._drafts.closing(partial(self._alone, remove))  # kept already

    async def _blocking(self, work: Callable[[], None]) -> None:
        await self._drafts.blocking(partial(self._alone, work))

    def _alone(self, work: Callable[[], None]) -> None:
        with self._one:
            work()

    def _leave(self) -> None:
        self._drafts.names.discard(self.name)
        self._drafts.leave(self._project_id, self._counted_bytes)


@contextmanager
def _told() -> Iterator[None]:
    """Raises: Refusal: storage_unavailable."""
    try:
        yield
    except OSError as error:
        log.error("files cannot be stored or read: %s", error)
        raise unavailable() from error


def _close(close: Callable[[T], None], opened: "Future[T]") -> None:
    if not opened.cancelled() and opened.exception() is None:
        with suppress(OSError):
            close(opened.result())
