"""One record per admitted request, durable when `settle` returns, whatever the database does."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.canon.delta import Delta
from portico.canon.usage import Meters
from portico.db.committer import WriterLimits
from portico.errors import Refusal
from portico.metering.model import Outcome
from tests.db.storage import QUICK, Storage, fill_disk, free_disk, locked, storage
from tests.metering.requests import LAST, complete_one, open_one

pytestmark = pytest.mark.anyio


async def test_a_settled_record_is_there_with_every_figure(
    tmp_path: Path, database_url: str
) -> None:
    async with storage(tmp_path, database_url) as store:
        record = open_one(store.metering)
        record.count(Delta(output_tokens=2))
        record.count(LAST)
        await store.metering.settle(record, "completed")
        (row,) = store.rows()
    assert row["id"] == record.id
    assert (row["organisation_id"], row["project_id"], row["key_id"]) == (
        "org_1",
        "proj_1",
        "key_1",
    )
    assert (row["outcome"], row["finish_reason"], row["stream"]) == ("completed", "stop", 1)
    assert (row["input_text"], row["output_text"], row["estimated"]) == (11, 5, 0)
    assert row["deployment"] == "embedded/demo"
    assert 0 <= row["ttft_ms"] <= row["duration_ms"]


async def test_a_client_that_hangs_up_is_metered_for_what_was_generated(
    tmp_path: Path, database_url: str
) -> None:
    async with storage(tmp_path, database_url) as store:
        record = open_one(store.metering)
        for _ in range(3):
            record.count(Delta(raw=b"x", output_tokens=1))
        await store.metering.settle(record, "client_gone")
        (row,) = store.rows()
    assert (row["input_text"], row["output_text"], row["estimated"]) == (7, 3, 1)


async def test_nothing_generated_is_nothing_metered(tmp_path: Path, database_url: str) -> None:
    async with storage(tmp_path, database_url) as store:
        record = open_one(store.metering)
        await store.metering.settle(record, "refused")
        (row,) = store.rows()
    assert (row["input_text"], row["output_text"], row["estimated"]) == (0, 0, 0)
    assert row["outcome"] == "refused"
    assert row["ttft_ms"] is None


async def test_what_the_engine_says_replaces_what_was_counted_before(
    tmp_path: Path, database_url: str
) -> None:
    async with storage(tmp_path, database_url) as store:
        record = open_one(store.metering)
        record.count(Delta(output_tokens=50))
        record.count(Delta(meters=Meters(input_text=4, output_text=9)))
        record.count(Delta(output_tokens=2))
        await store.metering.settle(record, "client_gone")
        (row,) = store.rows()
    assert (row["input_text"], row["output_text"], row["estimated"]) == (4, 11, 1)


async def test_impossible_figures_from_an_engine_still_make_a_record(
    tmp_path: Path, database_url: str
) -> None:
    async with storage(tmp_path, database_url) as store:
        record = open_one(store.metering)
        meters = Meters(input_text=-5, output_text=2**70, output_reasoning=3)
        record.count(Delta(meters=meters, last=True, finish="\N{SNOWMAN}" * 1_000))
        await store.metering.settle(record, "completed")
        (row,) = store.rows()
    assert (row["input_text"], row["output_text"], row["output_reasoning"]) == (0, 2**53 - 1, 3)
    assert len(row["finish_reason"]) == 64


ENDINGS = st.lists(
    st.sampled_from(["completed", "client_gone", "upstream_failed", "internal_error"]),
    min_size=1,
    max_size=4,
)
LIVES = st.lists(st.tuples(st.integers(0, 3), st.booleans(), ENDINGS), min_size=1, max_size=8)


async def _live(store: Storage, tokens: int, on_disk: bool, endings: list[Outcome]) -> str:
    record = open_one(store.metering)
    for _ in range(tokens):
        record.count(Delta(output_tokens=1))
    if on_disk:  # a checkpoint reached the disk before the end
        store.metering.checkpoint(float("inf"))
        await store.writer.run(lambda connection: None)
    await asyncio.gather(*[store.metering.settle(record, outcome) for outcome in endings])
    return record.id


def test_however_often_it_is_settled_there_is_one_record_with_the_first_ending(
    tmp_path_factory: pytest.TempPathFactory, database_url: str
) -> None:
    async def law(lives: list[tuple[int, bool, list[Outcome]]]) -> None:
        async with storage(folder, database_url) as store:
            ids = await asyncio.gather(*[_live(store, *life) for life in lives])
            rows = {row["id"]: row for row in store.rows()}
            count = store.rows("SELECT count(*) AS n FROM usage_record")[0]["n"]
        assert len(rows) == count
        for record_id, (tokens, _, endings) in zip(ids, lives, strict=True):
            assert rows[record_id]["outcome"] == endings[0]
            assert rows[record_id]["output_text"] == tokens

    folder = tmp_path_factory.mktemp("law")

    @settings(max_examples=30, deadline=None)
    @given(LIVES)
    def check(lives: list[tuple[int, bool, list[Outcome]]]) -> None:
        asyncio.run(law(lives))

    check()


async def test_a_record_that_has_ended_stays_as_it_is_whoever_comes_again(
    tmp_path: Path, database_url: str
) -> None:
    async with storage(tmp_path, database_url) as store:
        first = open_one(store.metering)
        first.count(LAST)
        await store.metering.settle(first, "completed")
        again = open_one(store.metering, request_id=first.id)
        again.count(Delta(output_tokens=100))
        store.metering.checkpoint(float("inf"))
        await store.writer.run(lambda connection: None)
        await store.metering.settle(again, "client_gone")
        (row,) = store.rows()
    assert (row["outcome"], row["output_text"]) == ("completed", 5)


async def test_a_cancelled_settle_is_recorded_all_the_same(
    tmp_path: Path, database_url: str
) -> None:
    async with storage(tmp_path, database_url) as store:
        record = open_one(store.metering)
        record.count(LAST)
        task = asyncio.get_running_loop().create_task(store.metering.settle(record, "completed"))
        await asyncio.sleep(0)  # it has begun
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    with_restart = await _rows_after_restart(tmp_path, database_url)
    assert [row["outcome"] for row in with_restart] == ["completed"]


async def test_a_locked_database_closes_admission_and_loses_nothing(
    tmp_path: Path, database_url: str
) -> None:
    async with storage(tmp_path, database_url) as store:
        with locked(store.database):
            spooled = [await complete_one(store.metering) for _ in range(3)]
            await store.health.until(closed=True)
            refusal = store.health.refusals[-1]
            assert refusal is not None
            assert (refusal.code, refusal.retry_after_ms) == ("storage_unavailable", 2_000)
            assert "locked" in refusal.message
            with pytest.raises(Refusal):
                await store.writer.run(lambda connection: None)
            assert store.rows() == []
        await store.health.until(closed=False)
        later = await complete_one(store.metering)
        assert sorted(row["id"] for row in store.rows()) == sorted([*spooled, later])


async def test_a_lock_shorter_than_the_patience_goes_unnoticed(
    tmp_path: Path, database_url: str
) -> None:
    async with storage(tmp_path, database_url, replace(QUICK, patience_s=30.0)) as store:
        await store.writer.run(lambda connection: None)  # it has started
        with locked(store.database):
            settling = asyncio.gather(*[complete_one(store.metering) for _ in range(3)])
            await asyncio.sleep(0.5)  # the lock's length: the writer meets it once or twice
        await settling
        assert store.health.refusals == []
        assert len(store.rows()) == 3


async def test_a_full_disk_closes_admission_and_loses_nothing(
    tmp_path: Path, database_url: str
) -> None:
    async with storage(tmp_path, database_url) as store:
        await fill_disk(store.database, store.writer)
        ids = []
        while not store.health.closed:
            ids.append(await complete_one(store.metering))
        ids += [await complete_one(store.metering) for _ in range(20)]
        refusals = [refusal for refusal in store.health.refusals if refusal is not None]
        assert "the disk is full" in refusals[0].message
        free_disk(store.database)
        ids.append(await complete_one(store.metering))
        await store.health.until(closed=False)
        assert sorted(row["id"] for row in store.rows()) == sorted(ids)


async def test_what_the_spool_holds_survives_the_process(tmp_path: Path, database_url: str) -> None:
    async with storage(tmp_path, database_url) as store:
        with locked(store.database):
            ids = [await complete_one(store.metering) for _ in range(5)]
            await store.writer.close()
    rows = await _rows_after_restart(tmp_path, database_url)
    assert sorted(row["id"] for row in rows) == sorted(ids)
    assert {row["outcome"] for row in rows} == {"completed"}


async def test_a_nearly_full_disk_closes_admission_while_records_are_still_written(
    tmp_path: Path,
) -> None:
    limits = WriterLimits(free_bytes_min=2**62, spool_reserve_bytes=0)
    async with storage(tmp_path, limits=limits) as store:
        await store.health.until(closed=True)
        await complete_one(store.metering)
        assert len(store.rows()) == 1


async def _rows_after_restart(data_dir: Path, url: str) -> list[Any]:
    async with storage(data_dir, url) as store:
        await store.metering.recover()
        return store.rows()
