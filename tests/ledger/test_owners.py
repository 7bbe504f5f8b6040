"""Which serving processes are alive."""

from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.ledger import owners


def test_who_beat_within_the_last_minute_is_alive(database: Database) -> None:
    def at(now_ms: int) -> int:
        return database.read(lambda c: owners.alive(Transaction(c), now_ms))

    last_ms = 1_000 + owners.DEAD_AFTER_MS
    assert at(0) == 0

    def start(owner: str, now_ms: int) -> None:
        database.write(lambda c: owners.start(Transaction(c), owner, now_ms))

    for owner, beat_ms in (("a", 0), ("b", 1_000), ("c", 2_000)):
        start(owner, beat_ms)
    assert [at(now_ms) for now_ms in (2_000, last_ms, last_ms + 1)] == [3, 2, 1]
    database.write(lambda c: owners.forget(Transaction(c), "c"))
    assert at(last_ms + 1) == 0
