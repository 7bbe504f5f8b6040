"""One open transaction, spoken to in SQL that SQLite and PostgreSQL both understand.

Statements are written once, with `?` for a parameter, and run on the driver's own cursor: through
SQLAlchemy every one of them would cost three times as much, and these run for every request.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table

from portico.db.backends.base import Dialect

Row = tuple[Any, ...]
"""One value per column."""

_ROWS_AT_ONCE = 100
"""Few enough that every size of statement stays in the driver's cache."""


class Transaction:
    """Begun and ended by whoever made it (the writer, or `Database.write`).

    dialect: for the few words that differ.
    connection: the same transaction through SQLAlchemy, for rare changes.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.dialect: Dialect = connection.dialect.name  # type: ignore[assignment]  # the only two there are
        driver: Any = connection.connection.driver_connection
        self._cursor = driver.cursor()

    @property
    def for_update(self) -> str:
        """Ends a SELECT whose rows nobody else may change before this transaction ends.  SQLite
        has no such words and needs none: its transactions begin with the lock on everything."""
        return " FOR UPDATE" if self.dialect == "postgresql" else ""

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """What a SELECT or a RETURNING gives."""
        self._cursor.execute(self._words(sql), parameters)
        found: list[Row] = self._cursor.fetchall()
        return found

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """How many rows it changed."""
        self._cursor.execute(self._words(sql), parameters)
        return int(self._cursor.rowcount)

    def each(self, sql: str, rows: Sequence[Row]) -> int:
        """The statement once per row; how many rows of the table they changed in all."""
        if not rows:
            return 0
        self._cursor.executemany(self._words(sql), rows)
        return int(self._cursor.rowcount)

    def insert(self, table: Table, rows: Sequence[Row], conflict: str = "") -> None:
        """Rows with one value per column of the table, in its order.

        conflict: what to do about a row that is there, such as "ON CONFLICT DO NOTHING".
        """
        if self.dialect == "postgresql" and len(rows) > 1:
            # psycopg sends them all without waiting in between, on one prepared statement; a text
            # with thousands of parameters costs it five times as much.
            self._cursor.executemany(self._words(_insert(table, 1, conflict)), rows)
            return
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[first : first + _ROWS_AT_ONCE]
            # One statement, not one for each row: between two of them the driver gives up the
            # interpreter, and getting it back from a busy event loop is what a row costs most.
            sql = _insert(table, len(some), conflict)
            self._cursor.execute(self._words(sql), list(chain.from_iterable(some)))

    def _words(self, sql: str) -> str:
        return sql if self.dialect == "sqlite" else _for_psycopg(sql)


def places(count: int) -> str:
    """`count` parameters for an IN: "(?, ?, ?)"; for none a list that nothing is in."""
    return f"({', '.join('?' * count)})" if count else "(NULL)"


@lru_cache(512)
def _for_psycopg(sql: str) -> str:
    return sql.replace("%", "%%").replace("?", "%s")


@lru_cache(1_024)
def _insert(table: Table, rows: int, conflict: str) -> str:
    names = ", ".join(table.columns.keys())
    values = ", ".join([places(len(table.columns))] * rows)
    return f"INSERT INTO {table.name} ({names}) VALUES {values} {conflict}"
