"""Reads the file of a batch: all its lines are right, or none of them runs."""

import asyncio
from functools import partial

from sqlalchemy import Connection

from portico.db.writer import Writer
from portico.errors import Refusal
from portico.kit.clock import Clock
from portico.resources.batches import store
from portico.resources.batches.model import Batch, Limits, NewLine, Reading
from portico.resources.batches.rules import ERRORS_MAX, BadLine, Reader
from portico.resources.files.model import Owner
from portico.resources.files.service import Files

_LINES_AT_ONCE = 500
"""In one transaction."""
_LINES_A_TURN = 50
"""Read before others on this loop have their turn."""


class Validating:
    def __init__(self, files: Files, writer: Writer, clock: Clock, limits: Limits) -> None:
        self._files = files
        self._writer = writer
        self._clock = clock
        self._limits = limits

    async def validate(self, batch: Batch) -> None:
        """It goes on as in progress, or has failed.  What an earlier try has read is read again.

        Raises: Refusal: storage_unavailable."""
        await self._writer.run(partial(store.drop_lines, of=batch))
        reading = Reading()
        try:
            await self._read(batch, reading)
        except Refusal as refusal:
            if refusal.entry.retryable:
                raise
            reading.errors = [_told(refusal)]
        if not reading.lines and not reading.errors:
            reading.errors = [BadLine("empty_file", "The file has no lines.").told(0)]
        await self._writer.run(partial(self._end, batch, reading))

    async def _read(self, batch: Batch, reading: Reading) -> None:
        """Raises: Refusal."""
        owner = Owner(batch.organisation_id, batch.project_id)
        file = await self._files.get(owner, batch.input_file_id or "", "input_file_id")
        reader, rest, lines = Reader(batch.endpoint, self._limits), b"", list[NewLine]()
        number = 0
        async with await self._files.open(file) as source:
            while piece := await source.piece():
                *whole, rest = (rest + piece).split(b"\n")
                number = await self._take_all(reader, number, whole, lines, reading)
                if len(rest) > self._limits.line_bytes_max:
                    _take(reader, number + 1, rest, lines, reading, self._limits)
                    return
                while len(lines) >= _LINES_AT_ONCE:
                    await self._add(batch, lines[:_LINES_AT_ONCE])
                    del lines[:_LINES_AT_ONCE]
        _take(reader, number + 1, rest, lines, reading, self._limits)
        await self._add(batch, lines)

    async def _take_all(
        self,
        reader: Reader,
        number: int,
        whole: list[bytes],
        lines: list[NewLine],
        reading: Reading,
    ) -> int:
        """Gives the number of the last of them."""
        for text in whole:
            number += 1
            _take(reader, number, text, lines, reading, self._limits)
            if number % _LINES_A_TURN == 0:
                await asyncio.sleep(0)
        return number

    async def _add(self, batch: Batch, lines: list[NewLine]) -> None:
        await self._writer.run(partial(store.add_lines, new=batch, lines=lines))

    def _end(self, batch: Batch, reading: Reading, connection: Connection) -> None:
        now_ms = self._clock.wall_ms()
        if reading.errors:
            store.drop_lines(connection, batch)
            failed = {
                "state": "failed",
                "errors": store.words(reading.errors),
                "ended_at_ms": now_ms,
                "expires_at_ms": now_ms + self._limits.keep_ms,
                "owner": None,
            }
            store.change(connection, batch, ("validating", "cancelling"), failed)
            return
        started = {"state": "in_progress", "started_at_ms": now_ms, "lines": reading.lines}
        if not store.change(connection, batch, ("validating",), started):
            store.change(connection, batch, ("cancelling",), {"lines": reading.lines})


def _take(
    reader: Reader,
    number: int,
    text: bytes,
    lines: list[NewLine],
    reading: Reading,
    limits: Limits,
) -> None:
    """A blank line is none."""
    if not text.strip() or len(reading.errors) >= ERRORS_MAX:
        return
    try:
        if reading.lines >= limits.lines_max:
            raise BadLine("too_many_lines", f"A batch has at most {limits.lines_max} lines.")
        lines.append(reader.read(number, text.strip()))
        reading.lines += 1
    except BadLine as bad:
        reading.errors.append(bad.told(number))


def _told(refusal: Refusal) -> dict[str, object]:
    return {
        "code": refusal.code,
        "line": None,
        "message": refusal.message,
        "param": refusal.field,
    }
