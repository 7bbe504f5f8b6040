"""Ends a batch: its answers stand in files, and it says how it ended."""

from collections.abc import AsyncIterator
from functools import partial

from sqlalchemy import Connection

from portico.db.readers import Readers
from portico.db.writer import Writer
from portico.errors import Refusal
from portico.kit.clock import Clock
from portico.resources.batches import store
from portico.resources.batches.model import Batch, Limits
from portico.resources.batches.rules import output_line
from portico.resources.files import store as file_store
from portico.resources.files.model import BATCH_OUTPUT, Owner, Room, Wish
from portico.resources.files.service import Files

_LINES_AT_ONCE = 200


class Finishing:
    def __init__(
        self, files: Files, writer: Writer, readers: Readers, clock: Clock, limits: Limits
    ) -> None:
        self._files = files
        self._writer = writer
        self._readers = readers
        self._clock = clock
        self._limits = limits

    async def begin(self, batch: Batch) -> None:
        """Every line of it has ended.  Raises: Refusal: storage_unavailable."""
        values = {"state": "finalizing", "finalizing_at_ms": self._clock.wall_ms()}
        await self._writer.run(
            partial(store.change, of=batch, states=("in_progress", "cancelling"), values=values)
        )

    async def finish(self, batch: Batch) -> None:
        """Raises: Refusal: storage_unavailable."""
        errors = None
        if batch.kind == "openai":
            try:
                await self._write(batch, good=True)
                await self._write(batch, good=False)
            except Refusal as refusal:
                if refusal.entry.retryable:
                    raise
                told = {"code": refusal.code, "line": None, "message": refusal.message}
                errors = store.words([{**told, "param": refusal.field}])
        await self._writer.run(partial(self._end, batch, errors))

    async def _write(self, batch: Batch, *, good: bool) -> None:
        """One of the two files, if there is anything in it, and if an earlier try has not.  The file
        and the word of it are one commit."""
        column = "output_file_id" if good else "error_file_id"
        if getattr(batch, column) is not None:
            return
        lines = self._lines(batch, good=good)
        first = await anext(lines, None)
        if first is None:
            return
        owner = Owner(batch.organisation_id, batch.project_id, batch.key_id)
        name = f"{batch.id}_{'output' if good else 'error'}.jsonl"
        wish = Wish(BATCH_OUTPUT, name, "application/jsonl", batch.output_keep_ms)
        async with await self._files.draft(owner, self._files.limits.upload_bytes_max) as draft:
            await draft.add(first)
            async for piece in lines:
                await draft.add(piece)
            made = self._files.made_of(draft, owner, wish)

            def keep(connection: Connection) -> Room:
                store.change(connection, batch, ("finalizing",), {column: made.id})
                return file_store.add(connection, made, self._files.limits)

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

    def _end(self, batch: Batch, errors: str | None, connection: Connection) -> None:
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
            "errors": errors,
            "ended_at_ms": now_ms,
            "expires_at_ms": now_ms + self._limits.keep_ms,
            "owner": None,
        }
        if store.change(connection, batch, ("finalizing",), values) and batch.kind == "openai":
            store.drop_answers(connection, batch)
