"""Which tables a database has, and how they become those of this version."""

from sqlalchemy import Connection, inspect

from portico.db.backends.base import Unusable
from portico.db.migrations import HEAD


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
    # Loaded only when there is something to migrate: it is slower than opening the database.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "portico.db:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
