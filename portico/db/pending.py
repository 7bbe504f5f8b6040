"""What was taken from the inbox and is not durable yet."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Connection

from portico.db.lane import Lane, Row

Change = Callable[[Connection], Any]
Future = asyncio.Future[Any]
Entry = tuple[Lane | None, Any, Future | None]
"""(lane, item, ack), or (None, change, its future), or STOP."""

Resolved = tuple[Future, Any]
"""A future and its result; an exception as result is raised to whoever awaits it."""

STOP: Entry = (None, None, None)
"""The last one."""


class Batch:
    """Items of one lane, oldest first, and who waits for each."""

    __slots__ = ("acks", "items", "lane")

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.items: list[Any] = []
        self.acks: list[Future | None] = []

    def answered(self, results: Iterable[Any]) -> list[Resolved]:
        """Raises: ValueError, when there is not one result for each item."""
        pairs = zip(self.acks, results, strict=True)
        return [(ack, result) for ack, result in pairs if ack is not None]


class Pending:
    def __init__(self, lanes: Iterable[Lane]) -> None:
        self._batches = {lane.name: Batch(lane) for lane in lanes}
        self.changes: list[tuple[Change, Future]] = []
        self.waiting = 0
        """How many are waited for."""

    def __bool__(self) -> bool:
        return bool(self.changes) or any(batch.items for batch in self._batches.values())

    @property
    def batches(self) -> list[Batch]:
        """Those with items, in the order of their lanes."""
        return [batch for batch in self._batches.values() if batch.items]

    def add(self, entry: Entry) -> None:
        """Raises: KeyError, for a lane that was not added to the writer."""
        lane, item, future = entry
        if lane is None:
            assert future is not None
            self.changes.append((item, future))
            return
        batch = self._batches[lane.name]
        batch.items.append(item)
        batch.acks.append(future)
        if future is not None:
            self.waiting += 1

    def refuse_changes(self, refusal: Exception) -> list[Resolved]:
        changes, self.changes = self.changes, []
        return [(done, refusal) for _, done in changes]

    def drop(self, refusal: Exception) -> list[Resolved]:
        """Let go of what need not survive; whoever waits for it is refused."""
        resolved = self.refuse_changes(refusal)
        for batch in self.batches:
            kept = Batch(batch.lane)
            for item, ack in zip(batch.items, batch.acks, strict=True):
                if batch.lane.keep(item) is not None:
                    kept.items.append(item)
                    kept.acks.append(ack)
                elif ack is not None:
                    self.waiting -= 1
                    resolved.append((ack, refusal))
            self._batches[batch.lane.name] = kept
        return resolved

    def kept(self) -> list[tuple[str, Row]]:
        """(lane name, row) of everything that must survive."""
        rows = []
        for batch in self.batches:
            for item in batch.items:
                row = batch.lane.keep(item)
                if row is not None:
                    rows.append((batch.lane.name, row))
        return rows

    def take(self) -> list[Resolved]:
        """Everything is safe elsewhere: forget it, and tell whoever waits."""
        resolved: list[Resolved] = []
        for batch in self.batches:
            resolved += batch.answered([None] * len(batch.items))
            self._batches[batch.lane.name] = Batch(batch.lane)
        self.waiting = 0
        return resolved
