"""Rows of dunning: states, and notices."""

import msgspec

from portico.billing.dunning.model import Closed, Notice, State
from portico.db.tables import dunning, dunning_notice
from portico.db.transaction import Transaction

_NOTICE = "id, organisation_id, invoice_id, kind, recipient, due_at_ms, sent_at_ms"
_closed = msgspec.json.Decoder(dict[str, Closed])


def state(transaction: Transaction, organisation_id: str) -> tuple[State, dict[str, Closed]]:
    """(state, closed accounts by id)."""
    found = transaction.rows(
        "SELECT state, closed FROM dunning WHERE organisation_id = ?", (organisation_id,)
    )
    return (found[0][0], _closed.decode(found[0][1])) if found else ("good", {})


def put_state(
    transaction: Transaction,
    organisation_id: str,
    state: State,
    closed: dict[str, Closed],
    now_ms: int,
) -> None:
    transaction.insert(
        dunning,
        [(organisation_id, state, msgspec.json.encode(closed).decode(), now_ms)],
        "ON CONFLICT (organisation_id) DO UPDATE SET state = excluded.state, "
        "closed = excluded.closed, changed_at_ms = excluded.changed_at_ms",
    )


def add_notice(transaction: Transaction, notice: Notice) -> bool:
    """False where that invoice has one of that kind."""
    found = transaction.rows(
        f"INSERT INTO dunning_notice ({', '.join(dunning_notice.columns.keys())}) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id",
        (
            notice.id,
            notice.organisation_id,
            notice.invoice_id,
            notice.kind,
            notice.recipient,
            notice.due_at_ms,
            notice.sent_at_ms,
        ),
    )
    return bool(found)


def notices(transaction: Transaction, organisation_id: str) -> list[Notice]:
    """All of an organisation, in the order in which they were due."""
    found = transaction.rows(
        f"SELECT {_NOTICE} FROM dunning_notice WHERE organisation_id = ? ORDER BY due_at_ms, kind",
        (organisation_id,),
    )
    return [Notice(*row) for row in found]


def unsent(transaction: Transaction, now_ms: int) -> list[Notice]:
    found = transaction.rows(
        f"SELECT {_NOTICE} FROM dunning_notice WHERE sent_at_ms IS NULL AND due_at_ms <= ? "
        "ORDER BY due_at_ms, id",
        (now_ms,),
    )
    return [Notice(*row) for row in found]


def mark_sent(transaction: Transaction, notice_id: str, now_ms: int) -> bool:
    """False where somebody did before."""
    return bool(
        transaction.run(
            "UPDATE dunning_notice SET sent_at_ms = ? WHERE id = ? AND sent_at_ms IS NULL",
            (now_ms, notice_id),
        )
    )
