"""All files of a project at once, for a command: it blocks, and needs no server."""

from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from portico.resources.files import store
from portico.resources.files.model import Owner
from portico.resources.files.shelves.shelf import Shelf

_MOST = 200
"""In one transaction, for which others wait."""

T = TypeVar("T")


class Write(Protocol):
    """As `Database.write`."""

    def __call__(self, change: Callable[[Connection], T]) -> T: ...


def emptied(write: Write, shelf: Shelf, owner: Owner) -> int:
    """Files and uploads, with their bytes; how many.  Raises: OSError; what stays is swept by a
    server."""
    gone = 0
    while True:
        count, names = write(partial(store.remove_all, owner=owner, most=_MOST))
        for name in names:
            shelf.remove(name)
        gone += count
        if not count:
            return gone
