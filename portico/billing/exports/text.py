"""One line per receipt, amounts as strings of nano-USD."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO

import msgspec

from portico.ledger import receipts
from portico.ledger.receipts import Receipt, Stored

COLUMNS = (*Receipt.__struct_fields__, "previous_hash", "hash")


def jsonl(found: Iterable[Stored]) -> Iterator[str]:
    """The receipt as it was hashed, and the two hashes."""
    for receipt, previous, hashed in found:
        # The receipt's own bytes, so that whoever reads the file can hash them again.
        text = receipts.body(receipt).decode()
        yield f'{{"receipt":{text},"previous_hash":"{previous.hex()}","hash":"{hashed.hex()}"}}\n'


def csv_lines(found: Iterable[Stored]) -> Iterator[str]:
    """A heading, then one row per receipt; its meter lines as JSON in one cell."""
    yield csv_row(COLUMNS)
    for receipt, previous, hashed in found:
        fields = msgspec.structs.asdict(receipt)
        fields["lines"] = bytes(receipt.lines).decode()
        yield csv_row((*(str(value) for value in fields.values()), previous.hex(), hashed.hex()))


def csv_row(cells: Sequence[str]) -> str:
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()
