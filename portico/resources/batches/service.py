"""Batches: made, found, cancelled, deleted.  `background` works on them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection

from portico import errors
from portico.callers.model import Caller
from portico.db.readers import Readers
from portico.db.reports import Reports
from portico.db.transaction import Transaction
from portico.db.within import within
from portico.db.writer import Writer
from portico.errors import Refusal
from portico.keeping import service as keeping
from portico.keeping.room import Room
from portico.keeping.rules import ROW_BYTES
from portico.kit.clock import Clock
from portico.kit.ids import new_id
from portico.replay.model import Wish
from portico.replay.once import Done, once
from portico.resources.batches import store
from portico.resources.batches.model import (
    CANCELLABLE,
    LINES_AT_ONCE,
    Batch,
    Counts,
    Kind,
    Limits,
    Line,
    NewLine,
)
from portico.resources.batches.rules import check_kept, nothing_kept, too_many
from portico.resources.files.model import Owner
from portico.resources.files.service import Files
from portico.resources.pages import Window, page_of

T = TypeVar("T")
Shown = Callable[[Batch, Counts], dict[str, Any]]


class Batches:
    """reports: for lists, which count the lines of many batches: they keep nobody else waiting.
    room: what projects may keep.  news: told when there is something new to work on.
    owner: this process.  coming: ids of batches whose lines it is writing down."""

    def __init__(
        self,
        files: Files,
        writer: Writer,
        readers: Readers,
        reports: Readers | Reports,
        clock: Clock,
        limits: Limits,
        room: Room,
        news: Callable[[], None],
        *,
        owner: str,
        coming: set[str],
    ) -> None:
        self.limits = limits
        self._room = room
        self._files = files
        self._writer = writer
        self._readers = readers
        self._reports = reports
        self._clock = clock
        self._news = news
        self._owner = owner
        self._coming = coming

    async def check_input(self, caller: Caller, file_id: str) -> None:
        """Raises: Refusal: zero_retention, resource_not_found, invalid_value, body_too_large."""
        check_kept(caller)
        file = await self._files.get(Owner.of(caller), file_id, "input_file_id")
        if file.purpose != "batch":
            raise errors.INVALID_VALUE(
                f"The file {file_id!r} was sent for {file.purpose!r}; the lines of a batch come in a "
                "file for 'batch'.",
                field="input_file_id",
                value=file_id[:100],
                limit="batch",
                remedy="Send the file again, with purpose='batch'.",
            )
        if file.size_bytes > self.limits.file_bytes_max:
            raise errors.BODY_TOO_LARGE(
                f"The file {file_id!r} has {file.size_bytes} bytes; the lines of a batch may have "
                f"{self.limits.file_bytes_max}.",
                field="input_file_id",
                value=file.size_bytes,
                limit=self.limits.file_bytes_max,
                remedy="Send several batches.",
            )

    def new(
        self,
        caller: Caller,
        kind: Kind,
        endpoint: str,
        metadata: dict[str, Any],
        *,
        input_file_id: str | None = None,
        output_keep_ms: int | None = None,
    ) -> Batch:
        now_ms = self._clock.wall_ms()
        return Batch(
            new_id("batch" if kind == "openai" else "msgbatch"),
            caller.organisation_id,
            caller.project_id,
            caller.key_id,
            caller.credential_id,
            kind,
            endpoint,
            "validating",
            input_file_id,
            None,
            None,
            metadata,
            None,
            0,
            now_ms,
            now_ms + self.limits.window_ms,
            None,
            None,
            None,
            None,
            output_keep_ms,
            None,
        )

    async def add(
        self,
        batch: Batch,
        lines: Sequence[NewLine],
        wish: Wish | None,
        keep_ms: int,
        told: Callable[[Batch], bytes],
    ) -> Done:
        """On disk when this returns.  lines: those that came with it; it is in progress then.
        wish: of its `Idempotency-Key`, under which the answer is kept for `keep_ms`.

        Raises: Refusal: batches_full, storage_quota_exceeded; those of `Idempotency-Key`.
        """
        refused = self._room.refusal(batch.project_id)
        if lines:
            batch = replace(
                batch, lines=len(lines), state="in_progress", started_at_ms=batch.created_at_ms
            )

        def put(connection: Connection) -> tuple[int, bytes]:
            if refused is not None:  # said here: whoever asks again is told what he was told
                raise refused
            if len(lines) > LINES_AT_ONCE:
                self._go_on(batch, connection)
            else:
                self._put(batch, lines, connection)
            return 200, told(batch)

        def change(connection: Connection) -> Done:
            with within(connection, batch.organisation_id):
                if wish is None:
                    return Done(*put(connection), again=False)
                now_ms = self._clock.wall_ms()
                return once(connection, wish, now_ms, keep_ms, partial(put, connection))

        self._coming.add(batch.id)
        try:
            if len(lines) > LINES_AT_ONCE and refused is None:
                refused = await self._put_in_pieces(batch, lines)
            done = await self._writer.run(change)
        finally:
            # Whatever of it is not whole now never will be: whoever works on batches removes it.
            self._coming.discard(batch.id)
            self._news()
        if not done.again:
            added_bytes = sum(len(each.request) + ROW_BYTES for each in lines)
            self._room.grew(batch.project_id, added_bytes)
        return done

    def _put(self, batch: Batch, lines: Sequence[NewLine], connection: Connection) -> None:
        """Raises: Refusal: batches_full; zero_retention, where its project has turned to it since."""
        if not keeping.keeps(Transaction(connection), batch.project_id):
            raise nothing_kept()
        count = store.open_count(connection, batch.project_id)
        if count >= self.limits.open_max:
            raise too_many(count, self.limits.open_max)
        store.add(connection, batch, self._owner if batch.is_coming else None)
        store.add_lines(connection, batch, lines)

    async def _put_in_pieces(self, batch: Batch, lines: Sequence[NewLine]) -> errors.Refusal | None:
        """Between which others write.  Why it was refused on the way, None where it was not."""
        coming = replace(batch, state="validating", started_at_ms=None)
        first, *more = (
            lines[at : at + LINES_AT_ONCE] for at in range(0, len(lines), LINES_AT_ONCE)
        )
        try:
            await self._writer.run(partial(self._put, coming, first))
            for some in more:
                await self._writer.run(partial(self._put_more, coming, some))
        except errors.Refusal as refusal:
            return refusal
        return None

    def _put_more(self, batch: Batch, lines: Sequence[NewLine], connection: Connection) -> None:
        self._go_on(batch, connection)
        store.add_lines(connection, batch, lines)

    def _go_on(self, batch: Batch, connection: Connection) -> None:
        """From the state it was in to the one it is to be in.

        Raises: Refusal: conflict, zero_retention: what became of it, or of its project, meanwhile."""
        if not keeping.keeps(Transaction(connection), batch.project_id):
            raise nothing_kept()
        begun = {"state": batch.state, "started_at_ms": batch.started_at_ms}
        if not store.change(connection, batch, ("validating",), begun):
            raise errors.CONFLICT(
                "The batch was removed while it came.",
                field="id",
                value=batch.id,
                remedy="Send it again.",
            )

    async def get(self, caller: Caller, kind: Kind, batch_id: str) -> tuple[Batch, Counts]:
        """Raises: Refusal: resource_not_found."""
        return await self._read(caller, partial(self._one, caller, kind, batch_id))

    async def page(
        self, caller: Caller, kind: Kind, window: Window
    ) -> tuple[list[tuple[Batch, Counts]], bool]:
        """And whether there are more.  Raises: Refusal: concurrency_exceeded, report_too_long."""

        def read(connection: Connection) -> tuple[list[tuple[Batch, Counts]], bool]:
            now_ms = self._clock.wall_ms()
            found = store.page(connection, caller.project_id, kind, window, now_ms)
            page, more = page_of(found, window)
            counts = store.counts(connection, caller.organisation_id, [each.id for each in page])
            return [(each, counts[each.id]) for each in page], more

        return await self._reports.run(read, tenant=caller.organisation_id)

    async def cancel(self, caller: Caller, kind: Kind, batch_id: str) -> tuple[Batch, Counts]:
        """What has ended stays as it is.  Raises: Refusal: resource_not_found, conflict."""

        def change(connection: Connection) -> None:
            with within(connection, caller.organisation_id):
                found, _ = self._one(caller, kind, batch_id, connection)
                if found.ended_at_ms is not None and kind == "openai":
                    raise errors.CONFLICT(
                        f"The batch {batch_id!r} is {found.state}; it cannot be cancelled any more.",
                        field="id",
                        value=batch_id[:100],
                    )
                values = {"state": "cancelling", "cancelling_at_ms": self._clock.wall_ms()}
                store.change(connection, found, CANCELLABLE, values)

        await self._writer.run(change)
        self._news()
        return await self.get(caller, kind, batch_id)

    async def delete(self, caller: Caller, kind: Kind, batch_id: str) -> None:
        """Only what has ended.  Raises: Refusal: resource_not_found, conflict."""
        now_ms = self._clock.wall_ms()

        def change(connection: Connection) -> None:
            with within(connection, caller.organisation_id):
                found, _ = self._one(caller, kind, batch_id, connection)
                if found.ended_at_ms is None:
                    raise errors.CONFLICT(
                        f"The batch {batch_id!r} has not ended; only what has can be deleted.",
                        field="id",
                        value=batch_id[:100],
                        remedy="Cancel it, and delete it when it has ended.",
                    )
                # Nobody sees it from here on; its lines go in pieces, as those of what expires.
                store.change(connection, found, (found.state,), {"expires_at_ms": now_ms})

        await self._writer.run(change)
        self._room.shrank(caller.project_id)

    async def lines(self, caller: Caller, batch: Batch, after: int, most: int) -> Sequence[Line]:
        return await self._read(
            caller,
            lambda connection: store.lines(
                connection, caller.organisation_id, batch.id, after, most
            ),
        )

    def _one(
        self, caller: Caller, kind: Kind, batch_id: str, connection: Connection
    ) -> tuple[Batch, Counts]:
        found = store.one(connection, caller.project_id, batch_id)
        if found is None or found.kind != kind or found.is_coming or self._is_over(found):
            raise not_found(batch_id)
        return found, store.counts(connection, found.organisation_id, (found.id,))[found.id]

    def _is_over(self, batch: Batch) -> bool:
        expires_at_ms = batch.expires_at_ms
        return expires_at_ms is not None and expires_at_ms <= self._clock.wall_ms()

    async def _read(self, caller: Caller, query: Callable[[Connection], T]) -> T:
        return await self._readers.run(query, tenant=caller.organisation_id)


def not_found(batch_id: str) -> Refusal:
    return errors.RESOURCE_NOT_FOUND(
        f"There is no batch {batch_id[:100]!r} here.", field="id", value=batch_id[:100]
    )
