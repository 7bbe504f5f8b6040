"""The schema on disk is the schema in code, and a data directory is opened safely."""

import os
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from portico.db import database as opening
from portico.db.database import Database, NewerDatabase, open_database
from portico.db.migrations import HEAD
from portico.db.tables import metadata


def _differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


def test_the_migrations_make_the_tables_the_code_describes(tmp_path: Path) -> None:
    assert open_database(tmp_path).read(_differences) == []


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


def test_what_was_written_is_there_after_opening_again(tmp_path: Path) -> None:
    insert = "INSERT INTO organisation VALUES ('org_1', 'Us', 0)"
    open_database(tmp_path).write(lambda c: c.exec_driver_sql(insert))
    found = open_database(tmp_path).read(
        lambda c: c.exec_driver_sql("SELECT id FROM organisation").scalars().all()
    )
    assert found == ["org_1"]


def test_a_change_that_fails_leaves_nothing(tmp_path: Path) -> None:
    database = open_database(tmp_path)

    def change(connection: Connection) -> None:
        connection.exec_driver_sql("INSERT INTO organisation VALUES ('org_1', 'Us', 0)")
        connection.exec_driver_sql("INSERT INTO project VALUES ('proj_1', 'nobody', 'P', 0)")

    with pytest.raises(IntegrityError):
        database.write(change)
    assert database.read(lambda c: c.exec_driver_sql("SELECT * FROM organisation").all()) == []


def test_a_migration_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate = opening._migrate

    def broken(connection: Connection) -> None:
        migrate(connection)
        raise RuntimeError("the last step failed")

    monkeypatch.setattr(opening, "_migrate", broken)
    with pytest.raises(RuntimeError):
        open_database(tmp_path)
    tables = Database(tmp_path / opening.FILE_NAME).read(
        lambda c: c.exec_driver_sql("SELECT name FROM sqlite_master").all()
    )
    assert tables == []


def test_a_database_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    open_database(tmp_path).write(
        lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    )
    with pytest.raises(NewerDatabase, match="newer Portico"):
        open_database(tmp_path)


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    open_database(data_dir)
    for path in (data_dir, *data_dir.iterdir()):
        assert os.stat(path).st_mode & 0o077 == 0


def test_the_command_line_writes_while_a_server_reads(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    reader = sqlite3.connect(database.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM organisation").fetchall()
    database.write(
        lambda c: c.exec_driver_sql("INSERT INTO organisation VALUES ('org_1', 'Us', 0)")
    )
    reader.execute("COMMIT")
    assert reader.execute("SELECT id FROM organisation").fetchall() == [("org_1",)]
    reader.close()
