"""Rows of accounts, holds, transactions and charges, a whole batch with each statement."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from portico.db.tables import account, charge, entry, hold, txn
from portico.db.transaction import Row, Transaction, places
from portico.ledger.model import AMOUNT_MAX_NANO, Account, Part
from portico.ledger.rules import is_limit

_ACCOUNT = ", ".join(
    ("id", "kind", "organisation_id", "posted_nano", "held_nano", "floor_nano", "priority",
     "expires_at_ms", "created_at_ms")
)  # fmt: skip
_CHARGE = ", ".join(
    ("id", "organisation_id", "sequence", "project_id", "key_id", "model", "tier", "outcome",
     "lines", "terms_id", "list_nano", "net_nano", "absorbed_nano", "charged_at_ms",
     "previous_hash", "hash")
)  # fmt: skip
_KEEP = "ON CONFLICT DO NOTHING"
# The guard is here and in the table's CHECKs: neither alone is trusted with money.
_MOVE = (
    "UPDATE account SET posted_nano = posted_nano + ?, held_nano = held_nano + ? "
    f"WHERE id = ? AND held_nano + ? BETWEEN 0 AND {AMOUNT_MAX_NANO} "
    f"AND posted_nano + ? BETWEEN -{AMOUNT_MAX_NANO} AND {AMOUNT_MAX_NANO} "
    "AND (floor_nano IS NULL OR posted_nano + ? - (held_nano + ?) >= floor_nano)"
)
# Word for word the condition of the index `account_funding`: an organisation has ten thousands of
# limit accounts and spent grants, and they must not be looked at with every request.
_FUNDS = "kind IN ('prepaid', 'promo', 'receivable') AND (posted_nano > 0 OR kind = 'receivable')"
_parts = msgspec.json.Decoder(tuple[Part, ...])


def lock_funds(
    transaction: Transaction, organisations: Iterable[str], limits: Iterable[str]
) -> list[Account]:
    """The accounts that can pay for these organisations, and these limit accounts, nobody else's
    to change until the transaction ends."""
    owners, limit_ids = sorted(set(organisations)), sorted(set(limits))
    found = transaction.rows(
        f"SELECT {_ACCOUNT} FROM account WHERE (organisation_id IN {places(len(owners))} "
        f"AND {_FUNDS}) "
        f"OR id IN {places(len(limit_ids))} "
        f"ORDER BY kind = 'limit', {_by_id(transaction)}{transaction.for_update}",
        (*owners, *limit_ids),
    )
    return [Account(*row) for row in found]


def accounts(transaction: Transaction, organisation_id: str) -> list[Account]:
    found = transaction.rows(
        f"SELECT {_ACCOUNT} FROM account WHERE organisation_id = ? ORDER BY id", (organisation_id,)
    )
    return [Account(*row) for row in found]


def add_accounts(transaction: Transaction, wanted: Sequence[Account]) -> None:
    """Those that are there already stay as they are."""
    rows: list[Row] = [
        (
            each.id,
            each.kind,
            each.organisation_id,
            each.posted_nano,
            each.held_nano,
            each.floor_nano,
            each.priority,
            each.expires_at_ms,
            each.created_at_ms,
        )
        for each in sorted(wanted, key=lambda account: account.id)
    ]
    transaction.insert(account, rows, _KEEP)


def move(transaction: Transaction, changes: dict[str, tuple[int, int]]) -> int:
    """Change posted and held of each account by (posted, held).  How many allowed it."""
    rows: list[Row] = [
        (posted, held, account_id, held, posted, posted, held)
        for account_id, (posted, held) in sorted(changes.items(), key=_limits_last)
    ]
    return transaction.each(_MOVE, rows)


def set_floor(transaction: Transaction, account_id: str, floor_nano: int) -> int | None:
    """The floor it has now: not above what is left; None where there is no such account."""
    found = transaction.rows(
        "UPDATE account SET floor_nano = CASE WHEN posted_nano - held_nano < ? "
        "THEN posted_nano - held_nano ELSE ? END WHERE id = ? RETURNING floor_nano",
        (floor_nano, floor_nano, account_id),
    )
    return found[0][0] if found else None


def add_holds(transaction: Transaction, rows: Sequence[Row]) -> None:
    transaction.insert(hold, rows)


def open_holds(
    transaction: Transaction, ids: Sequence[str]
) -> dict[str, tuple[str, int, tuple[Part, ...]]]:
    """(organisation, amount, parts) by id of those that are open, locked."""
    found = transaction.rows(
        f"SELECT id, organisation_id, amount_nano, parts FROM hold "
        f"WHERE id IN {places(len(ids))} AND state = 'open' "
        f"ORDER BY {_by_id(transaction)}{transaction.for_update}",
        ids,
    )
    return {row[0]: (row[1], row[2], _parts.decode(row[3])) for row in found}


def known_holds(transaction: Transaction, ids: Sequence[str]) -> dict[str, Row]:
    """(id, amount, parts) by id, in whatever state."""
    found = transaction.rows(
        f"SELECT id, amount_nano, parts FROM hold WHERE id IN {places(len(ids))}", ids
    )
    return {row[0]: (row[0], row[1], _parts.decode(row[2])) for row in found}


def resolve_holds(
    transaction: Transaction, ids: Sequence[str], state: str, now_ms: int
) -> dict[str, tuple[str, tuple[Part, ...]]]:
    """(organisation, parts) by id of those that were still open and no longer are."""
    found = transaction.rows(
        f"UPDATE hold SET state = ?, resolved_at_ms = ? WHERE id IN {places(len(ids))} "
        "AND state = 'open' RETURNING id, organisation_id, parts",
        (state, now_ms, *ids),
    )
    return {row[0]: (row[1], _parts.decode(row[2])) for row in found}


def widen_holds(transaction: Transaction, raised: dict[str, tuple[int, Sequence[Part]]]) -> int:
    """Give each open hold its (amount, parts).  How many were open."""
    rows: list[Row] = [
        (amount_nano, parts_text(parts), hold_id)
        for hold_id, (amount_nano, parts) in raised.items()
    ]
    return transaction.each(
        "UPDATE hold SET amount_nano = ?, parts = ? WHERE id = ? AND state = 'open'", rows
    )


def parts_text(parts: Sequence[Part]) -> str:
    return msgspec.json.encode(parts).decode()


def add_txns(transaction: Transaction, rows: Sequence[Row]) -> None:
    """Raises: IntegrityError of the driver, where one is there already."""
    transaction.insert(txn, rows)


def claim_txns(transaction: Transaction, rows: Sequence[Row]) -> set[str]:
    """The ids of those that were not there and now are: to one of two processes, not to both."""
    if not rows:
        return set()
    names, values = ", ".join(txn.columns.keys()), ", ".join([places(len(rows[0]))] * len(rows))
    found = transaction.rows(
        f"INSERT INTO txn ({names}) VALUES {values} {_KEEP} RETURNING id",
        [value for row in sorted(rows) for value in row],
    )
    return {row[0] for row in found}


def add_entries(transaction: Transaction, rows: Sequence[Row]) -> None:
    transaction.insert(entry, rows)


def add_charges(transaction: Transaction, rows: Sequence[Row]) -> None:
    transaction.insert(charge, rows)


def lock_chains(
    transaction: Transaction, organisations: Iterable[str]
) -> dict[str, tuple[int, bytes]]:
    """(sequence, hash) of each organisation's newest receipt.  One without a chain gets one."""
    wanted = sorted(set(organisations))
    sql = (
        f"SELECT organisation_id, sequence, hash FROM chain "
        f"WHERE organisation_id IN {places(len(wanted))} "
        f"ORDER BY organisation_id{transaction.for_update}"
    )
    found = transaction.rows(sql, wanted)
    if len(found) < len(wanted):
        for owner in wanted:
            transaction.run(
                f"INSERT INTO chain (organisation_id, sequence, hash) VALUES (?, 0, ?) {_KEEP}",
                (owner, bytes(32)),
            )
        found = transaction.rows(sql, wanted)
    return {row[0]: (row[1], bytes(row[2])) for row in found}


