"""The outbox: an alert and its deliveries are written together, tried until they arrive."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from portico.billing.alerts.model import Alert, AlertRules, Delivery, Outcome, Target
from portico.billing.alerts.rules import ATTEMPTS_MAX, wait_ms
from portico.db.tables import attempt, delivery
from portico.db.transaction import Row, Transaction, places
from portico.kit.ids import new_id

LEASE_MS = 120_000
"""A delivery that is being tried belongs to whoever tries it for so long."""
_AT_ONCE = 20
_percents = msgspec.json.Decoder(tuple[int, ...])


class UnknownBudget(Exception):
    """There is no such budget."""


@dataclass(frozen=True, slots=True)
class Told:
    """A delivery as people see it.  last: what came of the newest attempt; "" before the first."""

    alert_id: str
    kind: str
    organisation_id: str
    created_at_ms: int
    body: str
    delivery_id: str
    channel: str
    target: str
    state: str
    attempts: int
    last: str


def tell(transaction: Transaction, wanted: Alert, targets: Collection[Target], now_ms: int) -> bool:
    """False where somebody was told about that subject before."""
    body = msgspec.json.encode(
        {
            "type": wanted.kind,
            "timestamp": f"{datetime.fromtimestamp(now_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}",
            "data": {"says": wanted.says, **wanted.data},
        }
    ).decode()
    made = transaction.rows(
        "INSERT INTO alert (id, kind, subject, organisation_id, body, created_at_ms) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (subject) DO NOTHING RETURNING id",
        (new_id("alert"), wanted.kind, wanted.subject, wanted.organisation_id, body, now_ms),
    )
    if not made:
        return False
    rows: list[Row] = [
        (new_id("msg"), made[0][0], each.channel, each.address, "waiting", 0, now_ms, None)
        for each in dict.fromkeys(targets)
    ]
    transaction.insert(delivery, rows)
    return True


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


def told(transaction: Transaction, most: int) -> list[Told]:
    """The newest first.  An alert that goes to nobody has a row, too."""
    found = transaction.rows(
        "SELECT alert.id, kind, organisation_id, created_at_ms, body, coalesce(delivery.id, ''), "
        "coalesce(channel, ''), coalesce(target, ''), coalesce(state, ''), coalesce(attempts, 0), "
        "coalesce(attempt.outcome, '') FROM alert "
        "LEFT JOIN delivery ON delivery.alert_id = alert.id "
        "LEFT JOIN attempt ON attempt.delivery_id = delivery.id AND attempt.number = "
        "(SELECT max(number) FROM attempt WHERE attempt.delivery_id = delivery.id) "
        "ORDER BY created_at_ms DESC, alert.id DESC, delivery.id LIMIT ?",
        (most,),
    )
    return [Told(*row) for row in found]


def set_rules(transaction: Transaction, budget_id: str, wanted: AlertRules) -> None:
    """Raises: UnknownBudget."""
    percents = msgspec.json.encode(wanted.percents).decode()
    changed = transaction.run(
        "UPDATE budget SET alert_percents = ?, webhook_url = ?, mail = ? WHERE id = ?",
        (percents, wanted.webhook_url, wanted.mail, budget_id),
    )
    if not changed:
        raise UnknownBudget(f"There is no budget {budget_id!r}; `portico budget list` has them.")


def rules(transaction: Transaction) -> dict[str, AlertRules]:
    """By budget: of those that tell."""
    found = transaction.rows(
        "SELECT id, alert_percents, webhook_url, mail FROM budget WHERE alert_percents <> '[]' "
        "ORDER BY id"
    )
    return {row[0]: AlertRules(_percents.decode(row[1]), row[2], row[3]) for row in found}
