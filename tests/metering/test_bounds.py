"""Nobody waits for ever for a disk, and what he stopped waiting for is still written."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from portico.db.database import open_database
from portico.db.writer import Writer
from portico.errors import Refusal
from portico.metering.service import Metering
from tests.db.storage import QUICK, HandClock, Health, storage
from tests.metering.requests import complete_one, open_one

pytestmark = pytest.mark.anyio


async def test_a_settlement_nothing_takes_is_refused_in_time_and_written_later(
    tmp_path: Path, database_url: str
) -> None:
    clock = HandClock()
    writer = Writer(open_database(tmp_path, database_url), clock, Health(), QUICK)
    metering = Metering(writer, clock)
    loop = asyncio.get_running_loop()
    settling = loop.create_task(complete_one(metering))  # the thread does not run yet
    await asyncio.sleep(0)
    running = loop.create_task(metering.run())
    clock.pass_s(10.0)
    with pytest.raises(Refusal) as refused:
        await settling
    assert refused.value.code == "storage_unavailable"
    running.cancel()
    writer.start()
    await writer.close()
    async with storage(tmp_path, database_url) as store:
        assert [row["outcome"] for row in store.rows()] == ["completed"]


async def test_a_settlement_there_was_no_room_for_is_written_later(
    tmp_path: Path, database_url: str
) -> None:
    clock = HandClock()
    writer = Writer(
        open_database(tmp_path, database_url), clock, Health(), replace(QUICK, items_max=3)
    )
    metering = Metering(writer, clock)
    first, second = open_one(metering), open_one(metering)
    loop = asyncio.get_running_loop()
    settling = loop.create_task(metering.settle(first, "completed"))
    await asyncio.sleep(0)
    with pytest.raises(Refusal, match="Too many records"):
        await metering.settle(second, "client_gone")
    writer.start()
    await settling
    metering.checkpoint(clock.monotonic_s())
    await writer.close()
    async with storage(tmp_path, database_url) as store:
        outcomes = {row["id"]: row["outcome"] for row in store.rows()}
    assert outcomes == {first.id: "completed", second.id: "client_gone"}


async def test_a_stream_is_on_disk_before_any_tick(tmp_path: Path, database_url: str) -> None:
    async with storage(tmp_path, database_url) as store:
        record = open_one(store.metering)
        await store.writer.run(lambda connection: None)  # whatever was put before is committed too
        assert [(row["id"], row["outcome"]) for row in store.rows()] == [(record.id, "running")]
        await store.metering.settle(record, "completed")


async def test_no_room_for_the_record_is_no_record(tmp_path: Path, database_url: str) -> None:
    writer = Writer(
        open_database(tmp_path, database_url), HandClock(), Health(), replace(QUICK, items_max=1)
    )
    metering = Metering(writer, HandClock())
    open_one(metering)
    with pytest.raises(Refusal, match="Too many records"):
        open_one(metering)
    assert metering.open_count == 1
    writer.start()
    await writer.close()


async def test_open_records_reach_the_disk_while_they_run(
    tmp_path: Path, database_url: str
) -> None:
    async with storage(tmp_path, database_url) as store:
        record = open_one(store.metering)
        running = asyncio.get_running_loop().create_task(store.metering.run())
        async with asyncio.timeout(20):
            while not store.rows():
                await store.writer.run(lambda connection: None)
        running.cancel()
        assert [row["outcome"] for row in store.rows()] == ["running"]
        await store.metering.settle(record, "completed")
        assert [row["outcome"] for row in store.rows()] == ["completed"]
