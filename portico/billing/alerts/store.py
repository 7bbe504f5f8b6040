"""Rows of deliveries: which are due, who tries them, what came of it."""

from collections.abc import Collection, Sequence

from portico.billing.alerts.model import Delivery, Outcome
from portico.db.tables import attempt
from portico.db.transaction import Transaction, places
from portico.webhooks.rules import is_last, wait_ms

LEASE_MS = 120_000
"""A delivery that is being tried belongs to whoever tries it for so long."""
AT_ONCE = 40
TO_ONE = 4
"""Deliveries to one address that are under way at the same time."""


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


def take_due(transaction: Transaction, now_ms: int, busy: Collection[str] = ()) -> list[Delivery]:
    """The next deliveries, oldest first, left alone by everybody else for `LEASE_MS`: few to one
    address, so that one which does not answer holds up nobody else.

    busy: addresses that have enough to do.
    Writing transactions take turns, so nobody else takes them between the two statements.
    """
    others = (*busy, "")  # a list in SQL has one element at least
    due = transaction.rows(
        "SELECT id FROM (SELECT id, due_at_ms, row_number() OVER "
        "(PARTITION BY channel, target ORDER BY due_at_ms, id) AS place FROM delivery "
        f"WHERE state = 'waiting' AND due_at_ms <= ? AND target NOT IN {places(len(others))}) AS due "
        f"WHERE place <= {TO_ONE} ORDER BY due_at_ms, id LIMIT {AT_ONCE}",
        (now_ms, *others),
    )
    if not due:
        return []
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


def note(transaction: Transaction, tried: Delivery, outcome: Outcome, now_ms: int) -> bool:
    """What came of an attempt; True where it was the last.  A late word about one that was resolved
    meanwhile changes nothing but the log."""
    transaction.insert(attempt, [(tried.id, tried.number, now_ms, outcome.says)])
    if outcome.delivered:
        _resolve(transaction, tried.id, "delivered", now_ms)
        return False
    if outcome.final or is_last(tried.number):
        return _resolve(transaction, tried.id, "given_up", now_ms)
    wait = wait_ms(tried.number, tried.id, outcome.retry_after_ms)
    transaction.run(
        "UPDATE delivery SET due_at_ms = ? WHERE id = ? AND state = 'waiting'",
        (now_ms + wait, tried.id),
    )
    return False


def _resolve(transaction: Transaction, delivery_id: str, state: str, now_ms: int) -> bool:
    changed = transaction.run(
        "UPDATE delivery SET state = ?, resolved_at_ms = ? WHERE id = ? AND state = 'waiting'",
        (state, now_ms, delivery_id),
    )
    return changed > 0
