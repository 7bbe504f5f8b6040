"""Lanes for tests, on the table of organisations."""

from collections.abc import Sequence
from typing import Any

from portico.db.tables import organisation, txn
from portico.db.transaction import Row, Transaction, places


class Names:
    """Items are whole rows; a later one replaces an earlier.  All of them are kept."""

    name = "names"

    def write(self, transaction: Transaction, items: Sequence[Row]) -> Sequence[None]:
        self.restore(transaction, items)
        return [None] * len(items)

    def keep(self, item: Row) -> Row | None:
        return item

    def bare(self, row: Row) -> Row:
        return row

    def restore(self, transaction: Transaction, rows: Sequence[Row]) -> None:
        latest = {row[0]: row for row in rows}
        replace = "ON CONFLICT (id) DO UPDATE SET name = excluded.name"
        transaction.insert(organisation, [_whole(row) for row in latest.values()], replace)


def _whole(row: Row) -> Row:
    """With a value for every column."""
    return (*row, *(None for _ in range(len(organisation.columns) - len(row))))


class NoMore(Exception):
    """All seats are taken."""


class Seats:
    """Items are ids; each gets a number, as long as there are seats.  None of them is kept."""

    name = "seats"

    def __init__(self, seats: int) -> None:
        self._seats = seats

    def write(self, transaction: Transaction, items: Sequence[str]) -> Sequence[Any]:
        if "bad" in items:
            transaction.run(
                "INSERT INTO organisation (id, name, created_at_ms) VALUES ('half done', '', 0)"
            )
            raise KeyError("bad")
        known = {
            row[0]: int(row[1])
            for row in transaction.rows(
                f"SELECT id, name FROM organisation WHERE id IN {places(len(items))}", items
            )
        }
        taken = transaction.rows("SELECT count(*) FROM organisation")[0][0]
        results: list[Any] = []
        new: list[Row] = []
        for item in items:
            if item in known:
                results.append(known[item])
            elif taken >= self._seats:
                results.append(NoMore())
            else:
                taken += 1
                new.append((item, str(taken), 0))
                results.append(taken)
        transaction.insert(organisation, [_whole(row) for row in new])
        return results

    def keep(self, item: str) -> Row | None:
        return None

    def bare(self, row: Row) -> Row:
        return row

    def restore(self, transaction: Transaction, rows: Sequence[Row]) -> None:
        return


class Spend:
    """Items are ids; each takes one nano from the account "purse", once.  All of them are kept."""

    name = "spend"

    def write(self, transaction: Transaction, items: Sequence[str]) -> Sequence[str]:
        known = transaction.rows(f"SELECT id FROM txn WHERE id IN {places(len(items))}", items)
        new = [item for item in dict.fromkeys(items) if (item,) not in known]
        transaction.insert(txn, [(item, "spend", "", "", 0) for item in new])
        transaction.run(
            "UPDATE account SET posted_nano = posted_nano - ? WHERE id = 'purse'", (len(new),)
        )
        return [f"spent {item}" for item in items]

    def keep(self, item: str) -> Row | None:
        return (item,)

    def bare(self, row: Row) -> Row:
        return row

    def restore(self, transaction: Transaction, rows: Sequence[Row]) -> None:
        self.write(transaction, [row[0] for row in rows])


PURSE = "INSERT INTO account VALUES ('purse', 'prepaid', '', 0, 0, NULL, 0, NULL, 0)"
SPENT = "SELECT (SELECT count(*) FROM txn), (SELECT -posted_nano FROM account WHERE id = 'purse')"