def move_chains(transaction: Transaction, ends: dict[str, tuple[int, bytes]]) -> None:
    rows: list[tuple[Any, ...]] = [(seq, end, owner) for owner, (seq, end) in ends.items()]
    transaction.each("UPDATE chain SET sequence = ?, hash = ? WHERE organisation_id = ?", rows)


def _by_id(transaction: Transaction) -> str:
    """The order of Python's `sorted`, whatever the database's locale: rows are locked in the order
    in which `move` writes them, or two processes would wait for each other."""
    return 'id COLLATE "C"' if transaction.for_update else "id"


def _limits_last(change: tuple[str, object]) -> tuple[bool, str]:
    """A window may come into being while its organisation's funds are locked; were it before them
    in line, the one who finds it at once would wait for the one who has just made it."""
    return (is_limit(change[0]), change[0])


def stale_holds(transaction: Transaction, now_ms: int, most: int) -> list[tuple[str, str, str]]:
    """(id, organisation, quote) of open holds whose owner is gone or whose time is over, oldest
    first, locked; those that another sweeper works on are left to it."""
    skip = " SKIP LOCKED" if transaction.for_update else ""
    found = transaction.rows(
        "SELECT id, organisation_id, quote FROM hold WHERE state = 'open' "
        "AND (opened_at_ms + ttl_ms <= ? OR owner NOT IN (SELECT id FROM instance)) "
        f"ORDER BY opened_at_ms, id LIMIT ?{transaction.for_update}{skip}",
        (now_ms, most),
    )
    return [(row[0], row[1], row[2]) for row in found]


def charges(
    transaction: Transaction,
    after: tuple[str, int],
    organisation_id: str | None,
    since_ms: int,
    until_ms: int,
    most: int,
) -> list[Row]:
    """The next charges behind `after` (organisation, sequence), chain by chain, oldest first.

    organisation_id: only this one's.  Charged from since_ms on, before until_ms.
    """
    one = "" if organisation_id is None else "organisation_id = ? AND "
    mine = () if organisation_id is None else (organisation_id,)
    return transaction.rows(
        f"SELECT {_CHARGE} FROM charge WHERE {one}(organisation_id, sequence) > (?, ?) "
        "AND charged_at_ms >= ? AND charged_at_ms < ? ORDER BY organisation_id, sequence LIMIT ?",
        (*mine, *after, since_ms, until_ms, most),
    )


def charge_of(transaction: Transaction, request_id: str) -> Row | None:
    found = transaction.rows(f"SELECT {_CHARGE} FROM charge WHERE id = ?", (request_id,))
    return found[0] if found else None
