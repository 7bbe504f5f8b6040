"""Many hands, one transaction; and nobody suffers for his neighbour."""

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection

from portico.db.committer import Committer, Inbox, WriterLimits
from portico.db.database import Database, open_database
from portico.db.spool import REJECTED_NAME, Spool, claim
from portico.db.writer import Writer
from portico.errors import Refusal
from portico.kit.clock import SystemClock
from tests.db.lanes import Names, NoMore, Seats
from tests.db.storage import QUICK, HandClock, Health, fill_disk, free_disk, locked

pytestmark = pytest.mark.anyio

NAMES = Names()


def _writer(database: Database, health: Health, limits: WriterLimits = QUICK) -> Writer:
    writer = Writer(database, SystemClock(), health, limits)
    writer.add_lane(NAMES)
    return writer


def _add(number: int) -> Any:
    def change(connection: Connection) -> int:
        connection.exec_driver_sql(
            f"INSERT INTO organisation (id, name, created_at_ms) VALUES ('org_{number}', 'Us', 0)"
        )
        return number

    return change


def _size_bytes(path: Path) -> int:
    return path.stat().st_size


def _ids(database: Database) -> list[str]:
    query = "SELECT id FROM organisation ORDER BY created_at_ms, id"
    return database.read(lambda c: list(c.exec_driver_sql(query).scalars()))


def _rejected(database: Database) -> list[tuple[str, tuple[Any, ...]]]:
    spool = Spool(database.data_dir, 0, REJECTED_NAME)
    rows = spool.read()
    spool.close()
    return rows


async def test_a_change_that_fails_undoes_only_itself(database: Database) -> None:
    def fails(connection: Connection) -> None:
        _add(7)(connection)
        raise LookupError("no such thing")

    writer = _writer(database, Health())
    running = [asyncio.ensure_future(writer.run(change)) for change in (_add(1), fails, _add(2))]
    writer.start()  # all three wait already, so they share one transaction
    results = await asyncio.gather(*running, return_exceptions=True)
    await writer.close()
    assert results[0] == 1
    assert isinstance(results[1], LookupError)
    assert results[2] == 2
    assert _ids(database) == ["org_1", "org_2"]


