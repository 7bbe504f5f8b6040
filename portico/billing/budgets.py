"""Caps on what a key, a project or an organisation may spend in a day or a month (UTC)."""

from dataclasses import dataclass
from typing import Literal

from portico.admission.rules import window_ms
from portico.db.transaction import Transaction
from portico.kit.ids import new_id
from portico.ledger import service as ledger

Scope = Literal["key", "project", "organisation"]
Period = Literal["day", "month"]
_OWNER = {
    "key": "SELECT organisation_id, parent_id FROM api_key WHERE id = ?",
    "project": "SELECT organisation_id, NULL FROM project WHERE id = ?",
    "organisation": "SELECT id, NULL FROM organisation WHERE id = ?",
}


class UnknownScope(Exception):
    """There is no such key, project or organisation, or none that anything is charged to."""


@dataclass(frozen=True, slots=True)
class StoredBudget:
    id: str
    organisation_id: str
    scope: str
    scope_id: str
    period: str
    cap_nano: int


def set_budget(
    transaction: Transaction,
    scope: Scope,
    scope_id: str,
    period: Period,
    cap_nano: int,
    now_ms: int,
) -> StoredBudget:
    """One per scope and period; setting it again changes its cap, for the window under way too,
    where it cannot fall below what is spent and set aside already.

    Raises: UnknownScope; ValueError, for a negative cap.
    """
    if cap_nano < 0:
        raise ValueError("A cap must not be negative.")
    owner = transaction.rows(_OWNER[scope], (scope_id,))
    if not owner:
        raise UnknownScope(f"There is no {scope} {scope_id!r}.")
    parent_id = owner[0][1]
    if parent_id is not None:
        raise UnknownScope(
            f"The key {scope_id!r} is ephemeral; what it spends counts for {parent_id}, which made it."
        )
    (row,) = transaction.rows(
        "INSERT INTO budget (id, organisation_id, scope, scope_id, period, cap_nano, "
        "alert_percents, webhook_url, mail, created_at_ms) "
        "VALUES (?, ?, ?, ?, ?, ?, '[]', '', '', ?) ON CONFLICT (scope, scope_id, period) "
        "DO UPDATE SET cap_nano = excluded.cap_nano "
        "RETURNING id, organisation_id, scope, scope_id, period, cap_nano",
        (new_id("bud"), owner[0][0], scope, scope_id, period, cap_nano, now_ms),
    )
    made = StoredBudget(*row)
    starts_ms, _ = window_ms(period, now_ms)
    ledger.set_floor(transaction, f"limit:{made.id}:{starts_ms}", -cap_nano)
    return made


def remove_budget(transaction: Transaction, budget_id: str) -> bool:
    """What was spent under it stays in the books.  False where there is none."""
    return bool(transaction.run("DELETE FROM budget WHERE id = ?", (budget_id,)))


def budgets(transaction: Transaction) -> list[StoredBudget]:
    found = transaction.rows(
        "SELECT id, organisation_id, scope, scope_id, period, cap_nano FROM budget "
        "ORDER BY organisation_id, scope, scope_id, period"
    )
    return [StoredBudget(*row) for row in found]
