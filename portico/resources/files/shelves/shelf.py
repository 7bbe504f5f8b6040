"""What files need of the place where their bytes are.  Everything here blocks: for a thread.

A name is an id of Portico's own making, never anybody's word.  What goes wrong is an OSError.
"""

from collections.abc import Collection, Iterator
from typing import Protocol


class Slot(Protocol):
    """Bytes on their way in, which nobody sees before `keep`.  Then, or after `drop`, it is over."""

    def write(self, data: bytes) -> None: ...

    def keep(self) -> None:
        """Returns once they are safe, whatever happens to this machine's power."""
        ...

    def drop(self) -> None: ...


class Stream(Protocol):
    def read(self, size_bytes: int) -> bytes:
        """b"" at the end."""
        ...

    def close(self) -> None: ...


class Shelf(Protocol):
    def begin(self, name: str) -> Slot: ...

    def open(self, name: str, start: int = 0) -> Stream:
        """From the byte `start` on."""
        ...

    def remove(self, name: str) -> None:
        """Of what is not there: nothing."""
        ...

    def names(self) -> Iterator[tuple[str, int]]:
        """All that is kept, and since when (wall clock, milliseconds)."""
        ...

    def drop_drafts(self, before_ms: int, spared: Collection[str]) -> int:
        """Ends what was begun, and not written to since then; gives how many.

        spared: names of those that are known to be under way."""
        ...
