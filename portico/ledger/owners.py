"""Serving processes: who is alive to settle the holds it opened."""

from portico.db.transaction import Transaction

BEAT_S = 5.0
DEAD_AFTER_MS = 60_000
"""Since its last beat.  Long enough for clocks that differ between machines and a stalled disk."""


def start(transaction: Transaction, owner: str, now_ms: int) -> None:
    transaction.run(
        "INSERT INTO instance (id, started_at_ms, beat_at_ms) VALUES (?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET beat_at_ms = excluded.beat_at_ms",
        (owner, now_ms, now_ms),
    )


def beat(transaction: Transaction, owner: str, now_ms: int) -> None:
    """Also brings back one that was forgotten while its database was away."""
    start(transaction, owner, now_ms)


def forget(transaction: Transaction, owner: str) -> None:
    """It has ended in good order: nothing of it is open."""
    transaction.run("DELETE FROM instance WHERE id = ?", (owner,))


def alive(transaction: Transaction, now_ms: int) -> int:
    """How many there are, or were a minute ago."""
    query = "SELECT count(*) FROM instance WHERE beat_at_ms >= ?"
    return int(transaction.rows(query, (now_ms - DEAD_AFTER_MS,))[0][0])


def forget_others(transaction: Transaction, owner: str) -> None:
    """Where a lock lets only one process serve, every other one is dead."""
    transaction.run("DELETE FROM instance WHERE id <> ?", (owner,))


def forget_dead(transaction: Transaction, now_ms: int) -> None:
    transaction.run("DELETE FROM instance WHERE beat_at_ms < ?", (now_ms - DEAD_AFTER_MS,))
