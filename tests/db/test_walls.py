"""The second wall: a query that forgets its WHERE sees nothing of others (PostgreSQL alone has it)."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
from psycopg import errors
from sqlalchemy import Connection, make_url
from sqlalchemy.exc import DBAPIError

from portico.db.database import Database, open_database
from portico.db.readers import Readers
from portico.db.within import within
from tests.db.databases import PostgresServer
from tests.db.walls import WALLED, plant
from tests.house.statements import TENANT_TABLES

A, B = "org_a", "org_b"


@pytest.fixture
def database(postgres_url: str, tmp_path: Path) -> Database:
    made = open_database(tmp_path, postgres_url)
    with made.connect() as connection:
        for organisation in (A, B):
            plant(connection, organisation)
    return made


@pytest.fixture
def raw(postgres_url: str) -> Iterator["psycopg.Connection[Any]"]:
    """A connection that has said nothing."""
    address = make_url(postgres_url).set(drivername="postgresql")
    text = address.render_as_string(hide_password=False)
    with psycopg.connect(text, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def planted(postgres: PostgresServer) -> Iterator["psycopg.Connection[Any]"]:
    """As `raw`, of a database that a whole file shares."""
    url = postgres.new_url()
    with TemporaryDirectory() as folder:
        with open_database(Path(folder), url).connect() as connection:
            for organisation in (A, B):
                plant(connection, organisation)
        address = make_url(url).set(drivername="postgresql")
        with psycopg.connect(
            address.render_as_string(hide_password=False), autocommit=True
        ) as connected:
            yield connected
    postgres.drop(url)


def count(connection: "Connection | psycopg.Connection[Any]", table: str) -> int:
    """The broken query."""
    sql = f"SELECT count(*) FROM {table}"
    if isinstance(connection, Connection):
        return int(connection.exec_driver_sql(sql).scalar_one())
    row = connection.execute(sql.encode()).fetchone()
    assert row is not None
    return int(row[0])


def say(connection: "psycopg.Connection[Any]", organisation: str) -> None:
    connection.execute("SELECT set_config('portico.organisation', %s, false)", (organisation,))


def test_the_role_is_one_that_walls_count_for(raw: "psycopg.Connection[Any]") -> None:
    row = raw.execute(
        "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    assert row == (False,)


def test_every_table_of_tenants_has_a_wall_and_stands_here(raw: "psycopg.Connection[Any]") -> None:
    """A new table with organisation_id or project_id without a policy fails."""
    found = raw.execute(
        "SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity"
    ).fetchall()
    walled = {row[0] for row in found}
    assert walled >= TENANT_TABLES
    assert walled == set(WALLED)


def seen(connection: "Connection | psycopg.Connection[Any]") -> dict[str, int]:
    return {table: count(connection, table) for table in WALLED}


def everywhere(rows: int) -> dict[str, int]:
    return dict.fromkeys(WALLED, rows)


def test_without_a_where(database: Database, raw: "psycopg.Connection[Any]") -> None:
    with database.connect() as system:
        assert seen(system) == everywhere(2)
    assert seen(raw) == everywhere(0), "who says nothing sees nothing"
    for organisation in (A, B):
        say(raw, organisation)
        assert seen(raw) == everywhere(1), organisation
    for nobody in ("", "org_c", "org_%", "' OR ''='"):
        say(raw, nobody)
        assert seen(raw) == everywhere(0), nobody


def test_what_was_said_in_a_transaction_ends_with_it(raw: "psycopg.Connection[Any]") -> None:
    with raw.transaction():
        raw.execute("SELECT set_config('portico.organisation', 'org_a', true)")
    assert seen(raw) == everywhere(0)


@pytest.mark.parametrize("table", WALLED)
def test_no_row_of_others_is_written(planted: "psycopg.Connection[Any]", table: str) -> None:
    say(planted, B)
    row = planted.execute(f"SELECT * FROM {table}".encode()).fetchone()
    say(planted, A)
    assert row is not None
    places = ", ".join(["%s"] * len(row))
    with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
        planted.execute(f"INSERT INTO {table} VALUES ({places})".encode(), row)


@pytest.mark.anyio
async def test_readers_see_whose_they_are_for(database: Database) -> None:
    readers = Readers(database, threads=1)
    try:

        def keys(connection: Connection) -> int:
            return count(connection, "api_key")

        for _ in range(2):  # whatever was asked before on the same thread
            assert await readers.run(keys, tenant=A) == 1
            assert await readers.run(keys, tenant="org_c") == 0
            assert await readers.run(keys, tenant="") == 0
            assert await readers.run(keys) == 2
            assert await readers.run(keys, tenant=B) == 1
            with pytest.raises(ZeroDivisionError):
                await readers.run(lambda connection: 1 // 0, tenant=A)
    finally:
        readers.close()


def test_within_an_organisation_on_a_connection_of_the_systems(database: Database) -> None:
    with database.connect() as connection:
        with within(connection, A):
            assert count(connection, "project") == 1
        assert count(connection, "project") == 2
        with within(connection, None):
            assert count(connection, "project") == 2
        with pytest.raises(ZeroDivisionError), within(connection, A):
            _ = 1 // 0
        assert count(connection, "project") == 2


def test_within_one_of_several_changes_of_a_transaction(database: Database) -> None:
    """As the writer runs them, each on a savepoint: one that fails takes its wall with it."""

    def change(connection: Connection) -> int:
        savepoint = connection.begin_nested()
        with pytest.raises(Exception, match="row-level security"), within(connection, A):
            connection.exec_driver_sql("UPDATE project SET organisation_id = 'org_b'")
        savepoint.rollback()
        return count(connection, "project")

    assert database.write(change) == 2


def test_a_connection_that_is_gone_is_told_as_any_query_tells_it(database: Database) -> None:
    """Whoever catches what SQLAlchemy raises catches this, too."""
    with database.connect_for_tenants() as connection:
        driver: Any = connection.connection.driver_connection
        driver.close()
        with pytest.raises(DBAPIError):
            database.backend.begin_for(driver, A)
        connection.invalidate()
