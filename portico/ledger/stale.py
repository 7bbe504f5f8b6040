"""Holds that nobody is left to settle."""

from dataclasses import dataclass

from portico.db.transaction import Transaction
from portico.ledger import store


@dataclass(frozen=True, slots=True)
class StaleHold:
    """quote: pricing.model.Quote as JSON, as it was pinned."""

    id: str
    organisation_id: str
    quote: str


def holds(transaction: Transaction, now_ms: int, most: int) -> list[StaleHold]:
    """Open ones whose owner is gone or whose time is over, oldest first, locked."""
    return [StaleHold(*row) for row in store.stale_holds(transaction, now_ms, most)]
