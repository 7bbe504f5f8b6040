"""kill -9 loses no record that was acknowledged, and leaves none open for ever."""

import subprocess
import sys

import pytest

from portico.db.database import Database
from tests.db.storage import locked, storage
from tests.metering.kill_me import TOKENS, UNFINISHED
from tests.metering.requests import complete_one, open_one

pytestmark = pytest.mark.anyio


def _killed_after(
    acknowledged: int, database: Database, url: str, *, lock_at: int | None = None
) -> list[str]:
    """The ids a process acknowledged before it was killed."""
    command = [sys.executable, "-m", "tests.metering.kill_me", str(database.data_dir), url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            if lock_at is None:
                ids = [process.stdout.readline() for _ in range(acknowledged)]
            else:
                ids = [process.stdout.readline() for _ in range(lock_at)]
                with locked(database):
                    ids += [process.stdout.readline() for _ in range(acknowledged - lock_at)]
                    process.kill()
        finally:
            process.kill()
        ids += process.stdout.readlines()
    return [line.strip() for line in ids if line.endswith("\n")]


@pytest.mark.parametrize("acknowledged", [1, 40, 333])
async def test_no_acknowledged_record_is_lost(
    database: Database, database_url: str, acknowledged: int
) -> None:
    ids = _killed_after(acknowledged, database, database_url)
    async with storage(database.data_dir, database_url) as store:
        assert await store.metering.recover() == UNFINISHED
        rows = {row["id"]: row for row in store.rows()}
    assert len(ids) >= acknowledged
    assert set(ids) <= rows.keys()
    for record_id, row in rows.items():
        unfinished = record_id.startswith("unfinished")
        assert row["outcome"] == ("killed" if unfinished else "completed")
        assert row["output_text"] == (TOKENS if unfinished else 5)
        assert row["estimated"] == unfinished


async def test_what_was_acknowledged_from_the_spool_is_not_lost_either(
    database: Database, database_url: str
) -> None:
    ids = _killed_after(120, database, database_url, lock_at=20)
    async with storage(database.data_dir, database_url) as store:
        await store.metering.recover()
        stored = {row["id"] for row in store.rows()}
    assert len(ids) >= 120
    assert set(ids) <= stored


async def test_a_second_recovery_finds_nothing(database: Database, database_url: str) -> None:
    async with storage(database.data_dir, database_url) as store:
        await complete_one(store.metering)
        assert await store.metering.recover() == 0


async def test_on_a_shared_database_others_records_that_may_still_run_are_left_alone(
    database: Database, database_url: str
) -> None:
    async with storage(database.data_dir, database_url) as other:
        running = open_one(other.metering)
        await other.writer.run(lambda connection: None)
        (row,) = other.rows()
        assert await other.metering.recover(row["started_at_ms"]) == 0
        assert await other.metering.recover(row["started_at_ms"] + 1) == 1
        await other.metering.settle(running, "completed")


@pytest.mark.long
@pytest.mark.parametrize("acknowledged", range(1, 3_000, 100))
async def test_thirty_kills(database: Database, database_url: str, acknowledged: int) -> None:
    ids = _killed_after(acknowledged, database, database_url)
    async with storage(database.data_dir, database_url) as store:
        await store.metering.recover()
        rows = store.rows()
    assert set(ids) <= {row["id"] for row in rows}
    assert len(rows) == len({row["id"] for row in rows})
