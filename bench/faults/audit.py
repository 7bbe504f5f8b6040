"""What must be true of the ledger's rows, whatever happened: one count of violations per law."""

from collections import defaultdict

import msgspec

from portico.db.transaction import Row, Transaction
from portico.ledger.receipts import Receipt, body
from portico.ledger.rules import GENESIS, link

_COUNTS = {
    "transactions that do not sum to zero": (
        "SELECT count(*) FROM (SELECT txn_id FROM entry GROUP BY txn_id "
        "HAVING sum(amount_nano) <> 0) unbalanced"
    ),
    "transactions without entries": (
        "SELECT count(*) FROM txn WHERE NOT EXISTS (SELECT 1 FROM entry WHERE txn_id = txn.id)"
    ),
    "accounts whose balance is not the sum of their entries": (
        "SELECT count(*) FROM account WHERE kind <> 'limit' AND posted_nano <> "
        "(SELECT coalesce(sum(amount_nano), 0) FROM entry WHERE account_id = account.id)"
    ),
    "accounts below their floor": (
        "SELECT count(*) FROM account WHERE posted_nano - held_nano < floor_nano OR held_nano < 0"
    ),
    "charges above their hold": (
        "SELECT count(*) FROM charge JOIN hold ON hold.id = charge.id WHERE net_nano > amount_nano"
    ),
    "charges of holds that have not ended": (
        "SELECT count(*) FROM charge LEFT JOIN hold ON hold.id = charge.id "
        "WHERE state IS NULL OR state = 'open'"
    ),
    "charges and transactions that do not match": (
        "SELECT count(*) FROM charge LEFT JOIN txn ON txn.id = 'settle:' || charge.id "
        "WHERE (txn.id IS NULL) <> (net_nano + absorbed_nano = 0)"
    ),
}


def violations(transaction: Transaction) -> dict[str, int]:
    """By law.  All zero: nothing is wrong."""
    found = {law: int(transaction.rows(sql)[0][0]) for law, sql in _COUNTS.items()}
    found["accounts that hold something else than their open holds"] = _wrongly_held(transaction)
    found["limits that count something else than their charges"] = _wrongly_counted(transaction)
    found["receipts that do not follow from the one before"] = _broken_links(transaction)
    return found


def _parts(transaction: Transaction, where: str) -> list[tuple[str, list[tuple[str, int]]]]:
    rows = transaction.rows(f"SELECT id, parts FROM hold WHERE {where}")
    return [(row[0], msgspec.json.decode(row[1], type=list[tuple[str, int]])) for row in rows]


def _wrongly_held(transaction: Transaction) -> int:
    held: defaultdict[str, int] = defaultdict(int)
    for _, parts in _parts(transaction, "state = 'open'"):
        for account_id, nano in parts:
            held[account_id] += nano
    rows = transaction.rows("SELECT id, held_nano FROM account")
    return sum(int(held.pop(account_id, 0) != nano) for account_id, nano in rows) + len(held)


def _wrongly_counted(transaction: Transaction) -> int:
    charged: dict[str, int] = dict(transaction.rows("SELECT id, net_nano FROM charge"))
    counted: defaultdict[str, int] = defaultdict(int)
    for request_id, parts in _parts(transaction, "state <> 'open'"):
        for account_id, nano in parts:
            counted[account_id] -= min(nano, charged.get(request_id, 0))
    rows = transaction.rows("SELECT id, posted_nano FROM account WHERE kind = 'limit'")
    return sum(int(counted[account_id] != nano) for account_id, nano in rows)


def _broken_links(transaction: Transaction) -> int:
    """Recomputed from the columns, not from what was hashed."""
    ends: dict[str, tuple[int, bytes]] = {}
    broken = 0
    row: Row
    for row in transaction.rows(
        "SELECT id, organisation_id, project_id, key_id, sequence, model, tier, outcome, lines, "
        "terms_id, list_nano, net_nano, absorbed_nano, charged_at_ms, previous_hash, hash "
        "FROM charge ORDER BY organisation_id, sequence"
    ):
        sequence, previous = ends.get(row[1], (0, GENESIS))
        receipt = Receipt(
            request_id=row[0],
            organisation_id=row[1],
            sequence=sequence + 1,
            project_id=row[2],
            key_id=row[3],
            model=row[5],
            tier=row[6],
            outcome=row[7],
            lines=msgspec.Raw(row[8].encode()),
            terms_id=row[9],
            list_nano=str(row[10]),
            net_nano=str(row[11]),
            absorbed_nano=str(row[12]),
            charged_at_ms=row[13],
        )
        hashed = link(previous, body(receipt))
        broken += (row[4], bytes(row[14]), bytes(row[15])) != (sequence + 1, previous, hashed)
        ends[row[1]] = (row[4], bytes(row[15]))
    chains = transaction.rows("SELECT organisation_id, sequence, hash FROM chain")
    known = {row[0]: (row[1], bytes(row[2])) for row in chains}
    empty = {owner: (0, GENESIS) for owner in known if owner not in ends}
    return broken + int(known != ends | empty)
