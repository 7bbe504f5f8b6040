"""A batch that comes with its lines, however many they are: whole, or not there; and nobody waits for
all of it at once."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from portico.db.database import Database
from portico.db.tables import organisation, project
from portico.errors import Refusal
from portico.replay.model import Wish
from portico.resources.batches import store
from portico.resources.batches.model import LINES_AT_ONCE, Batch, Counts, NewLine
from portico.resources.pages import Window
from tests.background.lives import CALLER, CHAT, Life, fund, life

pytestmark = pytest.mark.anyio
MANY = 2 * LINES_AT_ONCE + 1
ALL = Window("", "", 20)
OF_LINES = "SELECT count(*) FROM batch_line"


def lines(count: int = MANY) -> list[NewLine]:
    return [NewLine(n, f"c{n}", b'{"model": "m", "say": "x"}') for n in range(1, count + 1)]


def new(living: Life) -> Batch:
    return living.batches.new(CALLER, "anthropic", CHAT, {})


async def add(living: Life, batch: Batch, key: str = "", count: int = MANY) -> Any:
    wish = Wish("proj_1", key, b"p" * 32, f"req_{batch.id}") if key else None
    return await living.batches.add(batch, lines(count), wish, 60_000, lambda it: it.id.encode())


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many lines each commit has; one of 0 that is put there fails the commit it stands for."""
    seen: list[int] = []
    real: Callable[..., None] = store.add_lines

    def counted(connection: Any, new: Batch, lines: list[NewLine]) -> None:
        seen.append(len(lines))
        if 0 in seen:
            raise RuntimeError("no more")
        real(connection, new, lines)

    monkeypatch.setattr(store, "add_lines", counted)
    return seen


async def test_it_comes_in_pieces_and_is_there_when_it_is_whole(
    database: Database, tmp_path: Path, pieces: list[int]
) -> None:
    fund(database)
    async with life(database, tmp_path, "inst_a") as living:
        living.echo.makes.clear()
        batch = new(living)
        done = await add(living, batch)
        assert (done.body, pieces) == (batch.id.encode(), [LINES_AT_ONCE, LINES_AT_ONCE, 1])
        found, counts = await living.batches.get(CALLER, "anthropic", batch.id)
        assert (found.state, found.lines, counts.open) == ("in_progress", MANY, MANY)
        await living.until(f"{OF_LINES} WHERE state = 'running'")


async def test_what_is_coming_is_seen_by_nobody_and_its_lines_do_not_run(
    database: Database, tmp_path: Path, pieces: list[int]
) -> None:
    fund(database)
    async with life(database, tmp_path, "inst_a") as living:
        batch = new(living)
        await living.real.run(lambda c: store.add(c, _coming(batch), "inst_a"))
        living.batches._coming.add(batch.id)  # as between two pieces
        await living.real.run(lambda c: store.add_lines(c, batch, lines(3)))
        other = new(living)
        await add(living, other, count=3)
        await living.ended(other)
        assert living.rows(f"{OF_LINES} WHERE batch_id = '{batch.id}' AND state = 'waiting'") == [
            (3,)
        ]
        assert living.found(batch).is_coming, "whoever writes it down goes on with it"
        page, _ = await living.batches.page(CALLER, "anthropic", ALL)
        assert [each.id for each, _ in page] == [other.id]
        with pytest.raises(Refusal) as gone:
            await living.batches.cancel(CALLER, "anthropic", batch.id)
        assert gone.value.code == "resource_not_found"


def _coming(batch: Batch) -> Batch:
    assert batch.is_coming
    return batch


async def test_what_did_not_come_whole_goes_and_counts_no_more(
    database: Database, tmp_path: Path, pieces: list[int]
) -> None:
    fund(database)
    async with life(database, tmp_path, "inst_a") as living:
        batch = new(living)
        first = asyncio.ensure_future(add(living, batch))
        await living.until(OF_LINES, LINES_AT_ONCE)
        pieces.append(0)
        with pytest.raises(RuntimeError):
            await first
        over = await living.ended(batch)
        assert (over.state, over.expires_at_ms) == ("failed", over.ended_at_ms)
        count = database.read(lambda c: store.open_count(c, batch.project_id))
        assert count == 0
        pieces.clear()
        again = new(living)
        await add(living, again, count=3)
        assert (await living.ended(again)).state == "completed"


