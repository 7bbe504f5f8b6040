"""The schema in the database is the schema in code, and a database is opened safely."""

import os
import re
import sqlite3
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert
from sqlalchemy.exc import DBAPIError, IntegrityError

from portico.db import schema
from portico.db.backends.postgresql import DriverMissing, UrlInvalid
from portico.db.backends.sqlite import FILE_NAME
from portico.db.database import Database, OldSchema, connect_database, open_database, upgrade
from portico.db.migrations import HEAD
from portico.db.schema import NewerDatabase
from portico.db.tables import APPEND_ONLY, metadata, organisation
from tests.db.databases import PostgresServer

_INSERT = "INSERT INTO organisation (id, name, created_at_ms) VALUES ('org_1', 'Us', 0)"


def _differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


def _ids(connection: Connection) -> list[str]:
    return list(connection.exec_driver_sql("SELECT id FROM organisation").scalars())


def test_the_migrations_make_the_tables_the_code_describes(database: Database) -> None:
    assert database.read(_differences) == []


def test_the_newest_migration_is_the_one_that_opening_looks_for() -> None:
    config = Config()
    config.set_main_option("script_location", "portico.db:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_every_table_is_strict(tmp_path: Path) -> None:
    tables = open_database(tmp_path).read(
        lambda c: c.exec_driver_sql("SELECT name, strict FROM pragma_table_list").all()
    )
    strict = {name for name, is_strict in tables if is_strict}
    assert strict == set(metadata.tables)


def test_a_commit_has_reached_the_disk(tmp_path: Path) -> None:
    database = open_database(tmp_path)

    def pragmas(connection: Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    found = database.read(pragmas)
    assert found == ["wal", 2, 1]


def test_what_was_written_is_there_after_opening_again(tmp_path: Path, database_url: str) -> None:
    open_database(tmp_path, database_url).write(lambda c: c.exec_driver_sql(_INSERT))
    assert open_database(tmp_path, database_url).read(_ids) == ["org_1"]


def test_a_change_that_fails_leaves_nothing(database: Database) -> None:
    def change(connection: Connection) -> None:
        connection.exec_driver_sql(_INSERT)
        connection.exec_driver_sql(
            "INSERT INTO project (id, organisation_id, name, created_at_ms) "
            "VALUES ('proj_1', 'nobody', 'P', 0)"
        )

    with pytest.raises(IntegrityError):
        database.write(change)
    assert database.read(_ids) == []


def test_a_snapshot_sees_one_moment_and_nobody_waits_for_it(database: Database) -> None:
    def look(connection: Connection) -> tuple[list[str], list[str]]:
        before = _ids(connection)
        database.write(lambda c: c.exec_driver_sql(_INSERT))
        return before, _ids(connection)

    assert database.read(look) == ([], [])
    assert database.read(_ids) == ["org_1"]


_ROWS = {
    "price": "'p', 'm', 'input_text', 'standard', '', 0, 1, 0, 'me', 0",
    "terms": "'t', 'org_1', 'prepaid', '', 1, 1, '[]', '', 0, 'me', 0",
    "txn": "'x', 'charge', 'org_1', '', 0",
    "entry": "'x', 'a', 5",
    "charge": "'c', 'org_1', 'p', 'k', 1, 'm', 't', 'o', '[]', 't', 1, 1, 0, 0, '', ''",
    "signed_head": "'org_1', 1, 'k', x'00', 0, x'00'",
    "audit_run": "'r', 'i', 0, 0, 0, '[]'",
    "alert": "'a', 'test', 's', '', '{}', 0",
    "attempt": "'d', 1, 0, 'delivered'",
    "tax_rate": "'r', 'DE', 'standard', 1900, 0, 'a', 0",
    "invoice": "'i', 'org_1', 'invoice', 'e', 2026, 1, 'n', NULL, 1, 1, 0, 1, 0, 0, 0, 0, 0, '{}', ''",
    "invoice_payment": "'p', 'i', 1, 0, 0",
    "audit_event": "'org_1', 1, 0, 'user', 'u', '', '', 'a', 't', x'00', x'01', x'02'",
    "audit_head": "'org_1', 1, 'k', x'00', 0, x'01'",
}


@pytest.mark.parametrize("change", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "REPLACE"])
@pytest.mark.parametrize("table", APPEND_ONLY)
def test_what_was_recorded_for_good_is_not_changed(
    database: Database, table: str, change: str
) -> None:
    def record(connection: Connection) -> None:
        connection.exec_driver_sql(_INSERT)
        account = "'a', 'revenue', '', 0, 0, NULL, 0, NULL, 0"
        connection.exec_driver_sql(f"INSERT INTO account VALUES ({account})")
        for name in dict.fromkeys(("txn", "invoice", table)):
            row = _ROWS[name]
            if name == "charge":
                row = row.replace("'', ''", "x'00', x'00'")
            if database.dialect == "postgresql":  # bytes are written differently
                row = re.sub(r"x'(\d\d)'", r"'\\x\1'", row)
            connection.exec_driver_sql(f"INSERT INTO {name} VALUES ({row})")

    database.write(record)
    before = database.read(lambda c: c.exec_driver_sql(f"SELECT * FROM {table}").all())
    column = metadata.tables[table].columns.keys()[0]
    statement = change.format(table, column, column)
    if change == "REPLACE":
        statement = {
            "sqlite": f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}",
            "postgresql": f"TRUNCATE {table} CASCADE",
        }[database.dialect]
    with pytest.raises(DBAPIError, match="append-only"):
        database.write(lambda c: c.exec_driver_sql(statement))
    assert len(before) == 1
    assert database.read(lambda c: c.exec_driver_sql(f"SELECT * FROM {table}").all()) == before


