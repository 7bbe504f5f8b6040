"""What is put into the outbox, and what became of it."""

from collections.abc import Collection
from dataclasses import dataclass

from portico.billing.alerts.model import Alert, Target
from portico.db.transaction import Transaction
from portico.webhooks import outbox


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
    """And the endpoints of the organisation.  False where somebody was told about that subject
    before."""
    return outbox.put(transaction, wanted, targets, now_ms)


def keep(transaction: Transaction, wanted: Alert, now_ms: int) -> None:
    """Nobody is told; it stands there to be seen."""
    outbox.put_only(transaction, wanted, (), now_ms)


def told(transaction: Transaction, most: int) -> list[Told]:
    """The newest first.  An alert that goes to nobody has a row, too."""
    found = transaction.rows(
        "SELECT alert.id, kind, organisation_id, created_at_ms, body, coalesce(delivery.id, ''), "
        "coalesce(channel, ''), coalesce(target, ''), coalesce(state, ''), "
        "(SELECT count(*) FROM attempt AS ended WHERE ended.delivery_id = delivery.id), "
        "coalesce(attempt.outcome, '') FROM alert "
        "LEFT JOIN delivery ON delivery.alert_id = alert.id "
        "LEFT JOIN attempt ON attempt.delivery_id = delivery.id AND attempt.number = "
        "(SELECT max(number) FROM attempt WHERE attempt.delivery_id = delivery.id) "
        "ORDER BY created_at_ms DESC, alert.id DESC, delivery.id LIMIT ?",
        (most,),
    )
    return [Told(*row) for row in found]
