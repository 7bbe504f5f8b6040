"""What must be true of requests and money together, once nothing runs any more: by law, how many
rows break it.  All zero: nothing is wrong."""

from collections import Counter

from bench.faults.site import Books, price_of

PAID = frozenset({"completed", "client_gone", "out_of_funds", "killed"})


def broken(books: Books, *, killed: bool = False) -> dict[str, int]:
    """Those above zero.

    killed: servers were.  What was admitted less than 0.25 s before may then have left nothing but
    its hold, given back; everything that was charged still has its record.
    """
    holds = dict(books.rows("SELECT id, state FROM hold"))
    records = {
        row[0]: row[1:]
        for row in books.rows("SELECT id, outcome, input_text, output_text FROM usage_record")
    }
    charges = {
        row[0]: row[1:]
        for row in books.rows("SELECT id, net_nano, absorbed_nano, outcome FROM charge")
    }
    debits = Counter(
        row[0]
        for row in books.rows(
            "SELECT txn_id FROM entry JOIN account ON account.id = account_id WHERE kind = 'prepaid' "
            "AND amount_nano < 0"
        )
    )
    settled = {name for name, state in holds.items() if state == "settled"}
    found = {
        "holds that are still open": sum(state == "open" for state in holds.values()),
        "records that still run": sum(row[0] == "running" for row in records.values()),
        "admitted, and no record": len((settled if killed else holds.keys()) - records.keys()),
        "a record, and never admitted": len(records.keys() - holds.keys()),
        "charges without a settled hold, or settled holds without a charge": len(
            settled ^ charges.keys()
        ),
        "charges that are not the record at its prices": sum(
            name in records and row[0] + row[1] != price_of(*records[name][1:])
            for name, row in charges.items()
        ),
        "charges that end otherwise than the record": sum(
            name in records and row[2] != records[name][0] for name, row in charges.items()
        ),
        "generated and to be paid, but free": sum(
            row[2] > 0 and row[0] in PAID and name not in charges for name, row in records.items()
        ),
        "charges debited not once": sum(
            debits[f"settle:{name}"] != bool(row[0]) for name, row in charges.items()
        ),
        "nano-USD that the operator lost": sum(row[1] for row in charges.values()),
        "nano-USD between the balance and granted less charged": abs(
            books.balance_nano - books.granted_nano + sum(row[0] for row in charges.values())
        ),
        "damaged database files": int(not books.intact),
    }
    return {law: count for law, count in found.items() if count}
