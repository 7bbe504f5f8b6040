"""What a project lets be kept, and that it is gone from the disk when its time is over."""

from pathlib import Path

import pytest

from portico.callers.model import Caller, Retention
from portico.db.committer import WriterLimits
from portico.db.database import Database, open_database
from portico.db.transaction import Transaction
from portico.db.wiping import Wiping
from portico.db.writer import Writer
from portico.kit.clock import SystemClock
from portico.replay import service, store
from portico.replay.claim import Claim
from portico.replay.model import Answer, Ended, Wish
from portico.replay.shelf import Shelf
from tests.db.storage import Health
from tests.replay.test_rules import Seen
from tests.replay.world import wish

CANARY = b"zqcanary"
ANSWER = Answer(200, b"", False, CANARY * 20_000, b"", b"")
DAY_MS = 86_400_000
LOG_BYTES = WriterLimits().log_reserve_bytes


def caller(retention: Retention, days: int | None = None) -> Caller:
    return Caller("key_1", "p", "o", "live", 1, retention=retention, retention_days=days)


def ended(caller: Caller, keep_ms: int) -> tuple[Ended, Seen]:
    seen = Seen()
    claim = Claim(
        wish("r1"),
        Shelf(1_000, 0),
        seen,
        bytes_max=100,
        keep_ms=keep_ms,
        content_ms_max=caller.content_ms_max,
    )
    claim.add(b"one")
    claim.complete(b"", b"two", stream=False, cost=b"")
    return claim.end("completed"), seen


def test_zero_keeps_the_key_and_no_answer() -> None:
    made, seen = ended(caller("zero"), 5_000)
    assert (made.keep_ms, made.answer) == (5_000, None)
    assert seen.lacks == ["zero_retention"]


@pytest.mark.parametrize(
    ("retention", "days", "keep_ms", "kept_ms"),
    [
        ("metadata", None, 9 * DAY_MS, 9 * DAY_MS),
        ("contributor", None, 9 * DAY_MS, 9 * DAY_MS),
        ("days", 2, 9 * DAY_MS, 2 * DAY_MS),
        ("days", 10, 9 * DAY_MS, 9 * DAY_MS),
    ],
)
def test_an_answer_is_kept_no_longer_than_its_project_says(
    retention: Retention, days: int | None, keep_ms: int, kept_ms: int
) -> None:
    made, seen = ended(caller(retention, days), keep_ms)
    assert made.keep_ms == kept_ms
    assert made.answer is not None
    assert seen.lacks == []


def stored_project(database: Database, retention: Retention) -> None:
    def write(transaction: Transaction) -> None:
        transaction.run("INSERT INTO organisation (id, name, created_at_ms) VALUES ('o', 'O', 1)")
        transaction.run(
            "INSERT INTO project (id, organisation_id, name, created_at_ms, retention) "
            "VALUES ('p', 'o', 'P', 1, ?)",
            (retention,),
        )

    database.write(lambda connection: write(Transaction(connection)))


def answer_stored(database: Database, request: str = "r1", now_ms: int = 1_000) -> None:
    def write(transaction: Transaction) -> None:
        asked = Wish("p", f"key of {request}", b"f" * 32, request)
        service.take(transaction, [asked], now_ms, "inst", now_ms + 10)
        service.finish(transaction, [Ended(request, 1_000, ANSWER)], {}, now_ms)

    database.write(lambda connection: write(Transaction(connection)))


def body_of(database: Database, request: str = "r1") -> bytes | None:
    stored = database.read(lambda connection: store.stored(connection, request))
    assert stored is not None, "the key stays: a retry is not charged again"
    return stored.body


@pytest.mark.parametrize("retention", ["zero", "metadata"])
def test_the_commit_knows_what_the_project_says_by_then(
    database: Database, retention: Retention
) -> None:
    """The claim was made when it was allowed: a key is known for seconds."""
    stored_project(database, retention)
    answer_stored(database)
    assert (body_of(database) is None) == (retention == "zero")


def in_files(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.glob("portico.db*") if CANARY in each.read_bytes())


@pytest.mark.anyio
async def test_what_is_forgotten_is_gone_from_the_files(tmp_path: Path) -> None:
    """While the server runs: its own connection stays open, as the log does."""
    database = open_database(tmp_path, "")
    stored_project(database, "metadata")
    writer = Writer(
        database,
        SystemClock(),
        Health(),
        WriterLimits(spool_reserve_bytes=65_536, free_bytes_min=0),
    )
    writer.start()
    try:
        # Or whoever stores it closes the last connection, which folds the log in.
        await writer.run(lambda connection: None)
        answer_stored(database)
        assert "portico.db-wal" in in_files(tmp_path), "the search finds what is there"
        purged = await writer.run(lambda c: service.purge(Transaction(c), 2_000))
        assert purged is False
        wiping = Wiping(database)
        assert await wiping.once()
        assert in_files(tmp_path) == []
        assert (tmp_path / "portico.db-wal").stat().st_size > LOG_BYTES * 9 // 10, (
            "it has its length again"
        )
    finally:
        await writer.close()


@pytest.mark.anyio
async def test_a_reader_is_waited_for_and_not_disturbed(tmp_path: Path) -> None:
    database = open_database(tmp_path, "")
    stored_project(database, "metadata")
    with database.connect() as reader:
        reader.exec_driver_sql("BEGIN")
        reader.exec_driver_sql("SELECT count(*) FROM project").scalar()
        answer_stored(database)
        assert not await Wiping(database).once()
        reader.exec_driver_sql("ROLLBACK")
    assert await Wiping(database).once()
