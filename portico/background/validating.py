"""Reads the file of a batch: all its lines are right, or none of them runs."""

import asyncio
from functools import partial

from sqlalchemy import Connection

from portico.db.transaction import Transaction
from portico.db.writer import Writer
from portico.dialects.body import BOM
from portico.errors import Refusal
from portico.keeping import service as keeping
from portico.keeping.room import Room
from portico.keeping.rules import ROW_BYTES
from portico.kit.clock import Clock
from portico.resources.batches import store
from portico.resources.batches.model import LINES_AT_ONCE, Batch, Limits, NewLine, Reading
from portico.resources.batches.rules import (
    ERRORS_MAX,
    BadLine,
    Reader,
    too_large_line,
    too_many_lines,
)
from portico.resources.files.model import Owner
from portico.resources.files.service import Files

_BYTES_AT_ONCE = 1_048_576
"""Of lines: they are written to the database then."""
_LINES_A_TURN = 50
"""Read before others on this loop have their turn."""


class Validating:
    """room: what projects may keep."""

    def __init__(
        self, files: Files, writer: Writer, clock: Clock, limits: Limits, room: Room
    ) -> None:
        self._room = room
        self._files = files
        self._writer = writer
        self._clock = clock
        self._limits = limits

    async def validate(self, batch: Batch) -> None:
        """It goes on as in progress, or has failed.  What an earlier try has read is read again.

        Raises: Refusal: storage_unavailable."""
        await self._drop(batch)
        reading = Reading()
        try:
            await self._read(batch, reading)
        except Refusal as refusal:
            if refusal.entry.retryable:
                raise
            reading.errors = [_told(refusal)]
        if not reading.lines and not reading.errors:
            reading.errors = [BadLine("empty_file", "The file has no lines.").told(0)]
        if reading.errors:
            await self._drop(batch)
        await self._writer.run(partial(self._end, batch, reading))

    async def _read(self, batch: Batch, reading: Reading) -> None:
        """Raises: Refusal."""
        owner = Owner(batch.organisation_id, batch.project_id)
        file = await self._files.get(owner, batch.input_file_id or "", "input_file_id")
        taking = _Taking(Reader(batch.endpoint, self._limits), self._limits, reading)
        async with await self._files.open(file) as source:
            while piece := await source.piece():
                await taking.take(piece)
                if taking.full:
                    return
                if taking.waiting_bytes >= _BYTES_AT_ONCE:
                    await self._add(batch, taking.taken())
        taking.end()
        await self._add(batch, taking.taken())

    async def _add(self, batch: Batch, lines: list[NewLine]) -> None:
        """Raises: Refusal: storage_quota_exceeded; storage_unavailable."""
        if lines:
            self._room.check(batch.project_id)
        for first in range(0, len(lines), LINES_AT_ONCE):
            some = lines[first : first + LINES_AT_ONCE]
            await self._writer.run(partial(store.add_lines, new=batch, lines=some))
            added_bytes = sum(len(each.request) + ROW_BYTES for each in some)
            self._room.grew(batch.project_id, added_bytes)

    async def _drop(self, batch: Batch) -> None:
        """In pieces, between which others write."""
        drop = partial(store.drop_lines, of=batch, most=LINES_AT_ONCE)
        while await self._writer.run(drop):
            pass

    def _end(self, batch: Batch, reading: Reading, connection: Connection) -> None:
        now_ms = self._clock.wall_ms()
        if reading.errors:
            failed = {
                "state": "failed",
                "errors": store.words(reading.errors),
                "ended_at_ms": now_ms,
                "expires_at_ms": keeping.until_ms(
                    Transaction(connection), batch.project_id, now_ms, now_ms + self._limits.keep_ms
                ),
                "owner": None,
            }
            store.change(connection, batch, ("validating", "cancelling"), failed)
            return
        started = {"state": "in_progress", "started_at_ms": now_ms, "lines": reading.lines}
        if not store.change(connection, batch, ("validating",), started):
            store.change(connection, batch, ("cancelling",), {"lines": reading.lines})


class _Taking:
    """Lines of one file out of its pieces."""

    def __init__(self, reader: Reader, limits: Limits, reading: Reading) -> None:
        self._reader = reader
        self._limits = limits
        self._reading = reading
        self._number = 0
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._lines: list[NewLine] = []
        self.waiting_bytes = 0
        self._over = False

    @property
    def full(self) -> bool:
        """There is enough to tell, and none of the lines will run."""
        return self._over or len(self._reading.errors) >= ERRORS_MAX

    async def take(self, piece: bytes) -> None:
        first, *more = piece.split(b"\n")
        self._rest.append(first)
        self._rest_bytes += len(first)
        for text in more:
            self._whole()
            self._rest, self._rest_bytes = [text], len(text)
            if self._number % _LINES_A_TURN == 0:
                await asyncio.sleep(0)
            if self.full:
                return
        if self._rest_bytes > self._limits.line_bytes_max + len(BOM):
            self._number += 1
            self._give_up(too_large_line(self._rest_bytes, self._limits.line_bytes_max, more=True))

    def end(self) -> None:
        self._whole()

    def taken(self) -> list[NewLine]:
        lines, self._lines, self.waiting_bytes = self._lines, [], 0
        return lines

    def _whole(self) -> None:
        """A blank line is none, but counts: a file of nothing else would be read for hours."""
        text, reading = b"".join(self._rest), self._reading
        self._rest, self._rest_bytes = [], 0
        self._number += 1
        if self._number == 1:
            text = text.removeprefix(BOM)
        text = text.strip()
        if self._number > self._most or (text and reading.lines >= self._limits.lines_max):
            self._give_up(too_many_lines(self._limits.lines_max))
        elif text:
            self._read(text)

    def _read(self, text: bytes) -> None:
        try:
            self._lines.append(self._reader.read(self._number, text))
            self.waiting_bytes += len(text)
            self._reading.lines += 1
        except BadLine as bad:
            self._reading.errors.append(bad.told(self._number))

    def _give_up(self, bad: BadLine) -> None:
        self._reading.errors.append(bad.told(self._number))
        self._over = True

    @property
    def _most(self) -> int:
        return 2 * self._limits.lines_max + _LINES_A_TURN


def _told(refusal: Refusal) -> dict[str, object]:
    return {
        "code": refusal.code,
        "line": None,
        "message": refusal.message,
        "param": refusal.field,
    }
