"""Room that was used and is not any more goes back to the disk (SQLite)."""

import json
import os
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert

from portico.db.database import Database, open_database
from portico.db.lock import ServerLock
from portico.db.tables import response
from portico.db.wiping import Wiping
from tests.resources.attic import number
from tests.whole.conftest import portico

ROWS, ROW_BYTES = 400, 100_000


def fill(database: Database) -> None:
    def write(connection: Connection) -> None:
        rows = [
            {
                "id": f"resp_{number(at)}",
                **dict.fromkeys(("organisation_id", "project_id", "key_id", "credential_id"), "x"),
                **{"model": "m", "state": "completed", "background": 0, "stream": 0},
                **{"input": b"[]", "body": os.urandom(ROW_BYTES), "created_at_ms": 1},
                **{"attempts": 0},
            }
            for at in range(ROWS)
        ]
        connection.execute(insert(response), rows)

    database.write(write)


def empty(database: Database) -> None:
    database.write(lambda c: c.exec_driver_sql("DELETE FROM response"))


def size(database: Database) -> int:
    return Path(database.place).stat().st_size


@pytest.mark.anyio
async def test_a_new_file_becomes_small_again_beside_its_readers(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    fill(database)
    with database.connect() as reader:
        assert reader.exec_driver_sql("SELECT count(*) FROM response").scalar() == ROWS
        reader.rollback()
        empty(database)
        assert await Wiping(database).once()
        found = database.space()
        assert found is not None
        assert found.shrinks
        assert found.free_bytes <= 8_388_608 + 4_096, "what a busy day needs again stays"
        assert size(database) == found.file_bytes < ROWS * ROW_BYTES / 3
    assert database.read(_check) == ["ok"]


def _check(connection: Connection) -> list[str]:
    return list(connection.exec_driver_sql("PRAGMA integrity_check").scalars())


def test_what_is_used_again_needs_no_more_room(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    fill(database)
    pages = database.space()
    empty(database)
    fill(database)
    assert database.space() == pages


def old(folder: Path) -> Database:
    """As versions before this one made it."""
    path = folder / "portico.db"
    with sqlite3.connect(path) as made:
        made.execute("PRAGMA auto_vacuum = NONE")
        made.execute("CREATE TABLE first (a)")
        made.execute("DROP TABLE first")
    made.close()
    return open_database(folder)


def test_an_old_file_is_made_small_by_a_command(tmp_path: Path) -> None:
    database = old(tmp_path)
    found = database.space()
    assert found is not None
    assert not found.shrinks
    fill(database)
    empty(database)
    assert not database.shrink()
    before = size(database)
    done = portico("db", "compact", "--data-dir", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["before_bytes"] - told["after_bytes"] > ROWS * ROW_BYTES
    assert size(database) == told["after_bytes"] < before
    after = database.space()
    assert after is not None
    assert after.shrinks


def test_not_beside_a_server(tmp_path: Path) -> None:
    open_database(tmp_path)
    lock = ServerLock(tmp_path)
    lock.take()
    try:
        done = portico("db", "compact", "--data-dir", str(tmp_path))
    finally:
        lock.release()
    assert done.returncode == 4
    assert "being served" in done.stderr
