"""What is kept goes: by its own time, by its project's, and all of it where nothing may stay."""

import json
from pathlib import Path

import pytest

from portico.db.database import Database
from portico.errors import Refusal
from portico.resources.files.model import Owner
from tests.background.warehouse import TABLES, store
from tests.resources.attic import DAY_MS, MINE, STRANGER
from tests.resources.files.place import TEXT, said

pytestmark = pytest.mark.anyio


async def test_what_has_expired_goes_with_all_below_it(database: Database, tmp_path: Path) -> None:
    async with store(database, tmp_path) as kept:
        await kept.fill()
        assert set(kept.counts(MINE)) == set(TABLES)
        assert await kept.expiring.once() == 0
        kept.says(MINE, retention="days", retention_days=3)
        assert await kept.expiring.once() == 0
        kept.attic.clock.pass_s(3 * 86_400 + 1)
        assert await kept.expiring.once() == 3
        await kept.files.sweep()
        assert kept.counts(MINE) == {}
        assert kept.names() == []


async def test_fewer_days_are_of_what_is_there_too(database: Database, tmp_path: Path) -> None:
    async with store(database, tmp_path) as kept:
        await kept.fill(MINE)
        await kept.fill(STRANGER, at=2)
        before = kept.until(STRANGER)
        kept.says(MINE, retention="days", retention_days=5)
        await kept.expiring.once()
        assert set(kept.until(MINE).values()) == {5}
        kept.says(MINE, retention="days", retention_days=2)
        await kept.expiring.once()
        assert set(kept.until(MINE).values()) == {2}
        kept.says(MINE, retention="days", retention_days=9)
        await kept.expiring.once()
        assert set(kept.until(MINE).values()) == {2}, "what was promised to go goes"
        assert kept.until(STRANGER) == before


async def test_under_zero_retention_all_of_it_goes_and_that_is_written_down(
    database: Database, tmp_path: Path
) -> None:
    async with store(database, tmp_path) as kept:
        await kept.fill(MINE)
        await kept.fill(STRANGER, at=2)
        theirs = kept.counts(STRANGER)
        kept.says(MINE, retention="zero")
        assert await kept.expiring.once() == 5
        assert await kept.expiring.once() == 0
        assert (kept.counts(MINE), kept.counts(STRANGER)) == ({}, theirs)
        assert len(kept.names()) == 2
        query = "SELECT action, target, after FROM audit_event JOIN audit_detail USING (organisation_id, sequence)"
        rows = database.read(lambda c: c.exec_driver_sql(query).all())
        assert [(row[0], row[1]) for row in rows] == [("project.empty", MINE.project_id)]
        told = json.loads(rows[0][2])["removed"]
        assert told == {"files": 2, "responses": 1, "conversations": 1, "batches": 1}


async def test_what_an_archived_project_kept_goes_a_month_later(
    database: Database, tmp_path: Path
) -> None:
    async with store(database, tmp_path) as kept:
        await kept.fill()
        kept.says(MINE, archived_at_ms=kept.attic.clock.now_ms)
        kept.attic.clock.pass_s(29 * 86_400)
        await kept.expiring.once()
        assert "conversation" in kept.counts(MINE)
        kept.attic.clock.pass_s(86_400)
        await kept.expiring.once()
        assert kept.counts(MINE) == {}


async def test_whoever_was_told_a_moment_ago_that_he_may_keeps_no_file(
    database: Database, tmp_path: Path
) -> None:
    """A key is known for seconds; the commit looks at the project."""
    async with store(database, tmp_path) as kept:
        kept.says(MINE, retention="zero")
        with pytest.raises(Refusal, match="zero retention"):
            await kept.files.write(Owner.of(MINE), TEXT, said(b"late"))
        with pytest.raises(Refusal, match="zero retention"):
            await kept.uploads.begin(Owner.of(MINE), TEXT, 10)
        assert kept.names() == []


async def test_what_is_kept_from_now_on_obeys_the_days_of_now(
    database: Database, tmp_path: Path
) -> None:
    async with store(database, tmp_path) as kept:
        kept.says(MINE, retention="days", retention_days=1)
        await kept.expiring.once()
        await kept.fill()  # as a caller who was known before
        until = kept.until(MINE)
        assert (until["response"], until["file"]) == (1, 1)


async def test_what_is_under_way_stays_until_it_has_ended(
    database: Database, tmp_path: Path
) -> None:
    async with store(database, tmp_path) as kept:
        await kept.fill()
        ongoing = (
            "UPDATE response SET state = 'queued', ended_at_ms = NULL, expires_at_ms = NULL",
            "UPDATE batch SET state = 'in_progress', ended_at_ms = NULL, expires_at_ms = NULL",
        )
        for change in ongoing:
            database.write(lambda c, change=change: c.exec_driver_sql(change))  # type: ignore[misc]
        kept.says(MINE, retention="days", retention_days=1)
        kept.attic.clock.pass_s(2 * DAY_MS / 1000)
        await kept.expiring.once()
        assert {"response", "batch"} <= set(kept.counts(MINE))
        assert "conversation" not in kept.counts(MINE)


async def test_a_large_batch_goes_in_small_pieces(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portico.background.expiring._MOST", 2)
    async with store(database, tmp_path) as kept:
        await kept.fill()
        changed: list[int] = []
        run = kept.attic.writer.run

        async def counting(change: object) -> object:
            before = kept.counts(MINE).get("batch_line", 0)
            result = await run(change)  # type: ignore[arg-type]
            changed.append(before - kept.counts(MINE).get("batch_line", 0))
            return result

        monkeypatch.setattr(kept.attic.writer, "run", counting)
        kept.says(MINE, retention="zero")
        await kept.expiring.once()
        assert (sum(changed), max(changed)) == (5, 2)
