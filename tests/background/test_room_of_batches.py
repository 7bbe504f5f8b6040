"""Batches of a project that keeps as much as it may, or nothing any more."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import insert

from portico.db.database import Database
from portico.db.tables import organisation, project
from portico.errors import Refusal
from portico.keeping.rules import ROW_BYTES
from portico.replay.model import Wish
from portico.resources.batches import store
from portico.resources.batches.model import NewLine
from tests.background.lives import CALLER, CHAT, Life, fund, life
from tests.keeping.held import held_bytes

pytestmark = pytest.mark.anyio
FULL = 2**60


async def add(living: Life, wish: Wish | None = None) -> bytes:
    batch = living.batches.new(CALLER, "anthropic", CHAT, {})
    lines = [NewLine(1, "a", b"{}")]
    done = await living.batches.add(batch, lines, wish, 1_000, lambda made: made.id.encode())
    return done.body


def own(living: Life, **fields: str) -> None:
    """The project of the caller, with such fields."""
    of_both = {"name": "P", "created_at_ms": 0}
    owner = insert(organisation).values(id=CALLER.organisation_id, **of_both)
    values = {"organisation_id": CALLER.organisation_id, **of_both, **fields}
    owned = insert(project).values(id=CALLER.project_id, **values)
    living.database.write(lambda c: (c.execute(owner), c.execute(owned)))


def fill(living: Life) -> None:
    living.room.weigh(CALLER.project_id)(FULL)


async def test_403_a_new_one_and_a_retry_of_one_that_was_taken_in_is_told_so(
    database: Database, tmp_path: Path
) -> None:
    async with life(database, tmp_path, "inst_a") as living:
        living.lane.hear = lambda: None  # type: ignore[method-assign]  # nobody works on them
        own(living)
        wish = Wish(CALLER.project_id, "key", b"print", "req_1")
        before = await add(living, wish)
        fill(living)
        assert await add(living, replace(wish, request_id="req_2")) == before
        with pytest.raises(Refusal) as refused:
            await add(living)
        assert refused.value.code == "storage_quota_exceeded"


async def test_one_whose_lines_do_not_fit_fails_before_any_of_them_runs(
    database: Database, tmp_path: Path
) -> None:
    fund(database)
    async with life(database, tmp_path, "inst_a") as living:
        living.room.grew(CALLER.project_id, FULL - ROW_BYTES)
        batch = await living.ended(await living.new(["a", "b"]))
        assert batch.state == "completed", "there was room when it began to be read"
        fill(living)
        made = living.batches.new(CALLER, "openai", CHAT, {}, input_file_id=batch.input_file_id)
        living.database.write(lambda connection: store.add(connection, made))
        living.lane.hear()
        failed = await living.ended(made)
        assert failed.state == "failed"
        assert failed.errors is not None
        assert failed.errors[0]["code"] == "storage_quota_exceeded"
        assert living.rows(f"SELECT count(*) FROM batch_line WHERE batch_id = '{made.id}'") == [
            (0,)
        ]


async def test_400_of_a_project_that_has_turned_to_zero_retention_meanwhile(
    database: Database, tmp_path: Path
) -> None:
    """Whatever its caller was known as a moment ago."""

    async with life(database, tmp_path, "inst_a") as living:
        own(living, retention="zero")
        with pytest.raises(Refusal) as refused:
            await add(living)
        assert refused.value.code == "zero_retention"
        assert living.rows("SELECT count(*) FROM batch") == [(0,)]


async def test_lines_and_their_answers_count_as_they_come(
    database: Database, tmp_path: Path
) -> None:
    fund(database)
    async with life(database, tmp_path, "inst_a") as living:
        living.echo.makes.clear()
        batch = await living.new(["a", "b"])
        await living.until("SELECT count(*) FROM batch_line WHERE state = 'running'", 2)
        read = held_bytes(living.room, CALLER.project_id)
        assert read > 2 * ROW_BYTES
        living.echo.makes.set()
        await living.ended(batch)
        answers = [json.dumps({"said": say}).encode() for say in ("a", "b")]
        assert held_bytes(living.room, CALLER.project_id) == read + sum(map(len, answers))
