"""The outbox: an event and its deliveries are written together; a server brings them until they
arrive."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection

from portico.db.tables import delivery
from portico.db.transaction import Row, Transaction
from portico.kit.ids import new_id
from portico.webhooks import store
from portico.webhooks.contact import contact_of
from portico.webhooks.model import Event, Target
from portico.webhooks.rules import MAILED, MAILED_EVERY_MS, OF_ACTIONS, wants

_TOLD = ("project_id", "reason", "email", "role")
"""Of what was changed."""


def put(transaction: Transaction, event: Event, targets: Collection[Target], now_ms: int) -> bool:
    """To `targets`, and to every endpoint of the organisation that wants it.

    False where somebody was told about that subject before.
    """
    return _put(transaction, event, (*targets, *_endpoints(transaction, event)), now_ms)


def put_only(
    transaction: Transaction, event: Event, targets: Collection[Target], now_ms: int
) -> bool:
    """As `put`, but to nobody else; to nobody at all, it still stands there to be seen."""
    return _put(transaction, event, targets, now_ms)


def put_if_wanted(transaction: Transaction, event: Event, now_ms: int) -> bool:
    """To every endpoint of the organisation that wants it.  Of what nobody asked about nothing stands
    here: it may be much.

    False where there is none, or somebody was told about that subject before.
    """
    targets = _endpoints(transaction, event)
    return bool(targets) and _put(transaction, event, targets, now_ms)


def happened(
    connection: Connection,
    action: str,
    organisation_id: str,
    target: str,
    details: Mapping[str, object],
    now_ms: int,
) -> None:
    """Tell those who want to know of something that stands in the audit log; of most, nobody does.
    Never of a secret: what is told is kept here until it has arrived, and afterwards.
    """
    known = OF_ACTIONS.get(action)
    if known is None:
        return
    transaction = Transaction(connection)
    kind, says = known
    data: dict[str, object] = {"organisation_id": organisation_id, "id": target}
    data.update({name: details[name] for name in _TOLD if details.get(name)})
    project_id = str(data.get("project_id", ""))
    sentence = says.format_map({**details, "target": target})
    event = Event(kind, new_id("event"), organisation_id, sentence, data, project_id)
    targets = _endpoints(transaction, event)
    if targets:
        _put(transaction, event, targets, now_ms)
    contact = contact_of(transaction, organisation_id) if kind in MAILED else ""
    if contact:
        once = f"{kind}:{organisation_id}:{now_ms // MAILED_EVERY_MS}"
        _put(transaction, replace(event, subject=once), [Target("mail", contact)], now_ms)


def _put(transaction: Transaction, event: Event, targets: Collection[Target], now_ms: int) -> bool:
    alert_id = new_id("alert")
    body = msgspec.json.encode(
        {
            # Standard Webhooks asks for type, timestamp and data; OpenAI's SDK reads the rest.
            "object": "event",
            "id": alert_id,
            "created_at": now_ms // 1000,
            "type": event.kind,
            "timestamp": f"{datetime.fromtimestamp(now_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}",
            "data": {"says": event.says, **event.data},
        }
    ).decode()
    made = transaction.rows(
        "INSERT INTO alert (id, kind, subject, organisation_id, body, created_at_ms) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (subject) DO NOTHING RETURNING id",
        (alert_id, event.kind, event.subject, event.organisation_id, body, now_ms),
    )
    if not made:
        return False
    rows: list[Row] = [
        (new_id("msg"), made[0][0], each.channel, each.address, "waiting", 0, now_ms, None)
        for each in dict.fromkeys(targets)
    ]
    transaction.insert(delivery, rows)
    return True


def _endpoints(transaction: Transaction, event: Event) -> list[Target]:
    if not event.organisation_id:
        return []
    known = store.endpoints(transaction.connection, event.organisation_id)
    return [Target("webhook", each.id) for each in known if wants(each, event)]
