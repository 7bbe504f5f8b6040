"""Where rows that must not be lost wait while the database cannot take them.

An append-only file whose space was taken in advance, so that it works on a full disk.  Each row
is a frame: its length and CRC32 (4 bytes each), then MessagePack.  A frame of length zero, or one
that was torn by a crash, ends the file.  Rows may be read twice (a crash after the commit, before
`clear`): whoever writes them to the database must not mind.
"""

import errno
import fcntl
import logging
import os
import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

log = logging.getLogger(__name__)

Row = tuple[Any, ...]
FILE_NAME = "portico.spool"
REJECTED_NAME = "portico.rejected"
"""Rows that the database refuses for a reason of their own.  Nothing writes them again; they are
kept for whoever finds out why (`portico db check` shows them)."""
_PROCESSES_MAX = 64
RESERVE_BYTES = 16 * 1024 * 1024
_HEAD = struct.Struct(">II")
_END = _HEAD.pack(0, 0)
_NOTHING = bytes(1024 * 1024)
_SHOWN_CHARACTERS_MAX = 200


class Spool:
    """Used by one thread of one process at a time."""

    def __init__(
        self, data_dir: Path, reserve_bytes: int = RESERVE_BYTES, name: str = FILE_NAME
    ) -> None:
        """Raises: BlockingIOError, when another process has it; OSError, when there is no room for
        the reserve."""
        self._file = os.open(data_dir / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _take_space(self._file, reserve_bytes)
        except OSError:
            os.close(self._file)
            raise
        self._end_bytes = 0
        self.rows = len(self.read())

    def append(self, rows: Iterable[tuple[str, Row]]) -> None:
        """Write (lane name, row) pairs and wait until they are on the disk.  A row that no file
        could keep (an integer beyond 64 bits, which no database takes either) goes to the log.

        Raises: OSError; the rows may be tried again then.
        """
        frames = [frame for row in rows if (frame := _frame(row))]
        data = b"".join(frames)
        # The end mark is written along: what an earlier, longer spool left behind is not ours.
        _write(self._file, data + _END, self._end_bytes)
        os.fdatasync(self._file)
        self._end_bytes += len(data)
        self.rows += len(frames)

    def read(self) -> list[tuple[str, Row]]:
        """Every row in the spool, oldest first."""
        rows, self._end_bytes = _read(self._file)
        return rows

    def clear(self) -> None:
        """Everything in it is in the database.  It may hold what was asked and answered, so it is
        written over: what is deleted there must not stay readable here."""
        for at in range(0, self._end_bytes, len(_NOTHING)):  # its first bytes say that it is empty
            _write(self._file, _NOTHING[: self._end_bytes - at], at)
        _write(self._file, _END, 0)
        os.fdatasync(self._file)
        self._end_bytes = 0
        self.rows = 0

    def close(self) -> None:
        os.close(self._file)


def claim(data_dir: Path, reserve_bytes: int) -> tuple[Spool, Spool]:
    """A spool of this process's own and the file for refused rows beside it; several servers may
    share a folder.  What dead processes left in theirs is moved here.

    Raises: OSError, when there is no room for the reserve.
    """
    spool, ending = _first_free(data_dir, reserve_bytes)
    for path in sorted(data_dir.glob(f"{FILE_NAME}*")):
        with suppress(BlockingIOError):  # its process lives
            left = Spool(data_dir, 0, path.name)
            if left.rows:
                spool.append(left.read())
                left.clear()
            left.close()
    return spool, Spool(data_dir, 0, REJECTED_NAME + ending)


def _first_free(data_dir: Path, reserve_bytes: int) -> tuple[Spool, str]:
    for number in range(_PROCESSES_MAX):
        ending = f".{number}" if number else ""
        with suppress(BlockingIOError):
            return Spool(data_dir, reserve_bytes, FILE_NAME + ending), ending
    raise OSError(errno.EBUSY, f"{_PROCESSES_MAX} servers share {data_dir} already")


def rows_in(path: Path) -> list[tuple[str, Row]]:
    """What a spool holds, whoever owns it; nothing where there is none.  Raises: OSError."""
    if not path.exists():
        return []
    file = os.open(path, os.O_RDONLY)
    try:
        return _read(file)[0]
    finally:
        os.close(file)


def _read(file: int) -> tuple[list[tuple[str, Row]], int]:
    """(rows, where the next one goes)."""
    rows: list[tuple[str, Row]] = []
    at = 0
    while True:
        head = os.pread(file, _HEAD.size, at).ljust(_HEAD.size, b"\0")
        length, crc = _HEAD.unpack(head)
        body = os.pread(file, length, at + _HEAD.size)
        if not length or zlib.crc32(body) != crc:
            return rows, at
        name, row = msgspec.msgpack.decode(body, type=tuple[str, tuple[Any, ...]])
        rows.append((name, row))
        at += _HEAD.size + length


def _frame(row: tuple[str, Row]) -> bytes:
    try:
        body = msgspec.msgpack.encode(row)
    except (OverflowError, TypeError, ValueError) as error:
        # Long texts hold what was asked and answered.
        shown = [
            "..." if isinstance(each, str) and len(each) > _SHOWN_CHARACTERS_MAX else each
            for each in row[1]
        ]
        log.error("%s: %r cannot be kept: %s", row[0], shown, error)
        return b""
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def _write(file: int, data: bytes, at: int) -> None:
    if os.pwrite(file, data, at) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _take_space(file: int, reserve_bytes: int) -> None:
    """Really written, not only allocated: some file systems keep promises only for blocks that
    have been used."""
    size = os.fstat(file).st_size
    while size < reserve_bytes:
        size += os.pwrite(file, _NOTHING[: reserve_bytes - size], size)
    os.fdatasync(file)
