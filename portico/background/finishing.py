"""Ends a batch: its answers stand in files, and it says how it ended."""

from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial

from sqlalchemy import Connection

from portico.db.readers import Readers
from portico.db.writer import Writer
from portico.dialects.openai_responses.usage import usage_of
from portico.errors import ZERO_RETENTION, Refusal
from portico.kit.clock import Clock
from portico.resources.batches import store
from portico.resources.batches.model import Batch, Limits, Used
from portico.resources.batches.rules import expires_at_ms, output_line
from portico.resources.files import store as file_store
from portico.resources.files.model import BATCH_OUTPUT, Owner, Room, Wish
from portico.resources.files.service import Files

_LINES_AT_ONCE = 200
_COUNTED_AT_ONCE = 2_000


class _AlreadyThere(Exception):
    """Somebody else was faster."""


class Finishing:
    def __init__(
        self, files: Files, writer: Writer, readers: Readers, clock: Clock, limits: Limits
    ) -> None:
        self._files = files
        self._writer = writer
        self._readers = readers
        self._clock = clock
        self._limits = limits

    async def begin(self, batch: Batch) -> bool:
        """False where not every line of it has ended.  Raises: Refusal: storage_unavailable."""
        now_ms = self._clock.wall_ms()
        return await self._writer.run(partial(store.begin_end, of=batch, now_ms=now_ms))

    async def finish(self, batch: Batch) -> None:
        """Raises: Refusal: storage_unavailable."""
        most_ms = await self._readers.run(
            partial(store.content_ms_max, of=batch), tenant=batch.organisation_id
        )
        errors = None
        if batch.kind == "openai":
            try:
                await self._write(batch, most_ms, good=True)
                await self._write(batch, most_ms, good=False)
            except Refusal as refusal:
                if not self._is_final(refusal, batch):
                    raise
                told = {"code": refusal.code, "line": None, "message": refusal.message}
                errors = store.words([{**told, "param": refusal.field}])
        used = await self._used(batch)
        if batch.kind == "openai" or most_ms == 0:
            await self._drop(batch)
        await self._writer.run(partial(self._end, batch, errors, most_ms, used))

    def _is_final(self, refusal: Refusal, batch: Batch) -> bool:
        """Answers were paid for: where there is no room for their files, somebody may make some."""
        late = self._clock.wall_ms() >= batch.due_at_ms + self._limits.window_ms
        return not refusal.entry.retryable and (late or refusal.entry is ZERO_RETENTION)

    async def _used(self, batch: Batch) -> Used:
        """By all its lines, counted in pieces: others read, too."""
        found, last = Used(), await self._last(batch)
        for after in range(0, last, _COUNTED_AT_ONCE):
            some = partial(store.used, of=batch, after=after, most=_COUNTED_AT_ONCE)
            found = found.plus(await self._readers.run(some, tenant=batch.organisation_id))
        return found

    async def _last(self, batch: Batch) -> int:
        return await self._readers.run(
            partial(store.last_number, of=batch), tenant=batch.organisation_id
        )

    async def _drop(self, batch: Batch) -> None:
        """In pieces, between which others write."""
        for after in range(0, await self._last(batch), _LINES_AT_ONCE):
            await self._writer.run(
                partial(store.drop_answers, of=batch, after=after, most=_LINES_AT_ONCE)
            )

    async def _write(self, batch: Batch, most_ms: int | None, *, good: bool) -> None:
        """One of the two files, if there is anything in it, and if an earlier try has not.  The file
        and the word of it are one commit."""
        column = "output_file_id" if good else "error_file_id"
        if getattr(batch, column) is not None:
            return
        lines = self._lines(batch, good=good)
        first = await anext(lines, None)
        if first is None:
            return
        owner = Owner(batch.organisation_id, batch.project_id, batch.key_id, most_ms)
        name = f"{batch.id}_{'output' if good else 'error'}.jsonl"
        wish = Wish(BATCH_OUTPUT, name, "application/jsonl", batch.output_keep_ms)
        async with await self._files.draft(owner, self._files.limits.upload_bytes_max) as draft:
            await draft.add(first)
            async for piece in lines:
                await draft.add(piece)
            made = self._files.made_of(draft, owner, wish)

            def keep(connection: Connection) -> Room:
                if not store.name_file(connection, batch, column, made.id):
                    raise _AlreadyThere
                return file_store.add(connection, made, self._files.limits)

            with suppress(_AlreadyThere):
                await draft.keep(keep)

    async def _lines(self, batch: Batch, *, good: bool) -> AsyncIterator[bytes]:
        after = 0
        while True:
            found = await self._readers.run(
                partial(
                    store.lines,
                    organisation_id=batch.organisation_id,
                    batch_id=batch.id,
                    after=after,
                    most=_LINES_AT_ONCE,
                ),
                tenant=batch.organisation_id,
            )
            if not found:
                return
            after = found[-1].number
            told = [output_line(line) for line in found]
            piece = b"".join(text for is_good, text in told if is_good is good)
            if piece:
                yield piece

    def _end(
        self,
        batch: Batch,
        errors: str | None,
        most_ms: int | None,
        used: Used,
        connection: Connection,
    ) -> None:
        counts = store.counts(connection, batch.organisation_id, (batch.id,))[batch.id]
        state = "completed"
        if errors is not None:
            state = "failed"
        elif batch.cancelling_at_ms is not None:
            state = "cancelled"
        elif counts.expired:
            state = "expired"
        now_ms = self._clock.wall_ms()
        values = {
            "state": state,
            **({} if errors is None else {"errors": errors}),
            "usage": store.words(usage_of(used.meters)),
            "model": next(iter(used.models)) if len(used.models) == 1 else None,
            "ended_at_ms": now_ms,
            "expires_at_ms": expires_at_ms(batch, self._limits, most_ms, now_ms),
            "owner": None,
        }
        store.change(connection, batch, ("finalizing",), values)
