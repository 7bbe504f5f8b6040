"""Charges as files: one object or line for each, amounts as strings of nano-USD."""

import csv
from collections.abc import Iterator
from io import StringIO

import msgspec

from portico.db.transaction import Transaction
from portico.ledger import receipts

COLUMNS = (*receipts.Receipt.__struct_fields__, "previous_hash", "hash")


def jsonl(
    transaction: Transaction, organisation_id: str | None, since_ms: int, until_ms: int
) -> Iterator[str]:
    """One line per charge: the receipt as it was hashed, and the two hashes."""
    for receipt, previous, hashed in _between(transaction, organisation_id, since_ms, until_ms):
        # The receipt's own bytes, so that whoever reads the file can hash them again.
        text = receipts.body(receipt).decode()
        yield f'{{"receipt":{text},"previous_hash":"{previous.hex()}","hash":"{hashed.hex()}"}}\n'


def lines_csv(
    transaction: Transaction, organisation_id: str | None, since_ms: int, until_ms: int
) -> Iterator[str]:
    """A heading, then one row per charge; its lines as JSON in one cell."""
    yield _row(COLUMNS)
    for receipt, previous, hashed in _between(transaction, organisation_id, since_ms, until_ms):
        fields = msgspec.structs.asdict(receipt)
        fields["lines"] = bytes(receipt.lines).decode()
        yield _row((*(str(value) for value in fields.values()), previous.hex(), hashed.hex()))


def _between(
    transaction: Transaction, organisation_id: str | None, since_ms: int, until_ms: int
) -> Iterator[tuple[receipts.Receipt, bytes, bytes]]:
    for found in receipts.stored(transaction):
        receipt = found[0]
        owned = organisation_id in (None, receipt.organisation_id)
        if owned and since_ms <= receipt.charged_at_ms < until_ms:
            yield found


def _row(cells: tuple[str, ...]) -> str:
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()
