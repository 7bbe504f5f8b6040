"""What must be true of requests and money together, once nothing runs any more: by law, how many
rows break it.  All zero: nothing is wrong."""

import sys
from collections import Counter
from typing import Any

from bench.faults.site import Books, price_of

Rows = dict[str, tuple[Any, ...]]
_EXAMPLES = 5

PAID = frozenset({"completed", "client_gone", "out_of_funds", "killed"})


def broken(books: Books, *, killed: bool = False) -> dict[str, int]:
    """Those above zero; on standard error, what the rows of the first of them say.

    killed: servers were.  What was admitted less than 0.25 s before may then have left nothing but
    its hold, given back; everything that was charged still has its record.
    """
    holds = _by_id(books, "SELECT id, state, owner, opened_at_ms, resolved_at_ms FROM hold")
    records = _by_id(books, "SELECT id, outcome, input_text, output_text FROM usage_record")
    charges = _by_id(books, "SELECT id, net_nano, absorbed_nano, outcome FROM charge")
    breaches = _breaches(books, holds, records, charges, killed=killed)
    for law, names in breaches.items():
        for name in sorted(names)[:_EXAMPLES]:
            row = (holds.get(name), records.get(name), charges.get(name))
            print(f"{law}: {name}: hold, record, charge: {row}", file=sys.stderr)
    found = {law: len(names) for law, names in breaches.items()}
    found["nano-USD that the operator lost"] = sum(row[1] for row in charges.values())
    found["nano-USD between the balance and granted less charged"] = abs(
        books.balance_nano - books.granted_nano + sum(row[0] for row in charges.values())
    )
    found["damaged database files"] = int(not books.intact)
    return {law: count for law, count in found.items() if count}


def _by_id(books: Books, sql: str) -> Rows:
    return {row[0]: row[1:] for row in books.rows(sql)}


def _breaches(
    books: Books, holds: Rows, records: Rows, charges: Rows, *, killed: bool
) -> dict[str, set[str]]:
    """The requests that break each law."""
    debits = Counter(
        row[0]
        for row in books.rows(
            "SELECT txn_id FROM entry JOIN account ON account.id = account_id "
            "WHERE kind = 'prepaid' AND amount_nano < 0"
        )
    )
    settled = {name for name, row in holds.items() if row[0] == "settled"}
    both = charges.keys() & records.keys()
    return {
        "holds that are still open": {name for name, row in holds.items() if row[0] == "open"},
        "records that still run": {name for name, row in records.items() if row[0] == "running"},
        "admitted, and no record": (settled if killed else holds.keys()) - records.keys(),
        "a record, and never admitted": records.keys() - holds.keys(),
        "charges without a settled hold, or settled holds without a charge": (
            settled ^ charges.keys()
        ),
        "charges that are not the record at its prices": {
            name
            for name in both
            if charges[name][0] + charges[name][1] != price_of(*records[name][1:])
        },
        "charges that end otherwise than the record": {
            name for name in both if charges[name][2] != records[name][0]
        },
        "generated and to be paid, but free": {
            name
            for name, row in records.items()
            if row[2] > 0 and row[0] in PAID and name not in charges
        },
        "charges debited not once": {
            name for name, row in charges.items() if debits[f"settle:{name}"] != bool(row[0])
        },
    }
