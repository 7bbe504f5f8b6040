"""PostgreSQL, through psycopg 3 (extra `postgres`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool
from sqlalchemy.util import immutabledict

from portico.db.backends.base import Dialect, Space, Trouble, Unusable, of_driver

_TURN = 0x706F_7274_6963_6F00
"""Whoever writes holds this advisory lock (its number spells "portico")."""
_WRITER_LOCK_WAIT_MS = 250
_LOCK_WAIT_MS = 5_000
_BEGIN_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_BEGIN_FOR = f"{_BEGIN_SNAPSHOT}; SELECT set_config('portico.organisation', %s, true)"
"""Which organisation a connection is for: the policies of migration 0011 go by it."""
_IDLE_IN_TRANSACTION_MS = 10_000
_CONNECT = {
    "connect_timeout": 3,
    # A server that vanished without a word is noticed within seconds, not after two hours.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "portico",
    "autocommit": True,
}
_CANCELLED = "57014"
_LOST = Trouble("the connection to the database is lost", passing=True, lost=True)
_CAUSES = {
    "25006": Trouble("the database accepts no writes", passing=True, lost=True),
    "42501": Trouble("the database does not let this user write"),
    "53100": Trouble("the disk is full on the database server"),
    "53200": Trouble("the database is out of memory", passing=True),
    "53300": Trouble("the database has too many connections", passing=True, lost=True),
    "55P03": Trouble("the database is locked by another process", passing=True),
    _CANCELLED: Trouble("the database took too long", passing=True),
}
"""By SQLSTATE."""
_ROW_TOO_BIG = "54"
"""SQLSTATE class of limits that one row goes beyond: its own fault, not the server's."""


class DriverMissing(Unusable):
    """psycopg is not installed."""


class UrlInvalid(Unusable):
    """`database.url` is not the address of a PostgreSQL database."""


class Postgresql:
    """Reads are committed, whoever writes waits for his turn: an advisory lock, taken with BEGIN
    and given back by the end of the transaction.  So batches of several servers never lock rows
    against each other in different orders, and a batch whose commit was sent when the connection
    broke has ended, one way or the other, before it is run again."""

    name: Dialect = "postgresql"
    keeps_tenants_apart = True
    fills_own_disk = False

    def __init__(self, url: str) -> None:
        """url: postgresql://user:password@host:port/database.  Raises: DriverMissing, UrlInvalid."""
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise UrlInvalid("database.url is not a URL.") from error
        if parsed.drivername not in ("postgresql", "postgres"):
            raise UrlInvalid(
                f"database.url begins with {parsed.drivername}://, not with postgresql://."
            )
        # No query: options such as sslpassword are secrets too.
        self.place = parsed._replace(password=None, query=immutabledict()).render_as_string()
        try:
            self._engine = create_engine(
                parsed.set(drivername="postgresql+psycopg"),
                poolclass=NullPool,
                hide_parameters=True,  # an error that is logged tells nobody's words
                isolation_level="AUTOCOMMIT",
                connect_args=_CONNECT,
                use_native_hstore=False,  # saves a question with every first connection
            )
        except ModuleNotFoundError as error:
            raise DriverMissing(
                "PostgreSQL needs the extra `postgres`: pip install 'portico[postgres]'."
            ) from error
        event.listen(self._engine, "connect", _set_patience)
        event.listen(self._engine, "connect", _take_any_text)

    @property
    def engine(self) -> Engine:
        return self._engine

    def begin(self, driver: Any) -> None:
        # One text, one trip to the server.
        driver.execute(f"BEGIN; SELECT pg_advisory_xact_lock({_TURN})")

    def begin_snapshot(self, driver: Any) -> None:
        with _told_as_queries_are(_BEGIN_SNAPSHOT):
            driver.execute(_BEGIN_SNAPSHOT)

    def as_system(self, driver: Any) -> None:
        driver.execute("SET portico.organisation = '*'")

    def begin_for(self, driver: Any, organisation_id: str) -> None:
        from psycopg import ClientCursor  # noqa: PLC0415  # an extra

        # One text, one trip, which takes a cursor that puts values in itself; what is said is gone
        # with the transaction, whatever becomes of the query.
        with ClientCursor(driver) as cursor, _told_as_queries_are(_BEGIN_FOR):
            cursor.execute(_BEGIN_FOR, (organisation_id,))

    def only_reads(self, connection: Connection) -> None:
        connection.exec_driver_sql("SET default_transaction_read_only = on")

    def limit(self, driver: Any, seconds: float | None) -> None:
        # A transaction that has failed takes it back itself, with its rollback.
        if not driver.closed and driver.info.transaction_status.name != "INERROR":
            allowed_ms = str(round(1000 * (seconds or 0)))
            driver.execute("SELECT set_config('statement_timeout', %s, false)", (allowed_ms,))

    def took_too_long(self, error: Exception) -> bool:
        return getattr(of_driver(error), "sqlstate", None) == _CANCELLED

    def prepare_writer(self, driver: Any, log_bytes: int) -> None:
        driver.execute(
            f"SET lock_timeout = {_WRITER_LOCK_WAIT_MS}; "
            # A server that hangs in the middle must not keep all others from their turn.
            f"SET idle_in_transaction_session_timeout = {_IDLE_IN_TRANSACTION_MS}"
        )

    def finish_writer(self, driver: Any) -> None:
        return

    def wipe(self, driver: Any) -> bool:
        return True  # its files are the server's: see docs/guides/postgresql.md

    def space(self, driver: Any) -> Space | None:
        return None

    def shrink(self, driver: Any) -> bool:
        return False  # autovacuum does

    def compact(self, driver: Any) -> None:
        return

    def trouble(self, error: Exception) -> Trouble | None:
        from psycopg import Error, InterfaceError, OperationalError  # noqa: PLC0415  # an extra

        cause = of_driver(error)
        if not isinstance(cause, Error):
            return None
        state = cause.sqlstate or ""
        if state in _CAUSES:
            return _CAUSES[state]
        if state.startswith("40"):  # deadlock, serialization: the others go first
            return Trouble("another process changes the same rows", passing=True)
        if state.startswith("XX"):
            return Trouble("the database reports an internal error")
        lost = isinstance(cause, InterfaceError | OperationalError)
        return _LOST if lost and not state.startswith(_ROW_TOO_BIG) else None


@contextmanager
def _told_as_queries_are(statement: str) -> Iterator[None]:
    """What goes wrong before a query, as SQLAlchemy tells what goes wrong in it."""
    from psycopg import Error  # noqa: PLC0415  # an extra

    try:
        yield
    except Error as error:
        raise DBAPIError(statement, None, error) from error


def _set_patience(driver_connection: Any, _record: object) -> None:
    driver_connection.execute(f"SET lock_timeout = {_LOCK_WAIT_MS}")


def _take_any_text(driver_connection: Any, _record: object) -> None:
    """PostgreSQL's text has no room for NUL.  Ids and names are whatever callers write, and one such
    sign in them must not undo the commit that charges for their request."""
    from psycopg.types.string import StrDumperUnknown  # noqa: PLC0415  # an extra

    class AnyText(StrDumperUnknown):
        def dump(self, obj: str) -> bytes:
            return obj.replace("\0", "\ufffd").encode()

    driver_connection.adapters.register_dumper(str, AnyText)
