"""Rows of payers, orders, refunds, disputes and events."""

from collections.abc import Sequence

from sqlalchemy import Table

from portico.billing.payments.model import Dispute, Order, Payer, Refund
from portico.db.tables import dispute, payment_event, top_up, top_up_refund
from portico.db.transaction import Transaction, places

_ORDER = ", ".join(top_up.columns.keys())
_REFUND = ", ".join(top_up_refund.columns.keys())
_DISPUTE = ", ".join(dispute.columns.keys())
_KEEP = "ON CONFLICT DO NOTHING"


def payer(transaction: Transaction, organisation_id: str) -> Payer | None:
    found = transaction.rows(
        "SELECT organisation_id, customer_id, payment_method_id FROM payer "
        "WHERE organisation_id = ?",
        (organisation_id,),
    )
    return Payer(*found[0]) if found else None


def keep_payer(transaction: Transaction, found: Payer, now_ms: int) -> None:
    transaction.run(
        "INSERT INTO payer (organisation_id, customer_id, payment_method_id, created_at_ms) "
        "VALUES (?, ?, ?, ?) ON CONFLICT (organisation_id) DO UPDATE SET "
        "payment_method_id = excluded.payment_method_id",
        (found.organisation_id, found.customer_id, found.payment_method_id, now_ms),
    )


def add_order(transaction: Transaction, order: Order) -> bool:
    """False where one has that id, or is the recharge under way of its organisation."""
    return _add(transaction, top_up, order)


def order(transaction: Transaction, order_id: str) -> Order | None:
    """Locked."""
    return _order(transaction, "id = ?", order_id)


def order_of_intent(transaction: Transaction, intent_id: str) -> Order | None:
    """Locked."""
    return _order(transaction, "intent_id = ?", intent_id)


def _order(transaction: Transaction, which: str, value: str) -> Order | None:
    found = transaction.rows(
        f"SELECT {_ORDER} FROM top_up WHERE {which}{transaction.for_update}", (value,)
    )
    return Order(*found[0]) if found else None


def orders(transaction: Transaction, organisation_id: str | None, most: int) -> list[Order]:
    """Newest first; None: of every organisation."""
    values: tuple[str, ...] = () if organisation_id is None else (organisation_id,)
    whose = "= ?" if values else "IS NOT NULL"
    found = transaction.rows(
        f"SELECT {_ORDER} FROM top_up WHERE organisation_id {whose} "
        "ORDER BY created_at_ms DESC, id DESC LIMIT ?",
        (*values, most),
    )
    return [Order(*row) for row in found]


def due_orders(transaction: Transaction, checked_before_ms: int, most: int) -> list[Order]:
    """Open ones that nobody looked at since, the one left alone longest first."""
    found = transaction.rows(
        f"SELECT {_ORDER} FROM top_up WHERE state = 'open' AND checked_at_ms < ? "
        "ORDER BY checked_at_ms, id LIMIT ?",
        (checked_before_ms, most),
    )
    return [Order(*row) for row in found]


def note_order(
    transaction: Transaction, order_id: str, intent_id: str, says: str, now_ms: int
) -> bool:
    """What an open order waits for.  False where it is open no more, or belongs to another
    payment."""
    return bool(
        transaction.run(
            "UPDATE top_up SET intent_id = ?, says = ?, checked_at_ms = ? "
            "WHERE id = ? AND state = 'open' AND intent_id IN ('', ?)",
            (intent_id, says, now_ms, order_id, intent_id),
        )
    )


def pay_order(transaction: Transaction, order_id: str, intent_id: str, now_ms: int) -> bool:
    """Also one that had failed: money that came in is credited.  False where it is paid already,
    or belongs to another payment."""
    return bool(
        transaction.run(
            "UPDATE top_up SET state = 'paid', intent_id = ?, says = '', checked_at_ms = ?, "
            "closed_at_ms = ? WHERE id = ? AND state IN ('open', 'failed') "
            "AND intent_id IN ('', ?)",
            (intent_id, now_ms, now_ms, order_id, intent_id),
        )
    )


def fail_order(transaction: Transaction, order_id: str, says: str, now_ms: int) -> bool:
    """False where it is open no more."""
    return bool(
        transaction.run(
            "UPDATE top_up SET state = 'failed', says = ?, checked_at_ms = ?, closed_at_ms = ? "
            "WHERE id = ? AND state = 'open'",
            (says, now_ms, now_ms, order_id),
        )
    )


