"""Many hands, one transaction; and nobody suffers for his neighbour."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from portico.db.committer import WriterLimits
from portico.db.database import open_database
from portico.db.lane import Lane, Row, upsert
from portico.db.tables import organisation
from portico.db.writer import Writer
from portico.errors import Refusal
from portico.kit.clock import SystemClock
from tests.db.storage import QUICK, Health, fill_disk, free_disk, locked

pytestmark = pytest.mark.anyio


def _rows(items: Sequence[Any]) -> list[Row]:
    return list(items)


def _never_drop(row: Row) -> bool:
    return True


NAMES = Lane(
    name="names",
    rows=_rows,
    must_survive=_never_drop,
    upsert=upsert(organisation, replace_if=organisation.c.created_at_ms.is_not(None)),
)


def _writer(data_dir: Path, health: Health, limits: WriterLimits = QUICK) -> Writer:
    writer = Writer(open_database(data_dir), SystemClock(), health, limits)
    writer.add_lane(NAMES)
    return writer


def _add(number: int) -> Any:
    def change(connection: Connection) -> int:
        connection.exec_driver_sql(f"INSERT INTO organisation VALUES ('org_{number}', 'Us', 0)")
        return number

    return change


def _size_bytes(path: Path) -> int:
    return path.stat().st_size


def _ids(data_dir: Path) -> list[str]:
    return open_database(data_dir).read(
        lambda c: list(
            c.exec_driver_sql("SELECT id FROM organisation ORDER BY created_at_ms, id").scalars()
        )
    )


async def test_a_change_that_fails_undoes_only_itself(tmp_path: Path) -> None:
    def fails(connection: Connection) -> None:
        _add(7)(connection)
        raise LookupError("no such thing")

    writer = _writer(tmp_path, Health())
    running = [asyncio.ensure_future(writer.run(change)) for change in (_add(1), fails, _add(2))]
    writer.start()  # all three wait already, so they share one transaction
    results = await asyncio.gather(*running, return_exceptions=True)
    await writer.close()
    assert results[0] == 1
    assert isinstance(results[1], LookupError)
    assert results[2] == 2
    assert _ids(tmp_path) == ["org_1", "org_2"]


async def test_a_row_the_database_cannot_take_keeps_no_other_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = _writer(tmp_path, Health())
    ack = asyncio.get_running_loop().create_future()
    for row in (("org_1", "a", 1), ("org_2", None, 2), ("org_3", 2**70, 3), ("org_4", "d", 4)):
        writer.put(NAMES, row, ack)
    writer.start()
    await ack
    await writer.close()
    assert _ids(tmp_path) == ["org_1", "org_4"]
    assert "refuses the row ('org_2', None, 2)" in caplog.text
    assert "org_3" in caplog.text


async def test_acknowledged_means_another_process_can_read_it(tmp_path: Path) -> None:
    writer = _writer(tmp_path, Health())
    writer.start()
    for number in range(20):
        ack = asyncio.get_running_loop().create_future()
        writer.put(NAMES, (f"org_{number:02}", "x", number), ack)
        await ack
        assert len(_ids(tmp_path)) == number + 1
    await writer.close()


async def test_closing_writes_what_waits(tmp_path: Path) -> None:
    writer = _writer(tmp_path, Health())
    writer.start()
    for number in range(500):
        writer.put(NAMES, (f"org_{number:03}", "x", number))
    await writer.close()
    await writer.close()
    assert len(_ids(tmp_path)) == 500
    with pytest.raises(Refusal, match="closed"):
        writer.put(NAMES, ("org_x", "x", 0))


async def test_the_queue_is_bounded(tmp_path: Path) -> None:
    limits = WriterLimits(items_max=3, spool_reserve_bytes=0)
    writer = _writer(tmp_path, Health(), limits)  # not started: nothing is taken
    for number in range(3):
        writer.put(NAMES, (f"org_{number}", "x", number))
    with pytest.raises(Refusal) as refused:
        writer.put(NAMES, ("org_4", "x", 4))
    assert (refused.value.code, refused.value.limit) == ("storage_unavailable", 3)
    await writer.close()


async def test_a_change_is_refused_while_the_database_is_locked_and_works_afterwards(
    tmp_path: Path,
) -> None:
    health = Health()
    writer = _writer(tmp_path, health)
    writer.start()
    with locked(tmp_path):
        with pytest.raises(Refusal, match="locked by another process"):
            await writer.run(_add(1))
        await health.until(closed=True)
    await health.until(closed=False)
    assert await writer.run(_add(2)) == 2
    await writer.close()
    assert _ids(tmp_path) == ["org_2"]


async def test_a_full_disk_is_reported_as_what_it_is(tmp_path: Path) -> None:
    health = Health()
    writer = _writer(tmp_path, health)
    writer.start()
    await fill_disk(writer)

    def big(connection: Connection) -> None:
        connection.exec_driver_sql(
            "INSERT INTO organisation VALUES ('org_1', hex(zeroblob(100000)), 0)"
        )

    with pytest.raises(Refusal, match="the disk is full"):
        await writer.run(big)
    free_disk(open_database(tmp_path))
    await health.until(closed=False)
    await writer.run(big)
    await writer.close()
    assert _ids(tmp_path) == ["org_1"]


async def test_rows_from_the_spool_come_before_new_ones(tmp_path: Path) -> None:
    first = _writer(tmp_path, Health())
    first.start()
    with locked(tmp_path):
        ack = asyncio.get_running_loop().create_future()
        first.put(NAMES, ("org_1", "old", 1), ack)
        await ack
        await first.close()
    second = _writer(tmp_path, Health())
    second.put(NAMES, ("org_1", "new", 1))
    second.start()
    await second.run(_add(2))
    await second.run(_add(3))  # what was written stays written: the spool is not read again
    await second.close()
    query = "SELECT name FROM organisation WHERE id = 'org_1'"
    name = open_database(tmp_path).read(lambda c: c.exec_driver_sql(query).scalar())
    assert name == "new"


async def test_a_spool_with_rows_of_an_unknown_kind_is_not_thrown_away(tmp_path: Path) -> None:
    first = _writer(tmp_path, Health())
    first.start()
    with locked(tmp_path):
        first.put(NAMES, ("org_1", "x", 1))
        await first.close()
    stranger = Writer(open_database(tmp_path), SystemClock(), Health(), QUICK)
    with pytest.raises(RuntimeError, match="names"):
        stranger.start()
    await stranger.close()
    again = _writer(tmp_path, Health())
    again.start()
    await again.close()
    assert _ids(tmp_path) == ["org_1"]


async def test_a_data_directory_that_is_gone_closes_admission(tmp_path: Path) -> None:
    health = Health()
    writer = _writer(tmp_path / "data", health)
    writer.start()
    await writer.run(_add(1))
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    await health.until(closed=True)
    assert "cannot be reached" in str(health.refusals[-1])
    (tmp_path / "elsewhere").rename(tmp_path / "data")
    await health.until(closed=False)
    await writer.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_writer_that_dies_lets_nobody_in(tmp_path: Path) -> None:
    def broken(items: Sequence[Any]) -> list[Row]:
        raise AssertionError("a mistake in a lane")

    health = Health()
    writer = _writer(tmp_path, health)
    writer.start()
    writer.put(replace(NAMES, rows=broken), ("org_1", "x", 1))
    await health.until(closed=True)
    while "restart" not in str(health.refusals[-1]):
        await health.next()
    await writer.close()


async def test_the_log_has_its_length_before_it_is_needed_and_the_database_is_not_longer(
    tmp_path: Path,
) -> None:
    writer = _writer(tmp_path, Health(), replace(QUICK, log_reserve_bytes=6_000_000))
    writer.start()
    await writer.run(_add(1))
    assert _size_bytes(tmp_path / "portico.db-wal") > 3_000_000
    await writer.close()
    assert _size_bytes(tmp_path / "portico.db") < 300_000
    assert _ids(tmp_path) == ["org_1"]


async def test_a_locked_database_delays_the_start_and_no_more(tmp_path: Path) -> None:
    writer = _writer(tmp_path, Health(), replace(QUICK, patience_s=30.0))
    with locked(tmp_path):
        writer.start()
        await asyncio.sleep(0.3)  # the lock's length
    assert await writer.run(_add(1)) == 1
    await writer.close()
