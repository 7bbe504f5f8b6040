"""Partial indexes: which rows they are over is said in the tables' code and in migrations."""

from sqlalchemy import Connection, Index

from portico.db.database import Database
from portico.db.tables import metadata

_OVER = {
    "sqlite": "SELECT name, substr(sql, instr(sql, ' WHERE ') + 7) FROM sqlite_master "
    "WHERE type = 'index' AND sql LIKE '% WHERE %'",
    "postgresql": "SELECT relname, pg_get_expr(indpred, indrelid) FROM pg_index "
    "JOIN pg_class ON pg_class.oid = indexrelid WHERE indpred IS NOT NULL",
}


def _over(connection: Connection, dialect: str) -> dict[str, str]:
    return {str(name): str(only) for name, only in connection.exec_driver_sql(_OVER[dialect])}


def _partial() -> dict[str, Index]:
    indexes = (index for table in metadata.tables.values() for index in table.indexes)
    return {
        str(index.name): index
        for index in indexes
        if index.dialect_options["sqlite"]["where"] is not None
    }


def test_they_are_over_the_rows_that_the_code_says(database: Database) -> None:
    made = database.read(lambda c: _over(c, database.dialect))
    assert made.keys() == _partial().keys()

    def again(connection: Connection) -> None:
        """The same once more by the code's words: each database writes them in its own way."""
        for name, index in _partial().items():
            only = index.dialect_options["sqlite"]["where"]
            column = next(iter(index.columns))
            connection.exec_driver_sql(
                f"CREATE INDEX again_{name} ON {column.table.name} ({column.name}) WHERE {only}"
            )

    database.write(again)
    both = database.read(lambda c: _over(c, database.dialect))
    assert {name: both[f"again_{name}"] for name in made} == made
