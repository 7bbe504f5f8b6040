"""Rows of allowances, and credit that is about to expire."""

from portico.billing.plans.model import Allowance, Expiring
from portico.db.tables import allowance
from portico.db.transaction import Transaction

_ALLOWANCE = "id, organisation_id, period, nano, created_at_ms, ends_at_ms"


def add(transaction: Transaction, wanted: Allowance) -> None:
    transaction.insert(
        allowance,
        [
            (
                wanted.id,
                wanted.organisation_id,
                wanted.period,
                wanted.nano,
                wanted.created_at_ms,
                wanted.ends_at_ms,
            )
        ],
    )


def end(transaction: Transaction, allowance_id: str, now_ms: int) -> bool:
    """False where there is none that goes on."""
    return bool(
        transaction.run(
            "UPDATE allowance SET ends_at_ms = ? WHERE id = ? "
            "AND (ends_at_ms IS NULL OR ends_at_ms > ?)",
            (now_ms, allowance_id, now_ms),
        )
    )


def allowances(transaction: Transaction, now_ms: int) -> list[Allowance]:
    """Those that go on."""
    found = transaction.rows(
        f"SELECT {_ALLOWANCE} FROM allowance WHERE ends_at_ms IS NULL OR ends_at_ms > ? "
        "ORDER BY organisation_id, id",
        (now_ms,),
    )
    return [Allowance(*row) for row in found]


def granted(transaction: Transaction, credit_ids: list[str]) -> set[str]:
    """Those that were granted already."""
    found: set[str] = set()
    for credit_id in credit_ids:
        if transaction.rows("SELECT 1 FROM txn WHERE id = ?", (f"credit:{credit_id}",)):
            found.add(credit_id)
    return found


def expiring(transaction: Transaction, after_ms: int, before_ms: int) -> list[Expiring]:
    """Credit with something left that expires between the two, both left out."""
    found = transaction.rows(
        "SELECT id, organisation_id, posted_nano - held_nano - coalesce(floor_nano, 0), "
        "expires_at_ms FROM account WHERE kind IN ('promo', 'prepaid') AND expires_at_ms > ? "
        "AND expires_at_ms < ? AND posted_nano - held_nano > coalesce(floor_nano, 0) ORDER BY id",
        (after_ms, before_ms),
    )
    return [Expiring(*row) for row in found]
