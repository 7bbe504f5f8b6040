"""What tests share connections for saves time and nothing else."""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from portico.db.database import Database, open_database
from tests.db.databases import PostgresServer, kept_connections


def test_one_that_was_given_back_is_lent_again_as_new(database: Database) -> None:
    with database.connect() as connection:
        first = connection.connection.driver_connection
        database.backend.only_reads(connection)
        if database.dialect == "postgresql":
            connection.exec_driver_sql("SET lock_timeout = 1")
    with database.connect_for_tenants() as connection:
        assert connection.connection.driver_connection is first
        if database.dialect == "postgresql":
            said = ("portico.organisation", "lock_timeout", "default_transaction_read_only")
            told = [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in said]
            assert told == ["", "5s", "off"]
        else:
            said = ("query_only", "busy_timeout")
            told = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in said]
            assert told == [0, 5_000]


def test_what_was_begun_on_it_is_undone(database: Database) -> None:
    with database.connect() as connection:
        database.backend.begin(connection.connection.driver_connection)
        connection.exec_driver_sql(
            "INSERT INTO organisation (id, name, created_at_ms) VALUES ('org_1', 'One', 1)"
        )
    count = "SELECT count(*) FROM organisation"
    assert database.read(lambda c: c.exec_driver_sql(count).scalar()) == 0


def test_one_that_broke_meanwhile_is_replaced(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    def own_process(connection: Connection) -> Any:
        return connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()

    with kept_connections(open_database(tmp_path, postgres_url)) as database:
        before = database.read(own_process)
        postgres.do(f"SELECT pg_terminate_backend({before}, 5000)")
        assert database.read(own_process) != before