async def test_409_where_it_is_removed_while_it_comes(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As whoever empties a project does."""
    real = store.add_lines

    def removed(connection: Connection, new: Batch, lines: list[NewLine]) -> None:
        real(connection, new, lines)
        connection.exec_driver_sql("DELETE FROM batch")

    monkeypatch.setattr(store, "add_lines", removed)
    async with life(database, tmp_path, "inst_a") as living:
        with pytest.raises(Refusal) as refused:
            await add(living, new(living))
        assert refused.value.code == "conflict"


async def test_what_a_dead_server_left_half_done_goes_with_the_next_one(
    database: Database, tmp_path: Path
) -> None:
    fund(database)
    async with life(database, tmp_path, "inst_a") as living:
        batch = new(living)
        await living.real.run(lambda c: store.add(c, batch, "inst_a"))
        living.batches._coming.add(batch.id)
        await living.real.run(lambda c: store.add_lines(c, batch, lines(3)))
    async with life(database, tmp_path, "inst_b") as after:
        assert (await after.ended(batch)).state == "failed"
        assert after.rows("SELECT count(*) FROM usage_record") == [(0,)]


def owned(database: Database) -> None:
    """Keys are told apart by the organisations of projects."""

    def write(connection: Connection) -> None:
        connection.execute(insert(organisation).values(id="org_1", name="O", created_at_ms=0))
        theirs = {"id": "proj_1", "organisation_id": "org_1", "name": "P", "created_at_ms": 0}
        connection.execute(insert(project).values(**theirs))

    database.write(write)


async def test_one_key_one_batch_however_many_lines(database: Database, tmp_path: Path) -> None:
    fund(database)
    owned(database)
    async with life(database, tmp_path, "inst_a") as living:
        living.echo.makes.clear()
        batch, other = new(living), new(living)
        first, second = await asyncio.gather(
            add(living, batch, "key"), add(living, other, "key"), return_exceptions=False
        )
        assert first.body == second.body
        assert sorted((first.again, second.again)) == [False, True]
        lost = other if first.body == batch.id.encode() else batch
        assert (await living.ended(lost)).state == "failed"
        page, _ = await living.batches.page(CALLER, "anthropic", ALL)
        assert [each.id.encode() for each, _ in page] == [first.body]


async def test_who_asks_again_is_told_the_same_where_there_is_no_more_place(
    database: Database, tmp_path: Path
) -> None:
    fund(database)
    owned(database)
    async with life(database, tmp_path, "inst_a") as living:
        living.echo.makes.clear()
        living.batches.limits = replace(living.batches.limits, open_max=1)
        first = await add(living, new(living), "one")
        again = await add(living, new(living), "one")
        assert (again.body, again.again) == (first.body, True)
        with pytest.raises(Refusal) as full:
            await add(living, new(living), "another")
        assert full.value.code == "batches_full"


async def test_lines_that_never_begin_end_in_pieces(database: Database, tmp_path: Path) -> None:
    fund(database)
    async with life(database, tmp_path, "inst_a") as living:
        living.echo.makes.clear()
        batch = new(living)
        await add(living, batch)
        await living.until(f"{OF_LINES} WHERE state = 'running'", 3)
        _, counts = await living.batches.cancel(CALLER, "anthropic", batch.id)
        assert 3 <= counts.open <= MANY, "the first piece may have ended already"
        await living.until(f"{OF_LINES} WHERE state = 'cancelled'", MANY - 3)
        living.echo.makes.set()
        over = await living.ended(batch)
        _, counts = await living.batches.get(CALLER, "anthropic", batch.id)
        assert (over.state, counts) == ("cancelled", Counts(succeeded=3, cancelled=MANY - 3))
