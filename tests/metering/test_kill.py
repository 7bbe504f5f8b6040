"""kill -9 loses no record that was acknowledged, and leaves none open for ever."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.db.storage import locked, storage
from tests.metering.kill_me import TOKENS, UNFINISHED
from tests.metering.requests import complete_one

pytestmark = pytest.mark.anyio


def _killed_after(acknowledged: int, data_dir: Path, *, lock_at: int | None = None) -> list[str]:
    """The ids a process acknowledged before it was killed."""
    command = [sys.executable, "-m", "tests.metering.kill_me", str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            if lock_at is None:
                ids = [process.stdout.readline() for _ in range(acknowledged)]
            else:
                ids = [process.stdout.readline() for _ in range(lock_at)]
                with locked(data_dir):
                    ids += [process.stdout.readline() for _ in range(acknowledged - lock_at)]
                    process.kill()
        finally:
            process.kill()
        ids += process.stdout.readlines()
    return [line.strip() for line in ids if line.endswith("\n")]


@pytest.mark.parametrize("acknowledged", [1, 40, 333])
async def test_no_acknowledged_record_is_lost(tmp_path: Path, acknowledged: int) -> None:
    ids = _killed_after(acknowledged, tmp_path)
    async with storage(tmp_path) as store:
        assert await store.metering.recover() == UNFINISHED
        rows = {row["id"]: row for row in store.rows()}
    assert len(ids) >= acknowledged
    assert set(ids) <= rows.keys()
    for record_id, row in rows.items():
        unfinished = record_id.startswith("unfinished")
        assert row["outcome"] == ("killed" if unfinished else "completed")
        assert row["output_text"] == (TOKENS if unfinished else 5)
        assert row["estimated"] == unfinished


async def test_what_was_acknowledged_from_the_spool_is_not_lost_either(tmp_path: Path) -> None:
    ids = _killed_after(120, tmp_path, lock_at=20)
    async with storage(tmp_path) as store:
        await store.metering.recover()
        stored = {row["id"] for row in store.rows()}
    assert len(ids) >= 120
    assert set(ids) <= stored


async def test_a_second_recovery_finds_nothing(tmp_path: Path) -> None:
    async with storage(tmp_path) as store:
        await complete_one(store.metering)
        assert await store.metering.recover() == 0


@pytest.mark.long
@pytest.mark.parametrize("acknowledged", range(1, 3_000, 100))
async def test_thirty_kills(tmp_path: Path, acknowledged: int) -> None:
    ids = _killed_after(acknowledged, tmp_path)
    async with storage(tmp_path) as store:
        await store.metering.recover()
        rows = store.rows()
    assert set(ids) <= {row["id"] for row in rows}
    assert len(rows) == len({row["id"] for row in rows})
