"""What holds that have ended came to."""

from collections.abc import Sequence

from portico.db.transaction import Transaction, places
from portico.ledger.model import Settled


def outcomes(transaction: Transaction, ids: Sequence[str]) -> dict[str, Settled]:
    """By id, as the books have it; nothing for a hold that is open or was never there."""
    found = transaction.rows(
        "SELECT hold.id, coalesce(net_nano, 0), coalesce(absorbed_nano, 0) FROM hold "
        f"LEFT JOIN charge ON charge.id = hold.id WHERE hold.id IN {places(len(ids))} "
        "AND state <> 'open'",
        ids,
    )
    return {row[0]: Settled(row[1], row[2]) for row in found}
