"""Rows of deliveries: which are due, who tries them, what came of it."""

from collections.abc import Iterable, Sequence

from portico.billing.alerts.model import Delivery, Outcome
from portico.billing.alerts.rules import ATTEMPTS_MAX, wait_ms
from portico.db.tables import attempt
from portico.db.transaction import Transaction, places

LEASE_MS = 120_000
"""A delivery that is being tried belongs to whoever tries it for so long."""
_AT_ONCE = 20


def known(transaction: Transaction, subjects: Sequence[str]) -> set[str]:
    """Those of `subjects` that somebody was told about."""
    found = transaction.rows(
        f"SELECT subject FROM alert WHERE subject IN {places(len(subjects))}", subjects
    )
    return {row[0] for row in found}


def any_due(transaction: Transaction, now_ms: int) -> bool:
    return bool(
        transaction.rows(
            "SELECT 1 FROM delivery WHERE state = 'waiting' AND due_at_ms <= ? LIMIT 1", (now_ms,)
        )
    )


def take_due(transaction: Transaction, now_ms: int) -> list[Delivery]:
    """The next deliveries, oldest first, left alone by everybody else for `LEASE_MS`.

    Writing transactions take turns, so nobody else takes them between the two statements.
    """
    due = transaction.rows(
        "SELECT id FROM delivery WHERE state = 'waiting' AND due_at_ms <= ? "
        f"ORDER BY due_at_ms, id LIMIT {_AT_ONCE}",
        (now_ms,),
    )
    ids = [row[0] for row in due]
    transaction.run(
        f"UPDATE delivery SET attempts = attempts + 1, due_at_ms = ? WHERE id IN {places(len(ids))}",
        (now_ms + LEASE_MS, *ids),
    )
    found = transaction.rows(
        "SELECT delivery.id, channel, target, attempts, organisation_id, body FROM delivery "
        f"JOIN alert ON alert.id = alert_id WHERE delivery.id IN {places(len(ids))} "
        "ORDER BY delivery.id",
        ids,
    )
    return [Delivery(*row) for row in found]


def note(
    transaction: Transaction, results: Iterable[tuple[Delivery, Outcome]], now_ms: int
) -> None:
    """What came of attempts.  A late word about one that was resolved meanwhile changes nothing
    but the log."""
    for each, outcome in results:
        transaction.insert(attempt, [(each.id, each.number, now_ms, outcome.says)])
        if outcome.delivered:
            _resolve(transaction, each.id, "delivered", now_ms)
        elif outcome.final or each.number >= ATTEMPTS_MAX:
            _resolve(transaction, each.id, "given_up", now_ms)
        else:
            transaction.run(
                "UPDATE delivery SET due_at_ms = ? WHERE id = ? AND state = 'waiting'",
                (now_ms + wait_ms(each.number), each.id),
            )


def _resolve(transaction: Transaction, delivery_id: str, state: str, now_ms: int) -> None:
    transaction.run(
        "UPDATE delivery SET state = ?, resolved_at_ms = ? WHERE id = ? AND state = 'waiting'",
        (state, now_ms, delivery_id),
    )
