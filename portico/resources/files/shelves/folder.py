"""Bytes in a folder: written beside their place, made safe, and only then put into it."""

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from errno import ENOSPC
from pathlib import Path
from typing import BinaryIO

_DRAFTS = "drafts"
_MODE, _FOLDER_MODE = 0o600, 0o700


class FolderShelf:
    """free_bytes_min: of its disk; what would leave less is refused."""

    def __init__(self, folder: Path, free_bytes_min: int = 0) -> None:
        """Raises: OSError."""
        self._folder = folder
        self._drafts = folder / _DRAFTS
        self._free_bytes_min = free_bytes_min
        self._drafts.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)

    def begin(self, name: str) -> "_Slot":
        self._check_space(0)
        return _Slot(self, name, self._drafts / name)

    def open(self, name: str, start: int = 0) -> BinaryIO:
        stream = self._place(name).open("rb")
        stream.seek(start)
        return stream

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._place(name).unlink()

    def names(self) -> Iterator[tuple[str, int]]:
        for shard in sorted(each for each in self._folder.iterdir() if len(each.name) == 2):
            for place in shard.iterdir():
                with suppress(FileNotFoundError):
                    yield place.name, place.stat().st_mtime_ns // 1_000_000

    def drop_drafts(self, before_ms: int, spared: Collection[str]) -> int:
        dropped = 0
        for draft in self._drafts.iterdir():
            with suppress(FileNotFoundError):
                if draft.name not in spared and draft.stat().st_mtime_ns < before_ms * 1_000_000:
                    draft.unlink()
                    dropped += 1
        return dropped

    def _place(self, name: str) -> Path:
        # By its last digits, which are chance; ids begin with their time.
        return self._folder / name[-2:] / name

    def _check_space(self, more_bytes: int) -> None:
        disk = os.statvfs(self._drafts)
        if disk.f_bavail * disk.f_frsize - more_bytes < self._free_bytes_min:
            raise OSError(ENOSPC, "the disk of the files is nearly full")

    def _settle(self, draft: Path, name: str) -> None:
        place = self._place(name)
        new = not place.parent.exists()
        place.parent.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        draft.rename(place)
        _sync(place.parent)
        if new:
            _sync(self._folder)


class _Slot:
    def __init__(self, shelf: FolderShelf, name: str, draft: Path) -> None:
        self._shelf, self._name, self._draft = shelf, name, draft
        self._file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)

    def write(self, data: bytes) -> None:
        self._shelf._check_space(len(data))
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def keep(self) -> None:
        os.fsync(self._file)
        self._shelf._settle(self._draft, self._name)
        self._close()

    def drop(self) -> None:
        self._close()
        with suppress(FileNotFoundError):
            self._draft.unlink()

    def _close(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


def _sync(folder: Path) -> None:
    """What was renamed is only then where it is said to be."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
