"""What happens once something has ended: it is told, and one day it is gone."""

from collections.abc import Callable, Coroutine
from typing import Any

from portico.app.storage import Books
from portico.background.announcing import Announcing
from portico.background.expiring import Expiring
from portico.db.readers import Readers
from portico.kit.clock import Clock
from portico.resources.files.service import Files


def ends(
    books: Books, readers: Readers, files: Files, clock: Clock
) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
    announcing = Announcing(readers, books.writer, clock)
    expiring = Expiring(readers, books.writer, files, clock)
    return announcing.run, expiring.run
