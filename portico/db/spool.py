"""Where rows that must not be lost wait while the database cannot take them.

An append-only file whose space was taken in advance, so that it works on a full disk.  Each row
is a frame: its length and CRC32 (4 bytes each), then MessagePack.  A frame of length zero, or one
that was torn by a crash, ends the file.  Rows may be read twice (a crash after the commit, before
`clear`): whoever writes them to the database must not mind.
"""

import errno
import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from portico.db.lane import Row

FILE_NAME = "portico.spool"
RESERVE_BYTES = 16 * 1024 * 1024
_HEAD = struct.Struct(">II")
_END = _HEAD.pack(0, 0)


class Spool:
    """Used by one thread at a time."""

    def __init__(self, data_dir: Path, reserve_bytes: int = RESERVE_BYTES) -> None:
        """Raises: OSError, when there is no room for the reserve."""
        self._file = os.open(data_dir / FILE_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        _take_space(self._file, reserve_bytes)
        self._end_bytes = 0
        self.rows = len(self.read())

    def append(self, rows: Iterable[tuple[str, Row]]) -> None:
        """Write (lane name, row) pairs and wait until they are on the disk.

        Raises: OSError; the rows may be tried again then.
        """
        frames = [_frame(row) for row in rows]
        data = b"".join(frames)
        # The end mark is written along: what an earlier, longer spool left behind is not ours.
        _write(self._file, data + _END, self._end_bytes)
        os.fdatasync(self._file)
        self._end_bytes += len(data)
        self.rows += len(frames)

    def read(self) -> list[tuple[str, Row]]:
        """Every row in the spool, oldest first."""
        rows: list[tuple[str, Row]] = []
        at = 0
        while True:
            head = os.pread(self._file, _HEAD.size, at).ljust(_HEAD.size, b"\0")
            length, crc = _HEAD.unpack(head)
            body = os.pread(self._file, length, at + _HEAD.size)
            if not length or zlib.crc32(body) != crc:
                break
            name, row = msgspec.msgpack.decode(body, type=tuple[str, tuple[Any, ...]])
            rows.append((name, row))
            at += _HEAD.size + length
        self._end_bytes = at
        return rows

    def clear(self) -> None:
        """Everything in it is in the database."""
        _write(self._file, _END, 0)
        os.fdatasync(self._file)
        self._end_bytes = 0
        self.rows = 0

    def close(self) -> None:
        os.close(self._file)


def _frame(row: tuple[str, Row]) -> bytes:
    body = msgspec.msgpack.encode(row)
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def _write(file: int, data: bytes, at: int) -> None:
    if os.pwrite(file, data, at) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _take_space(file: int, reserve_bytes: int) -> None:
    """Really written, not only allocated: some file systems keep promises only for blocks that
    have been used."""
    size = os.fstat(file).st_size
    block = bytes(1024 * 1024)
    while size < reserve_bytes:
        size += os.pwrite(file, block[: reserve_bytes - size], size)
    os.fdatasync(file)
