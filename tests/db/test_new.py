"""A new SQLite database is made from a script; it is what the migrations would have made of it."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from portico.db import schema
from portico.db.database import connect_database, open_database, upgrade
from portico.db.migrations import HEAD


def _all(connection: Connection) -> dict[str, list[Any]]:
    """Every table, index and trigger as it was written, and every row."""
    shapes = connection.exec_driver_sql("SELECT type, name, tbl_name, sql FROM sqlite_master").all()
    tables = [shape.name for shape in shapes if shape.type == "table"]
    rows = {name: connection.exec_driver_sql(f"SELECT * FROM {name}").all() for name in tables}
    return {"": sorted(shapes, key=str), **{name: sorted(rows[name], key=str) for name in rows}}


def test_it_is_what_the_migrations_make(tmp_path: Path) -> None:
    new = open_database(tmp_path / "new")
    migrated = connect_database(tmp_path / "migrated")
    migrated.write(schema.run_migrations)
    assert new.read(_all) == migrated.read(_all)


def test_no_migration_is_left_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a new migration: `uv run python tools/schema.py`."""

    def refuse(connection: Connection) -> None:
        raise AssertionError(f"only {schema.revision(connection)} is written down, of {HEAD}")

    monkeypatch.setattr(schema, "run_migrations", refuse)
    open_database(tmp_path)


def test_an_older_script_is_followed_by_the_migrations_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = open_database(tmp_path / "new")
    known = schema._statements(schema.NEW_SQLITE.read_text())
    script = "".join(each for each in known if each.startswith("CREATE TABLE alembic_version"))
    assert script
    (tmp_path / "old.sql").write_text(script)
    monkeypatch.setattr(schema, "NEW_SQLITE", tmp_path / "old.sql")
    older = connect_database(tmp_path / "older")
    assert upgrade(older) == ("", HEAD)
    assert older.read(_all) == new.read(_all)


def test_a_trigger_is_one_statement() -> None:
    trigger = "CREATE TRIGGER t BEFORE UPDATE ON a BEGIN SELECT 1; SELECT 2; END;"
    assert list(schema._statements(f"CREATE TABLE a (b);\n{trigger}\n")) == [
        "CREATE TABLE a (b);",
        trigger,
    ]