def add_refund(transaction: Transaction, made: Refund) -> bool:
    """False where one has that id."""
    return _add(transaction, top_up_refund, made)


def refund(transaction: Transaction, refund_id: str) -> Refund | None:
    """Locked."""
    found = transaction.rows(
        f"SELECT {_REFUND} FROM top_up_refund WHERE id = ?{transaction.for_update}", (refund_id,)
    )
    return Refund(*found[0]) if found else None


def refunds(transaction: Transaction, top_up_id: str) -> list[Refund]:
    """Oldest first."""
    found = transaction.rows(
        f"SELECT {_REFUND} FROM top_up_refund WHERE top_up_id = ? ORDER BY created_at_ms, id",
        (top_up_id,),
    )
    return [Refund(*row) for row in found]


def open_refunds(transaction: Transaction, created_before_ms: int, most: int) -> list[Refund]:
    found = transaction.rows(
        f"SELECT {_REFUND} FROM top_up_refund WHERE state = 'open' AND created_at_ms < ? "
        "ORDER BY created_at_ms, id LIMIT ?",
        (created_before_ms, most),
    )
    return [Refund(*row) for row in found]


def note_refund(transaction: Transaction, refund_id: str, provider_id: str) -> bool:
    """The provider knows of it."""
    return bool(
        transaction.run(
            "UPDATE top_up_refund SET provider_id = ? WHERE id = ? AND provider_id = ''",
            (provider_id, refund_id),
        )
    )


def close_refund(
    transaction: Transaction, refund_id: str, before: str, state: str, now_ms: int
) -> bool:
    """False where it is not `before` any more."""
    return bool(
        transaction.run(
            "UPDATE top_up_refund SET state = ?, closed_at_ms = ? WHERE id = ? AND state = ?",
            (state, now_ms, refund_id, before),
        )
    )


def add_dispute(transaction: Transaction, made: Dispute) -> bool:
    """False where it is known."""
    return _add(transaction, dispute, made)


def disputes(transaction: Transaction, top_up_id: str) -> list[Dispute]:
    """Oldest first."""
    return _disputes(transaction, "top_up_id = ?", top_up_id)


def undecided_disputes(transaction: Transaction, seen: Sequence[str]) -> list[str]:
    """Ids of those that are open here, and of those seen there that are not known here."""
    open_here = [each.id for each in _disputes(transaction, "state = ?", "open")]
    sql = f"SELECT id FROM dispute WHERE id IN {places(len(seen))}"
    known = {row[0] for row in transaction.rows(sql, seen)}
    return open_here + [each for each in seen if each not in known]


def _disputes(transaction: Transaction, which: str, value: str) -> list[Dispute]:
    found = transaction.rows(
        f"SELECT {_DISPUTE} FROM dispute WHERE {which} ORDER BY opened_at_ms, id", (value,)
    )
    return [Dispute(*row) for row in found]


def close_dispute(transaction: Transaction, dispute_id: str, state: str, now_ms: int) -> bool:
    """False where it was closed before."""
    return bool(
        transaction.run(
            "UPDATE dispute SET state = ?, closed_at_ms = ? WHERE id = ? AND state = 'open'",
            (state, now_ms, dispute_id),
        )
    )


def set_kind(transaction: Transaction, account_id: str, before: str, kind: str) -> bool:
    """Freeze credit (prepaid to disputed) or free it again: only the first pays for anything."""
    sql = "UPDATE account SET kind = ? WHERE id = ? AND kind = ?"
    return bool(transaction.run(sql, (kind, account_id, before)))


def event_known(transaction: Transaction, event_id: str) -> bool:
    return bool(transaction.rows("SELECT 1 FROM payment_event WHERE id = ?", (event_id,)))


def add_event(
    transaction: Transaction, event_id: str, kind: str, object_id: str, outcome: str, now_ms: int
) -> None:
    transaction.insert(payment_event, [(event_id, kind, object_id, outcome, now_ms)], _KEEP)


def _add(transaction: Transaction, table: Table, noun: object) -> bool:
    """A row of what `noun` says under the names of its columns.  False where one is in the way."""
    names = table.columns.keys()
    row = [getattr(noun, name) for name in names]
    marks = ", ".join("?" * len(row))
    sql = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks}) {_KEEP}"
    return bool(transaction.run(sql, row))