def test_a_migration_that_fails_leaves_nothing(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate = schema.migrate

    def broken(connection: Connection) -> None:
        migrate(connection)
        raise RuntimeError("the last step failed")

    monkeypatch.setattr(schema, "migrate", broken)
    url = postgres.new_url(migrated=False)
    tables = {
        "": "SELECT name FROM sqlite_master",
        url: "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
    }
    for address, query in tables.items():
        database = connect_database(tmp_path, address)
        with pytest.raises(RuntimeError):
            upgrade(database)
        assert database.read(lambda c, q=query: c.exec_driver_sql(q).all()) == []  # type: ignore[misc]  # mypy cannot infer a lambda with a default


def test_a_server_changes_no_tables_on_postgresql_an_operator_does(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    url = postgres.new_url(migrated=False)
    with pytest.raises(OldSchema, match=r"has no tables yet.*portico db upgrade"):
        open_database(tmp_path, url)
    assert upgrade(connect_database(tmp_path, url)) == ("", HEAD)
    assert upgrade(open_database(tmp_path, url)) == (HEAD, HEAD)


def test_a_database_of_an_older_version_is_named(tmp_path: Path, postgres_url: str) -> None:
    old = "UPDATE alembic_version SET version_num = '0001'"
    open_database(tmp_path, postgres_url).write(lambda c: c.exec_driver_sql(old))
    with pytest.raises(OldSchema, match=f"revision 0001; this version needs revision {HEAD}"):
        open_database(tmp_path, postgres_url)


def test_a_database_of_a_newer_version_is_not_touched(tmp_path: Path, database_url: str) -> None:
    newer = "UPDATE alembic_version SET version_num = '9999'"
    open_database(tmp_path, database_url).write(lambda c: c.exec_driver_sql(newer))
    with pytest.raises(NewerDatabase, match="newer Portico"):
        open_database(tmp_path, database_url)
    with pytest.raises(NewerDatabase, match="newer Portico"):
        upgrade(connect_database(tmp_path, database_url))


@pytest.mark.parametrize("url", ["mysql://localhost/x", "no url at all", "sqlite:///x.db"])
def test_an_address_of_something_else_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(UrlInvalid, match=r"database\.url"):
        open_database(tmp_path, url)


def test_no_password_is_shown(tmp_path: Path) -> None:
    url = "postgresql://portico:hunter2@db.example/portico?sslpassword=hunter2"
    assert connect_database(tmp_path, url).place == "postgresql://portico@db.example/portico"


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    open_database(data_dir)
    for path in (data_dir, *data_dir.iterdir()):
        assert os.stat(path).st_mode & 0o077 == 0


def test_the_command_line_writes_while_a_server_reads(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    reader = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM organisation").fetchall()
    database.write(lambda c: c.exec_driver_sql(_INSERT))
    reader.execute("COMMIT")
    assert reader.execute("SELECT id FROM organisation").fetchall() == [("org_1",)]
    reader.close()


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(DriverMissing, match=r"portico\[postgres\]"):
        open_database(tmp_path, "postgresql://db.example/portico")


def test_what_goes_wrong_is_told_without_what_was_to_be_written(database: Database) -> None:
    """Errors are logged, and what is written is what developers say."""

    def change(connection: Connection) -> None:
        connection.execute(insert(organisation).values(id="quince", name=None, created_at_ms=0))

    with pytest.raises(DBAPIError) as failed:
        database.write(change)
    assert "quince" not in str(failed.value)


def test_what_is_read_in_several_statements_is_of_one_moment(database: Database) -> None:
    def read(connection: Connection) -> tuple[list[str], list[str]]:
        before = _ids(connection)
        database.write(lambda c: c.exec_driver_sql(_INSERT))
        return before, _ids(connection)

    assert database.read(read) == ([], [])
    assert database.read(_ids) == ["org_1"]


def test_who_reads_cannot_write(database: Database) -> None:
    with pytest.raises(DBAPIError):
        database.read(lambda c: c.exec_driver_sql(_INSERT))
    assert database.read(_ids) == []
