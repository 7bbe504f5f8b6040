"""Work that one of several servers does at a time: a row says who has it and when it is due again."""

from portico.db.transaction import Transaction


def claim(transaction: Transaction, name: str, owner: str, now_ms: int, every_ms: int) -> bool:
    """True for one of those that ask while it is due; it is due again after `every_ms`, also where
    whoever got it has died over it."""
    transaction.run(
        "INSERT INTO claim (id, owner, due_at_ms) VALUES (?, '', ?) ON CONFLICT DO NOTHING",
        (name, now_ms),
    )
    return bool(
        transaction.run(
            "UPDATE claim SET owner = ?, due_at_ms = ? WHERE id = ? AND due_at_ms <= ?",
            (owner, now_ms + every_ms, name, now_ms),
        )
    )


def is_due(transaction: Transaction, name: str, now_ms: int) -> bool:
    """A look that costs nobody a turn."""
    found = transaction.rows("SELECT due_at_ms FROM claim WHERE id = ?", (name,))
    return not found or int(found[0][0]) <= now_ms