async def test_a_row_the_database_cannot_take_keeps_no_other_out_and_is_not_lost(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    writer = _writer(database, Health())
    rows = [("org_1", "a", 1), ("org_2", None, 2), ("org_3", "c", 2**70), ("org_4", "d", 4)]
    acks = [writer.ack() for _ in rows]
    for row, ack in zip(rows, acks, strict=True):
        writer.put(NAMES, row, ack)
    writer.start()
    results = await asyncio.gather(*acks, return_exceptions=True)
    await writer.close()
    assert _ids(database) == ["org_1", "org_4"]
    assert (results[0], results[3]) == (None, None)
    assert all(isinstance(result, Exception) for result in results[1:3])
    assert _rejected(database) == [("names", rows[1])]  # 2**70 cannot be kept at all
    assert "refuses ('org_2', None, 2)" in caplog.text
    assert "org_3" in caplog.text


async def test_a_lane_decides_inside_the_commit_and_answers_each(database: Database) -> None:
    writer = Writer(database, SystemClock(), Health(), QUICK)
    seats = Seats(3)
    writer.add_lane(seats)
    acks = [writer.ack() for _ in range(5)]
    for number, ack in enumerate(acks):
        writer.put(seats, f"org_{number}", ack)
    writer.start()
    results = await asyncio.gather(*acks, return_exceptions=True)
    later = writer.ack()
    writer.put(seats, "org_9", later)
    with pytest.raises(NoMore):
        await later
    again = writer.ack()
    writer.put(seats, "org_1", again)
    assert await again == 2  # asked for before: the same answer
    await writer.close()
    assert results[:3] == [1, 2, 3]
    assert all(isinstance(result, NoMore) for result in results[3:])
    assert _ids(database) == ["org_0", "org_1", "org_2"]


async def test_a_lane_that_fails_as_a_whole_is_asked_item_by_item(database: Database) -> None:
    writer = Writer(database, SystemClock(), Health(), QUICK)
    seats = Seats(9)
    writer.add_lane(seats)
    writer.add_lane(NAMES)
    acks = [writer.ack() for _ in range(4)]
    for item, ack in zip(("org_0", "bad", "org_1"), acks, strict=False):
        writer.put(seats, item, ack)
    writer.put(NAMES, ("org_x", "neighbour", 1), acks[3])
    writer.start()
    results = await asyncio.gather(*acks, return_exceptions=True)
    await writer.close()
    assert (results[0], results[2], results[3]) == (1, 2, None)
    assert isinstance(results[1], KeyError)
    assert _ids(database) == ["org_0", "org_1", "org_x"]
    assert _rejected(database) == []  # this lane keeps nothing


async def test_lanes_write_in_the_order_they_were_added(database: Database) -> None:
    writer = Writer(database, SystemClock(), Health(), QUICK)
    seats = Seats(1)
    writer.add_lane(NAMES)
    writer.add_lane(seats)
    ack = writer.ack()
    writer.put(seats, "org_1", ack)
    writer.put(NAMES, ("org_0", "has taken the seat", 0))
    writer.start()
    with pytest.raises(NoMore):
        await ack
    await writer.close()


async def test_what_is_not_kept_is_refused_while_the_database_will_not(
    database: Database,
) -> None:
    health = Health()
    writer = Writer(database, SystemClock(), health, QUICK)
    seats = Seats(9)
    writer.add_lane(seats)
    writer.start()
    await writer.run(_add(1))
    with locked(database):
        ack = writer.ack()
        writer.put(seats, "org_2", ack)
        with pytest.raises(Refusal, match="locked by another process"):
            await ack
    await health.until(closed=False)
    await writer.close()
    assert _ids(database) == ["org_1"]


async def test_what_can_wait_goes_with_the_next_commit(database: Database) -> None:
    writer = _writer(database, Health())
    writer.start()
    writer.put_later(NAMES, ("org_1", "x", 1))
    await writer.run(_add(2))
    assert _ids(database) == ["org_2", "org_1"]
    writer.put_later(NAMES, ("org_3", "x", 3))
    async with asyncio.timeout(20):
        while len(_ids(database)) < 3:  # nothing else comes: it goes alone
            await asyncio.to_thread(_ids, database)
    await writer.close()


async def test_acknowledged_means_another_process_can_read_it(database: Database) -> None:
    writer = _writer(database, Health())
    writer.start()
    for number in range(20):
        ack = asyncio.get_running_loop().create_future()
        writer.put(NAMES, (f"org_{number:02}", "x", number), ack)
        await ack
        assert len(_ids(database)) == number + 1
    await writer.close()


async def test_closing_writes_what_waits(database: Database) -> None:
    writer = _writer(database, Health())
    writer.start()
    for number in range(500):
        writer.put(NAMES, (f"org_{number:03}", "x", number))
    await writer.close()
    await writer.close()
    assert len(_ids(database)) == 500
    with pytest.raises(Refusal, match="closed"):
        writer.put(NAMES, ("org_x", "x", 0))


async def test_the_queue_is_bounded(database: Database) -> None:
    limits = WriterLimits(items_max=3, spool_reserve_bytes=0)
    writer = _writer(database, Health(), limits)  # not started: nothing is taken
    for number in range(3):
        writer.put(NAMES, (f"org_{number}", "x", number))
    with pytest.raises(Refusal) as refused:
        writer.put(NAMES, ("org_4", "x", 4))
    assert (refused.value.code, refused.value.limit) == ("storage_unavailable", 3)
    await writer.close()


async def test_a_change_is_refused_while_the_database_is_locked_and_works_afterwards(
    database: Database,
) -> None:
    health = Health()
    writer = _writer(database, health)
    writer.start()
    with locked(database):
        with pytest.raises(Refusal, match="locked by another process"):
            await writer.run(_add(1))
        await health.until(closed=True)
    await health.until(closed=False)
    assert await writer.run(_add(2)) == 2
    await writer.close()
    assert _ids(database) == ["org_2"]


async def test_a_full_disk_is_reported_as_what_it_is(database: Database) -> None:
    health = Health()
    writer = _writer(database, health)
    writer.start()
    await fill_disk(database, writer)

    def big(connection: Connection) -> None:
        connection.exec_driver_sql(
            f"INSERT INTO organisation (id, name, created_at_ms) VALUES ('org_1', '{'x' * 200_000}', 0)"
        )

    with pytest.raises(Refusal, match="the disk is full"):
        await writer.run(big)
    free_disk(database)
    await health.until(closed=False)
    await writer.run(big)
    await writer.close()
    assert _ids(database) == ["org_1"]


def _full(database: Database) -> Exception:
    """As the driver raises it."""
    if database.dialect == "postgresql":
        return psycopg.errors.DiskFull("no space left on device")
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


def _failing(error: Exception) -> Callable[[Any], None]:
    def fails(driver: Any) -> None:
        raise error

    return fails


async def test_after_a_commit_that_fails_the_next_one_is_made(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLAlchemy keeps a transaction whose commit failed until it is rolled back, and says of it that
    there is none: left so, nothing was ever written again."""
    dialect = database.backend.engine.dialect
    ways = [_failing(_full(database)), dialect.do_commit]
    monkeypatch.setattr(
        dialect, "do_commit", lambda driver: (ways.pop(0) if ways[1:] else ways[0])(driver)
    )
    health = Health()
    writer = _writer(database, health)
    writer.start()
    with pytest.raises(Refusal, match="the disk is full"):
        await writer.run(_add(1))
    await health.until(closed=False)
    await writer.run(_add(2))
    await writer.close()
    assert _ids(database) == ["org_2"]


async def test_rows_from_the_spool_come_before_new_ones(database: Database) -> None:
    first = _writer(database, Health())
    first.start()
    with locked(database):
        ack = asyncio.get_running_loop().create_future()
        first.put(NAMES, ("org_1", "old", 1), ack)
        await ack
        await first.close()
    second = _writer(database, Health())
    second.put(NAMES, ("org_1", "new", 1))
    second.start()
    await second.run(_add(2))
    await second.run(_add(3))  # what was written stays written: the spool is not read again
    await second.close()
    query = "SELECT name FROM organisation WHERE id = 'org_1'"
    name = database.read(lambda c: c.exec_driver_sql(query).scalar())
    assert name == "new"


async def test_a_spool_with_rows_of_an_unknown_kind_is_not_thrown_away(database: Database) -> None:
    first = _writer(database, Health())
    first.start()
    with locked(database):
        first.put(NAMES, ("org_1", "x", 1))
        await first.close()
    stranger = Writer(database, SystemClock(), Health(), QUICK)
    with pytest.raises(RuntimeError, match="names"):
        stranger.start()
    await stranger.close()
    again = _writer(database, Health())
    again.start()
    await again.close()
    assert _ids(database) == ["org_1"]


async def test_a_data_directory_that_is_gone_closes_admission(tmp_path: Path) -> None:
    health = Health()
    writer = _writer(open_database(tmp_path / "data"), health)
    writer.start()
    await writer.run(_add(1))
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    await health.until(closed=True)
    assert "cannot be reached" in str(health.refusals[-1])
    (tmp_path / "elsewhere").rename(tmp_path / "data")
    await health.until(closed=False)
    await writer.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_writer_that_dies_lets_nobody_in(database: Database) -> None:
    health = Health()
    writer = _writer(database, health)
    writer.start()
    writer.put(Seats(1), "a lane it was not told of")
    await health.until(closed=True)
    while "restart" not in str(health.refusals[-1]):
        await health.next()
    await writer.close()


async def test_the_log_has_its_length_before_it_is_needed_and_the_database_is_not_longer(
    tmp_path: Path,
) -> None:
    database = open_database(tmp_path)
    writer = _writer(database, Health(), replace(QUICK, log_reserve_bytes=6_000_000))
    writer.start()
    await writer.run(_add(1))
    assert _size_bytes(tmp_path / "portico.db-wal") > 3_000_000
    await writer.close()
    assert _size_bytes(tmp_path / "portico.db") < 1_000_000
    assert _ids(database) == ["org_1"]


class _Deaf:
    """A loop that nobody waits on."""

    def resolve(self, resolved: Any) -> None:
        pass

    def report(self, refusal: Refusal | None) -> None:
        pass


def test_who_waits_for_his_turn_stands_in_line_all_the_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try waits in the database.  A pause after each would let all others pass, again and again,
    until requests are refused because nothing can be written."""
    database, clock = open_database(tmp_path), HandClock()
    spools, tries = claim(tmp_path, 0), 0

    def begin(driver: Any) -> None:
        nonlocal tries
        tries += 1
        clock.pass_s(0.25)
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise error

    monkeypatch.setattr(database.backend, "begin", begin)
    committer = Committer(Inbox(), database, spools, {}, clock, QUICK, _Deaf())
    committer._try_commit()
    for _ in range(4):
        committer._turn()
    assert tries == 5
    for spool in spools:
        spool.close()


async def test_a_locked_database_delays_the_start_and_no_more(database: Database) -> None:
    writer = _writer(database, Health(), replace(QUICK, patience_s=30.0))
    with locked(database):
        writer.start()
        await asyncio.sleep(0.3)  # the lock's length
    assert await writer.run(_add(1)) == 1
    await writer.close()
