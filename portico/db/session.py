"""The writer's connection, and what one transaction does on it."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection

from portico.db.backends.base import Trouble
from portico.db.database import Database
from portico.db.lane import Lane, Row
from portico.db.pending import Batch, Pending, Resolved
from portico.db.transaction import Transaction

log = logging.getLogger(__name__)

_MARK = "one"
"""The savepoint's name; there is only ever one of ours."""

Kept = list[tuple[str, Row]]
"""(lane name, row) as the spool gives them."""


class Session:
    """Opened for the writer's thread.  Raises: the driver's errors."""

    def __init__(self, database: Database, log_bytes: int) -> None:
        self._backend = database.backend
        self._connection: Connection = database.connect()
        self._driver: Any = self._connection.connection.driver_connection
        self._backend.prepare_writer(self._driver, log_bytes)
        self._transaction = Transaction(self._connection)
        self.committing = False
        """A commit is under way, or its outcome is not known."""

    def finish(self) -> None:
        """After the last transaction."""
        self._backend.finish_writer(self._driver)

    def close(self) -> None:
        """Also one that is broken."""
        self._connection.invalidate()
        self._connection.close()

    def write(
        self, pending: Pending, lanes: dict[str, Lane], kept: Kept, *, alone: bool
    ) -> tuple[list[Resolved], Kept]:
        """Begin a transaction with what was kept, what is pending, the changes.  Gives the results
        and the rows that the database refuses.

        alone: every batch on a savepoint, and where it fails, every item.  The other way costs
        less, and one bad item fails it all.
        """
        self._backend.begin(self._driver)
        refused: Kept = []
        self._restore(lanes, kept, refused, alone=alone)
        resolved: list[Resolved] = []
        for batch in pending.batches:
            if alone:
                resolved += self._carefully(batch, refused)
            else:
                resolved += batch.answered(batch.lane.write(self._transaction, batch.items))
        resolved += [(done, self._change(change)) for change, done in pending.changes]
        return resolved, refused

    def commit(self) -> None:
        self.committing = True
        if self._connection.in_transaction():
            self._connection.commit()
        else:
            self._driver.commit()
        self.committing = False

    def roll_back(self) -> None:
        """Raises: the driver's errors."""
        self.committing = False
        # Also where it says that it is in none: one whose commit failed stays, and stands in the way of
        # all that comes, until it is rolled back.
        self._connection.rollback()
        # Nothing where the database has rolled back already, as SQLite does on a full disk.
        self._driver.rollback()

    def _restore(self, lanes: dict[str, Lane], kept: Kept, refused: Kept, *, alone: bool) -> None:
        by_lane: dict[str, list[Row]] = {}
        for name, row in kept:
            by_lane.setdefault(name, []).append(row)
        for name in (name for name in lanes if name in by_lane):
            restore, rows = lanes[name].restore, by_lane[name]
            if not alone:
                restore(self._transaction, rows)
                continue
            for row in rows:
                error = self._try(restore, [row])
                if isinstance(error, Exception):
                    bare = lanes[name].bare(row)
                    log.error("%s: the database refuses %r", name, bare, exc_info=error)
                    refused.append((name, bare))

    def _carefully(self, batch: Batch, refused: Kept) -> list[Resolved]:
        results = self._try(batch.lane.write, batch.items)
        if not isinstance(results, Exception) and len(results) == len(batch.items):
            return batch.answered(results)
        return batch.answered([self._one(batch.lane, item, refused) for item in batch.items])

    def _one(self, lane: Lane, item: Any, refused: Kept) -> Any:
        results = self._try(lane.write, [item])
        if not isinstance(results, Exception):
            return results[0]
        row = lane.keep(item)
        bare = None if row is None else lane.bare(row)
        shown = item if bare is None else bare
        log.error("%s: the database refuses %r", lane.name, shown, exc_info=results)
        if bare is not None:
            refused.append((lane.name, bare))
        return results

    def _try(self, write: Callable[[Transaction, Sequence[Any]], Any], items: Sequence[Any]) -> Any:
        """What `write` gives, or the exception that undid it."""
        self._transaction.run(f"SAVEPOINT {_MARK}")
        try:
            result = write(self._transaction, items)
        except Exception as error:
            if self.trouble(error) is not None:
                raise
            self._transaction.run(f"ROLLBACK TO SAVEPOINT {_MARK}")
            result = error
        self._transaction.run(f"RELEASE SAVEPOINT {_MARK}")
        return result

    def _change(self, change: Callable[[Connection], Any]) -> Any:
        savepoint = self._connection.begin_nested()
        try:
            result = change(self._connection)
        except Exception as error:
            if self.trouble(error) is not None:
                raise
            savepoint.rollback()
            return error
        savepoint.commit()
        return result

    def trouble(self, error: Exception) -> Trouble | None:
        return self._backend.trouble(error)
