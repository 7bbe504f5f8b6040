"""What happens once something has ended: it is told, and one day it is gone."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from portico.app.storage import Books
from portico.background.announcing import Announcing
from portico.background.expiring import Expiring
from portico.background.surveying import Surveying
from portico.background.weighing import Weighing
from portico.db.readers import Readers
from portico.kit.clock import Clock
from portico.observe.metrics import Metrics
from portico.resources.files.service import Files


def ends(
    books: Books, readers: Readers, files: Files, clock: Clock, metrics: Metrics
) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
    announcing = Announcing(readers, books.writer, clock)
    expiring = Expiring(readers, books.writer, files, clock)
    surveying = Surveying(books.long, clock)
    weighing = Weighing(books.long, books.room, clock)
    rows = surveying.rows
    metrics.gauge("responses_kept", "Responses kept, a minute ago.", partial(rows, "responses"))
    metrics.gauge("batches_kept", "Batches kept, a minute ago.", partial(rows, "batches"))
    metrics.gauge(
        "conversations_kept", "Conversations kept, a minute ago.", partial(rows, "conversations")
    )
    metrics.gauge(
        "kept_overdue",
        "Rows that should have been removed ten minutes ago, and projects that should hold nothing.",
        surveying.overdue,
    )
    metrics.gauge(
        "unfinished_oldest_seconds",
        "Since the oldest response in the background or batch began that has not ended; 0: none.",
        surveying.oldest_s,
    )
    metrics.gauge(
        "kept_projects_full",
        "Projects that keep as much as they may, as far as this server knows.",
        lambda: books.room.full,
    )
    return announcing.run, expiring.run, surveying.run, weighing.run
