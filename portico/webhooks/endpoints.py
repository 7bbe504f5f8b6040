"""What the sending side asks and says of an endpoint: where it is, what signs, whether it is gone."""

from portico.audit import service as audit
from portico.audit.model import Actor
from portico.db.transaction import Transaction
from portico.kit.sealing import Seal
from portico.webhooks import outbox, store
from portico.webhooks.model import Destination, Event, Target
from portico.webhooks.rules import FAILING_MS, secret_bytes

_PURPOSE = "webhook secret"
_ACTOR = Actor("system", "webhooks")
GONE = "it says that it is gone (410)"
FAILING = "it has taken nothing for three days"


def sealed(seal: Seal, secret: str, endpoint_id: str) -> bytes:
    """As the column holds it."""
    return seal.close(secret, _PURPOSE, endpoint_id).encode()


def destination(
    transaction: Transaction, seal: Seal, organisation_id: str, endpoint_id: str, now_ms: int
) -> Destination | None:
    """None for one that is disabled or deleted, or whose secret nobody here can open."""
    found = store.endpoint(transaction.connection, organisation_id, endpoint_id)
    if found is None or found.disabled_at_ms is not None:
        return None
    newest, former = store.secrets(transaction.connection, found)
    kept = [newest]
    if former is not None and found.former_until_ms is not None and now_ms < found.former_until_ms:
        kept.append(former)
    opened = [seal.open(each.decode(), _PURPOSE, endpoint_id) for each in kept]
    if opened[0] is None:
        return None
    return Destination(found.url, tuple(secret_bytes(each) for each in opened if each))


def failed_for_good(
    transaction: Transaction,
    organisation_id: str,
    endpoint_id: str,
    *,
    gone: bool,
    told: tuple[Target, ...],
    now_ms: int,
) -> bool:
    """A delivery to it was given up.  Disables it where it is gone, or has taken nothing for days;
    that stands in the audit log, and its organisation's other endpoints are told.

    told: who is told besides.
    """
    connection = transaction.connection
    found = store.endpoint(connection, organisation_id, endpoint_id)
    if found is None or found.disabled_at_ms is not None:
        return False
    if not gone and store.took_anything(connection, found, now_ms - FAILING_MS):
        return False
    why = GONE if gone else FAILING
    store.change(connection, found, {"disabled_at_ms": now_ms, "disabled_reason": why})
    after = {"url": found.url, "reason": why}
    audit.record(
        connection,
        now_ms,
        _ACTOR,
        found.organisation_id,
        "webhook.disable",
        endpoint_id,
        None,
        after,
    )
    event = Event(
        "webhook.disabled",
        f"webhook_disabled:{endpoint_id}:{now_ms}",
        found.organisation_id,
        f"The webhook {found.url} of {found.organisation_id} is disabled: {why}.",
        {"organisation_id": found.organisation_id, "id": endpoint_id, **after},
        found.project_id or "",
    )
    outbox.put(transaction, event, told, now_ms)
    return True
