"""Writes down what the migrations make of an empty SQLite database.

uv run python tools/schema.py    # write portico/db/migrations/new_sqlite.sql

A new database is made from that file, which takes milliseconds and does without Alembic; one that
exists goes through the migrations.  `tests/db/test_new.py` holds that both end the same.
"""

import sqlite3
import tempfile
from pathlib import Path

from portico.db.database import connect_database
from portico.db.schema import NEW_SQLITE, run_migrations


def script() -> str:
    """One statement after the other, without the transaction around them."""
    with tempfile.TemporaryDirectory() as folder:
        database = connect_database(Path(folder))
        database.write(run_migrations)
        written = sqlite3.connect(database.place)
        _begin, *statements, _commit = written.iterdump()
        written.close()
    return "\n".join(statements) + "\n"


if __name__ == "__main__":
    NEW_SQLITE.write_text(script())
