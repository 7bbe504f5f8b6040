"""The outbox: an alert and its deliveries are written together; a server brings them until they arrive."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from portico.billing.alerts.model import Alert, Target
from portico.db.tables import delivery
from portico.db.transaction import Row, Transaction
from portico.kit.ids import new_id


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
