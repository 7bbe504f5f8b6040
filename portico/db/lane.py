"""One kind of hot write, and the statement that makes it durable."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ClauseElement, ColumnElement, Table
from sqlalchemy.dialects import sqlite

Row = tuple[Any, ...]
"""One value per column of the lane's table, in the table's order."""


@dataclass(frozen=True, eq=False, slots=True)
class Lane:
    """What the writer needs to know about one kind of row.

    name: marks its rows in the spool file; never used for anything else later.
    rows: what was put, in order, to rows.  Runs on the writer's thread, perhaps again after a
      failed commit.
    must_survive: may a row never be dropped?  The others are repeated by whoever puts them.
    upsert: the statement, see `upsert`.
    """

    name: str
    rows: Callable[[Sequence[Any]], list[Row]]
    must_survive: Callable[[Row], bool]
    upsert: str

    def upsert_of(self, rows: int) -> str:
        """The statement for `rows` rows at once.

        One statement, not one for each row: between two statements the driver gives up the
        interpreter, and getting it back from a busy event loop is what a row would cost most.
        """
        one = _placeholders(self.upsert.count("?"))
        return self.upsert.replace(one, ", ".join([one] * rows))


def _placeholders(columns: int) -> str:
    return f"({', '.join('?' * columns)})"


def upsert(table: Table, *, replace_if: ColumnElement[bool]) -> str:
    """SQL that inserts a row, or replaces the one with its id while `replace_if` (which
    has no parameters of its own) holds for it.

    Compiled once, with one positional parameter per column: run through SQLAlchemy, every row
    would cost three times as much.
    """
    insert = sqlite.insert(table)
    changed = {c.name: insert.excluded[c.name] for c in table.columns if not c.primary_key}
    statement = insert.on_conflict_do_update(
        index_elements=list(table.primary_key.columns), set_=changed, where=replace_if
    )
    return _compile(statement, [c.name for c in table.columns])


def _compile(statement: ClauseElement, parameters: list[str]) -> str:
    compiled = statement.compile(dialect=sqlite.dialect(paramstyle="qmark"))
    names = getattr(compiled, "positiontup", None)
    if names != parameters:
        raise ValueError(f"The statement takes {names}, not {parameters}.")
    return str(compiled)
