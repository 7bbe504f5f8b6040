"""What is gone is gone from the disk: words that occur nowhere else are looked for in every file."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from portico.db.database import Database, open_database
from portico.db.wiping import Wiping
from tests.background.warehouse import Store, store
from tests.db.databases import PostgresServer, postgres_server
from tests.resources.attic import MINE, STRANGER
from tests.security.canaries import hits, new_canary

pytestmark = pytest.mark.anyio

WAYS = ("expired", "zero", "archived")


async def passes(kept: Store, way: str) -> None:
    if way == "zero":
        kept.says(MINE, retention="zero")
    elif way == "archived":
        kept.says(MINE, archived_at_ms=kept.attic.clock.now_ms)
        kept.attic.clock.pass_s(30 * 86_400)
    else:
        kept.says(MINE, retention="days", retention_days=1)
        await kept.expiring.once()
        kept.attic.clock.pass_s(2 * 86_400)
        # Of a key: by whoever purges them, as they expire.
        gone = "DELETE FROM idempotency_key WHERE expires_at_ms <= ?"
        now_ms = kept.attic.clock.now_ms
        kept.attic.database.write(lambda c: c.exec_driver_sql(gone, (now_ms,)))


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_is_left_on_the_disk(tmp_path: Path, way: str) -> None:
    mine, theirs = new_canary(), new_canary()
    database = open_database(tmp_path)
    async with store(database, tmp_path) as kept:
        await kept.fill(MINE, mine)
        await kept.fill(STRANGER, theirs, at=2)
        there = hits([mine], tmp_path)
        assert any(name.startswith("portico.db") for name in there)
        assert any(name.startswith("files/") for name in there), "the search finds what is kept"
        await passes(kept, way)
        await kept.files.sweep()
        await kept.expiring.once()
        if way != "expired":
            answers = "UPDATE idempotency_key SET answer = NULL WHERE project_id = 'proj_a'"
            database.write(lambda c: c.exec_driver_sql(answers))  # as the change itself does
        kept.attic.readers.close()
        assert await Wiping(database).once()
        assert hits([mine], tmp_path) == {}
        if way == "zero":
            assert hits([theirs], tmp_path) != {}


@pytest.fixture(scope="module")
def apart() -> Iterator[PostgresServer]:
    """A PostgreSQL of its own, whose files can be looked into."""
    with postgres_server() as server:
        yield server


async def test_nor_in_the_tables_of_postgresql_once_it_was_vacuumed(
    tmp_path: Path, apart: PostgresServer
) -> None:
    """Its log is the operator's to look after."""
    url, mine = apart.new_url(), new_canary()
    apart.store_plainly(url)
    database = open_database(tmp_path, url)
    async with store(database, tmp_path) as kept:
        await kept.fill(MINE, mine)
        apart.do("CHECKPOINT")
        assert tables(apart, mine), "the search finds what is kept"
        await passes(kept, "zero")
        await kept.expiring.once()
        answers = "UPDATE idempotency_key SET answer = NULL WHERE project_id = 'proj_a'"
        database.write(lambda c: c.exec_driver_sql(answers))
        await asyncio.to_thread(vacuum, database)
        apart.do("CHECKPOINT")
        assert tables(apart, mine) == set()
    apart.drop(url)


def tables(server: PostgresServer, canary: str) -> set[str]:
    """Files of tables and indexes that have it."""
    return {name for name in hits([canary], server.folder) if "/base/" in name}


def vacuum(database: Database) -> None:
    """As an operator does who wants the room back at once."""
    with database.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("VACUUM FULL")
