"""One kind of hot write: what the writer does with what was put on it."""

from collections.abc import Sequence
from typing import Any, Protocol

from portico.db.transaction import Row, Transaction

__all__ = ["Lane", "Row"]


class Lane(Protocol):
    """Everything here runs on the writer's thread.  Lanes write in the order they were added."""

    @property
    def name(self) -> str:
        """Marks its rows in the spool file; never used for anything else later."""
        ...

    def write(self, transaction: Transaction, items: Sequence[Any]) -> Sequence[Any]:
        """Write `items`, oldest first, inside the commit they share; one result for each.

        A result that is an exception is raised to whoever waits for that item.  It may run again:
        after a failed commit, after one whose fate is unknown, and item by item where the whole
        batch fails.  So it must do nothing but database work, find what it has written before by
        its id, and let errors of the database through: on PostgreSQL nothing more can be done in
        a transaction that has met one.
        """
        ...

    def keep(self, item: Any) -> Row | None:
        """What goes to the spool when the database will not: plain values.  None: the item is
        dropped, and whoever waits for it is refused."""
        ...

    def restore(self, transaction: Transaction, rows: Sequence[Row]) -> None:
        """Write what was kept.  It may come twice."""
        ...

    def bare(self, row: Row) -> Row:
        """A row of `keep` as it may stay for good, in a file and in the log, where the database
        refuses it: without what was asked and answered, which no retention would reach there."""
        ...
