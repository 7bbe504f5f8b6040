"""Rows into a file, whatever the format, a page at a time."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TextIO

from portico.billing.exports import focus
from portico.billing.exports.parquet import write_parquet
from portico.billing.exports.text import csv_lines, csv_row, jsonl
from portico.db.transaction import Transaction, places
from portico.ledger import receipts
from portico.ledger.receipts import Receipt, Span, Stored

Format = Literal["jsonl", "csv", "parquet", "focus"]
TextFormat = Literal["jsonl", "csv", "focus"]


def write_file(
    transaction: Transaction, format: Format, span: Span, path: Path, seller: str
) -> int:
    """How many rows, a heading not counted.  seller: who sells, as FOCUS names it.

    What is at `path` is replaced once all is written.
    Raises: OSError; ExtraMissing, for Parquet without its extra.
    """
    draft = path.with_name(path.name + ".part")
    try:
        if format == "parquet":
            written = write_parquet(receipts.pages(transaction, span), draft)
        else:
            with draft.open("w", encoding="utf-8", newline="") as file:
                written = write_text(transaction, format, span, file, seller)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return written


def write_text(
    transaction: Transaction, format: TextFormat, span: Span, file: TextIO, seller: str
) -> int:
    """As `write_file`, into an open file."""
    written = 0 if format == "jsonl" else -1
    for line in text_lines(transaction, format, span, seller):
        file.write(line)
        written += 1
    return written


def text_lines(
    transaction: Transaction, format: TextFormat, span: Span, seller: str
) -> Iterator[str]:
    if format == "focus":
        return _focus_lines(transaction, receipts.pages(transaction, span), seller)
    found = receipts.stored(transaction, span)
    return jsonl(found) if format == "jsonl" else csv_lines(found)


def _focus_lines(
    transaction: Transaction, pages: Iterable[Sequence[Stored]], seller: str
) -> Iterator[str]:
    yield csv_row(focus.COLUMNS)
    for page in pages:
        known = _Names(transaction, page, seller)
        for each in page:
            for row in focus.rows(each[0], each[2], known.of(each)):
                yield csv_row(row)


class _Names:
    """What the receipts of a page only name by id; "" for what is gone."""

    def __init__(self, transaction: Transaction, page: Sequence[Stored], seller: str) -> None:
        self._seller = seller
        found = [receipt for receipt, _, _ in page]

        def names(table: str, ids: set[str]) -> dict[str, str]:
            sql = f"SELECT id, name FROM {table} WHERE id IN {places(len(ids))}"
            return {row[0]: row[1] for row in transaction.rows(sql, sorted(ids))}

        self._organisations = names("organisation", {each.organisation_id for each in found})
        self._projects = names("project", {each.project_id for each in found})
        self._keys = names("api_key", {each.key_id for each in found})
        terms = sorted({each.terms_id for each in found})
        self._shares = {
            row[0]: (row[1], row[2])
            for row in transaction.rows(
                "SELECT id, share_numerator, share_denominator FROM terms "
                f"WHERE id IN {places(len(terms))}",
                terms,
            )
        }

        numbers = [each.sequence for each in found]
        owners = sorted({each.organisation_id for each in found})
        self._invoices = transaction.rows(
            "SELECT organisation_id, first_sequence, last_sequence, number FROM invoice "
            f"WHERE kind = 'invoice' AND organisation_id IN {places(len(owners))} "
            "AND last_sequence >= ? AND first_sequence <= ?",
            (*owners, min(numbers), max(numbers)),
        )

    def _invoice(self, receipt: Receipt) -> str:
        for owner, first, last, number in self._invoices:
            if owner == receipt.organisation_id and first <= receipt.sequence <= last:
                return str(number)
        return ""

    def of(self, stored: Stored) -> focus.About:
        receipt = stored[0]
        return focus.About(
            self._seller,
            self._organisations.get(receipt.organisation_id, ""),
            self._projects.get(receipt.project_id, ""),
            self._keys.get(receipt.key_id, ""),
            # An organisation that was never given terms pays the list price.
            self._shares.get(receipt.terms_id, (1, 1)),
            self._invoice(receipt),
        )
