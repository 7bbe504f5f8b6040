"""Rows of claims, a whole batch with each statement."""

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from portico.db.tables import idempotency_key
from portico.db.transaction import Row, Transaction, places
from portico.replay.model import Place, Standing, Stored, Wish


def lock(transaction: Transaction, wanted: Sequence[Place]) -> dict[Place, Standing]:
    """Who has each key, nobody else's to change until the transaction ends."""
    if not wanted:
        return {}
    pairs = ", ".join([places(2)] * len(wanted))
    found = transaction.rows(
        "SELECT project_id, key, request_id, fingerprint, state, expires_at_ms FROM idempotency_key "
        f"WHERE (project_id, key) IN (VALUES {pairs}){transaction.for_update}",
        [part for place in wanted for part in place],
    )
    return {(row[0], row[1]): Standing(row[2], bytes(row[3]), row[4], row[5]) for row in found}


def add(
    transaction: Transaction, wishes: Sequence[Wish], owner: str, now_ms: int, expires_at_ms: int
) -> None:
    """Raises: IntegrityError of the driver, where a key is taken."""
    rows: list[Row] = [
        (
            each.project_id,
            each.key,
            each.fingerprint,
            each.request_id,
            owner,
            "open",
            0,
            b"",
            0,
            None,
            now_ms,
            expires_at_ms,
        )
        for each in wishes
    ]
    transaction.insert(idempotency_key, rows)


def release(transaction: Transaction, ids: Sequence[str]) -> set[str]:
    """Free the keys of these requests; which of them still had theirs, open."""
    found = transaction.rows(
        f"DELETE FROM idempotency_key WHERE request_id IN {places(len(ids))} AND state = 'open' "
        "RETURNING request_id",
        ids,
    )
    return {row[0] for row in found}


def finish(transaction: Transaction, rows: Sequence[Row]) -> None:
    """(status, head, stream, answer, expires_at_ms, request id) each: its key is done, where it
    still has it."""
    transaction.each(
        "UPDATE idempotency_key SET state = 'done', status = ?, head = ?, stream = ?, answer = ?, "
        "expires_at_ms = ? WHERE request_id = ? AND state = 'open'",
        rows,
    )


def under_zero_retention(transaction: Transaction, ids: Sequence[str]) -> set[str]:
    """Which of these requests are of projects that have nothing kept."""
    if not ids:
        return set()
    found = transaction.rows(
        "SELECT k.request_id FROM idempotency_key k JOIN project p ON p.id = k.project_id "
        f"WHERE k.request_id IN {places(len(ids))} AND p.retention = 'zero'",
        ids,
    )
    return {row[0] for row in found}


def drop_answers(transaction: Transaction, project_id: str) -> int:
    """All that a project has stored.  How many."""
    return transaction.run(
        "UPDATE idempotency_key SET answer = NULL WHERE project_id = ? AND answer IS NOT NULL",
        (project_id,),
    )


def forget(transaction: Transaction, gone: Sequence[Place], now_ms: int) -> None:
    """Those that are done, whose time is over."""
    transaction.each(
        "DELETE FROM idempotency_key WHERE project_id = ? AND key = ? AND state = 'done' "
        "AND expires_at_ms <= ?",
        [(*place, now_ms) for place in gone],
    )


def release_stale(transaction: Transaction, now_ms: int) -> int:
    """Open ones whose owner is gone or whose time is over.  How many."""
    return transaction.run(
        "DELETE FROM idempotency_key WHERE state = 'open' "
        "AND (expires_at_ms <= ? OR owner NOT IN (SELECT id FROM instance))",
        (now_ms,),
    )


def purge(transaction: Transaction, now_ms: int, most: int) -> int:
    """Done ones whose time is over, oldest first.  How many."""
    return transaction.run(
        "DELETE FROM idempotency_key WHERE request_id IN (SELECT request_id FROM idempotency_key "
        "WHERE state = 'done' AND expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?)",
        (now_ms, most),
    )


def stored_bytes(connection: Connection, project_id: str) -> int:
    """Of all answers of a project, with their heads.  Looks at each of its rows, not into them."""
    c = idempotency_key.c
    size = func.coalesce(func.sum(func.length(c.answer) + func.length(c.head)), 0)
    return int(connection.execute(select(size).where(c.project_id == project_id)).scalar_one())


def stored(connection: Connection, request_id: str) -> Stored | None:
    """What was answered to this request; None where that is forgotten."""
    c = idempotency_key.c
    row = connection.execute(
        select(c.request_id, c.status, c.head, c.stream, c.answer).where(
            c.request_id == request_id, c.state == "done"
        )
    ).one_or_none()
    return None if row is None else Stored(row[0], row[1], row[2], bool(row[3]), row[4])
