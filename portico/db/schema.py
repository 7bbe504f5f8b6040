"""Which tables a database has, and how they become those of this version."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect

from portico.db.backends.base import Unusable
from portico.db.migrations import HEAD

NEW_SQLITE = Path(__file__).parent / "migrations" / "new_sqlite.sql"
"""What the migrations make of an empty SQLite database, written down by `tools/schema.py`."""


class NewerDatabase(Unusable):
    """The database was written by a newer Portico; this one must not touch it."""


def revision(connection: Connection) -> str:
    """The schema's revision, "" for a new database."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    stored = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return str(stored or "")


def refuse_newer(stored: str) -> None:
    """Revisions are numbers of four digits.  Raises: NewerDatabase."""
    if stored > HEAD:
        raise NewerDatabase(
            "The database was written by a newer Portico; install that version or use "
            "another database."
        )


def migrate(connection: Connection) -> None:
    """Inside the caller's transaction."""
    if connection.dialect.name == "sqlite" and not revision(connection):
        _create(connection)
    if revision(connection) != HEAD:
        run_migrations(connection)


def run_migrations(connection: Connection) -> None:
    """Inside the caller's transaction: those that the database does not have yet, one by one."""
    # Loaded only when there is something to migrate: it is slower than opening the database.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "portico.db:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _create(connection: Connection) -> None:
    """What all the migrations up to `NEW_SQLITE` would have made of an empty database, at once."""
    # Of so many statements, what SQLAlchemy does around each takes as long as all of them.
    driver: Any = connection.connection.driver_connection
    for statement in _statements(NEW_SQLITE.read_text()):
        driver.execute(statement)


def _statements(script: str) -> Iterator[str]:
    """One by one: the driver's own way to run a script commits before it begins."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""
