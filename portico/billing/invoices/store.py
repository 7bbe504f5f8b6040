"""Rows of customers, tax rates, invoices and payments, and the receipts behind them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from portico.billing.invoices.model import Charged, ChargeLine, Outstanding, Period, Stored, TaxRate
from portico.db.tables import billing_customer, invoice, invoice_payment, tax_rate
from portico.db.transaction import Row, Transaction, places

_KEEP = "ON CONFLICT DO NOTHING"
_PAGE = 2_000
_STORED = (
    "id, organisation_id, kind, entity, year, sequence, number, corrects_id, period_start_ms, "
    "period_end_ms, issued_at_ms, due_at_ms, owed_nano, due_cents, tax_cents, document, sha256"
)
_lines = msgspec.json.Decoder(tuple[ChargeLine, ...])


def put_customer(transaction: Transaction, row: Row) -> None:
    names = billing_customer.columns.keys()
    changes = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
    transaction.insert(
        billing_customer, [row], f"ON CONFLICT (organisation_id) DO UPDATE SET {changes}"
    )


def customer(transaction: Transaction, organisation_id: str) -> Row | None:
    """(name, address, country, VAT id, tax kind, mail)."""
    found = transaction.rows(
        "SELECT name, address, country, vat_id, tax_kind, mail FROM billing_customer "
        "WHERE organisation_id = ?",
        (organisation_id,),
    )
    return found[0] if found else None


def organisation_name(transaction: Transaction, organisation_id: str) -> str | None:
    found = transaction.rows("SELECT name FROM organisation WHERE id = ?", (organisation_id,))
    return found[0][0] if found else None


def add_rate(transaction: Transaction, row: Row) -> bool:
    """False where there is one from that moment on."""
    before = transaction.rows(
        "SELECT 1 FROM tax_rate WHERE country = ? AND kind = ? AND valid_from_ms = ?",
        (row[1], row[2], row[4]),
    )
    if not before:
        transaction.insert(tax_rate, [row])
    return not before


def rates(transaction: Transaction) -> list[TaxRate]:
    found = transaction.rows(
        "SELECT country, kind, basis_points, valid_from_ms FROM tax_rate "
        "ORDER BY country, kind, valid_from_ms"
    )
    return [TaxRate(*row) for row in found]


def first_open_ms(transaction: Transaction, organisation_id: str, after: int) -> int | None:
    """When the oldest receipt behind that place in the chain was charged."""
    found = transaction.rows(
        "SELECT min(charged_at_ms) FROM charge WHERE organisation_id = ? AND sequence > ?",
        (organisation_id, after),
    )
    return None if found[0][0] is None else int(found[0][0])


def next_open_ms(transaction: Transaction, organisation_id: str, after: int) -> int | None:
    """When the receipt right behind that place in the chain was charged: one look, however many
    there are.  The oldest one is no later, and older by what two machines' clocks differ."""
    found = transaction.rows(
        "SELECT charged_at_ms FROM charge WHERE organisation_id = ? AND sequence > ? "
        "ORDER BY sequence LIMIT 1",
        (organisation_id, after),
    )
    return int(found[0][0]) if found else None


def last_within(transaction: Transaction, organisation_id: str, after: int, end_ms: int) -> int:
    """The last place, behind that one, of a receipt charged before `end_ms`; 0 for none."""
    found = transaction.rows(
        "SELECT coalesce(max(sequence), 0) FROM charge "
        "WHERE organisation_id = ? AND sequence > ? AND charged_at_ms < ?",
        (organisation_id, after, end_ms),
    )
    return int(found[0][0])


def charges(
    transaction: Transaction, organisation_id: str, first: int, last: int
) -> Iterator[Charged]:
    """The receipts from one place to another, both included, a page at a time."""
    for start in range(first, last + 1, _PAGE):
        span = (organisation_id, start, min(start + _PAGE - 1, last))
        paid = _paid(transaction, span)
        for row in transaction.rows(
            "SELECT id, sequence, model, tier, lines, net_nano, absorbed_nano, charged_at_ms "
            "FROM charge WHERE organisation_id = ? AND sequence BETWEEN ? AND ? ORDER BY sequence",
            span,
        ):
            by_kind = paid[row[0]]
            yield Charged(
                id=row[0],
                sequence=row[1],
                model=row[2],
                tier=row[3],
                lines=_lines.decode(row[4]),
                net_nano=row[5],
                absorbed_nano=row[6],
                charged_at_ms=row[7],
                promo_nano=by_kind["promo"],
                prepaid_nano=by_kind["prepaid"],
                receivable_nano=by_kind["receivable"],
            )


def _paid(
    transaction: Transaction, span: tuple[str, int, int]
) -> defaultdict[str, defaultdict[str, int]]:
    """By receipt and kind of account: what the organisation's accounts paid."""
    paid: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for charge_id, kind, nano in transaction.rows(
        "SELECT charge.id, account.kind, entry.amount_nano FROM charge "
        "JOIN entry ON entry.txn_id = 'settle:' || charge.id "
        "JOIN account ON account.id = entry.account_id "
        "WHERE charge.organisation_id = ? AND charge.sequence BETWEEN ? AND ?",
        span,
    ):
        paid[charge_id][kind] -= nano
    return paid


def next_number(
    transaction: Transaction, entity: str, kind: str, year: int, now_ms: int
) -> tuple[int, int]:
    """(number, when it is given) in a series, nobody else's until the transaction ends; never
    earlier than the one before it."""
    transaction.run(
        "INSERT INTO invoice_series (entity, kind, year, last, issued_at_ms) "
        f"VALUES (?, ?, ?, 0, 0) {_KEEP}",
        (entity, kind, year),
    )
    found = transaction.rows(
        "UPDATE invoice_series SET last = last + 1, "
        "issued_at_ms = CASE WHEN issued_at_ms > ? THEN issued_at_ms ELSE ? END "
        "WHERE entity = ? AND kind = ? AND year = ? RETURNING last, issued_at_ms",
        (now_ms, now_ms, entity, kind, year),
    )
    return found[0][0], found[0][1]


def add(transaction: Transaction, stored: Stored, receipts: tuple[int, int] | None) -> None:
    """Raises: IntegrityError of the driver, where its number, period or receipts are taken."""
    first, last = receipts or (None, None)
    period = stored.period
    transaction.insert(
        invoice,
        [
            (
                stored.id,
                stored.organisation_id,
                stored.kind,
                stored.entity,
                stored.year,
                stored.sequence,
                stored.number,
                stored.corrects_id or None,
                first,
                last,
                None if period is None else period.start_ms,
                None if period is None else period.end_ms,
                stored.issued_at_ms,
                stored.due_at_ms,
                stored.owed_nano,
                stored.due_cents,
                stored.tax_cents,
                stored.document,
                stored.sha256,
            )
        ],
    )


def newest(transaction: Transaction, organisation_id: str) -> tuple[int, int, str]:
    """(last receipt, end of the period, id) of the newest invoice; (0, 0, "") for none."""
    found = transaction.rows(
        "SELECT last_sequence, period_end_ms, id FROM invoice "
        "WHERE organisation_id = ? AND kind = 'invoice' ORDER BY last_sequence DESC LIMIT 1",
        (organisation_id,),
    )
    return (found[0][0], found[0][1], found[0][2]) if found else (0, 0, "")


def carried_nano(transaction: Transaction, organisation_id: str) -> int:
    """What rounding has left of all documents so far, above 0 for the seller."""
    found = transaction.rows(
        "SELECT owed_nano, due_cents FROM invoice WHERE organisation_id = ?", (organisation_id,)
    )
    return sum(owed_nano - due_cents * 10_000_000 for owed_nano, due_cents in found)


def by_name(transaction: Transaction, name: str) -> list[Stored]:
    """Documents with that id or number: the number once for every legal entity."""
    return _read(transaction, "WHERE id = ? OR number = ? ORDER BY id", (name, name))


def lock(transaction: Transaction, invoice_id: str) -> Stored | None:
    """The invoice; payments and credit notes of it wait until the transaction ends."""
    found = _read(transaction, f"WHERE id = ?{transaction.for_update}", (invoice_id,))
    return found[0] if found else None


def documents(transaction: Transaction, organisation_id: str | None = None) -> list[Stored]:
    """In the order of issue."""
    order = "ORDER BY issued_at_ms, kind DESC, sequence"
    if organisation_id is None:
        return _read(transaction, order)
    return _read(transaction, f"WHERE organisation_id = ? {order}", (organisation_id,))


def covering(transaction: Transaction, organisation_id: str, end_ms: int) -> Stored | None:
    """The invoice whose period ends at that moment."""
    found = _read(
        transaction, "WHERE organisation_id = ? AND period_end_ms = ?", (organisation_id, end_ms)
    )
    return found[0] if found else None


def credit_notes(transaction: Transaction, invoice_id: str) -> list[Stored]:
    return _read(transaction, "WHERE corrects_id = ? ORDER BY sequence", (invoice_id,))


def _read(transaction: Transaction, where: str, values: Sequence[Any] = ()) -> list[Stored]:
    return [
        Stored(
            id=row[0],
            organisation_id=row[1],
            kind=row[2],
            entity=row[3],
            year=row[4],
            sequence=row[5],
            number=row[6],
            corrects_id=row[7] or "",
            period=None if row[8] is None else Period(row[8], row[9]),
            issued_at_ms=row[10],
            due_at_ms=row[11],
            owed_nano=row[12],
            due_cents=row[13],
            tax_cents=row[14],
            document=row[15],
            sha256=row[16],
        )
        for row in transaction.rows(f"SELECT {_STORED} FROM invoice {where}", values)
    ]


def outstanding(transaction: Transaction, invoice_ids: Sequence[str]) -> dict[str, Outstanding]:
    """By invoice: what it, its credit notes and its payments come to."""
    where = places(len(invoice_ids))
    found = transaction.rows(
        f"SELECT id, due_cents, tax_cents FROM invoice WHERE id IN {where} UNION ALL "
        f"SELECT corrects_id, due_cents, tax_cents FROM invoice WHERE corrects_id IN {where} "
        "UNION ALL SELECT invoice_id, -due_cents, -tax_cents FROM invoice_payment "
        f"WHERE invoice_id IN {where}",
        (*invoice_ids, *invoice_ids, *invoice_ids),
    )
    sums: dict[str, tuple[int, int]] = {}
    for invoice_id, due_cents, tax_cents in found:
        due, tax = sums.get(invoice_id, (0, 0))
        sums[invoice_id] = (due + due_cents, tax + tax_cents)
    return {invoice_id: Outstanding(*both) for invoice_id, both in sums.items()}


_OPEN = (
    "kind = 'invoice' AND due_cents + tax_cents + coalesce((SELECT sum(note.due_cents + "
    "note.tax_cents) FROM invoice note WHERE note.corrects_id = invoice.id), 0) - "
    "coalesce((SELECT sum(paid.due_cents + paid.tax_cents) FROM invoice_payment paid "
    "WHERE paid.invoice_id = invoice.id), 0) > 0"
)


def open_invoices(
    transaction: Transaction, organisation_id: str | None, due_by_ms: int
) -> list[Stored]:
    """Those that were due at that moment and are not paid in full, oldest first."""
    if organisation_id is None:
        return _read(
            transaction, f"WHERE {_OPEN} AND due_at_ms <= ? ORDER BY due_at_ms, id", (due_by_ms,)
        )
    return _read(
        transaction,
        f"WHERE {_OPEN} AND due_at_ms <= ? AND organisation_id = ? ORDER BY due_at_ms, id",
        (due_by_ms, organisation_id),
    )


def payment(transaction: Transaction, reference: str) -> tuple[str, int] | None:
    """(invoice, cents) of a payment."""
    found = transaction.rows(
        "SELECT invoice_id, due_cents + tax_cents FROM invoice_payment WHERE id = ?", (reference,)
    )
    return (found[0][0], found[0][1]) if found else None


def add_payment(transaction: Transaction, row: Row) -> None:
    transaction.insert(invoice_payment, [row])


def lock_accounts(transaction: Transaction, organisation_id: str) -> None:
    """An organisation's accounts and the operator's own that documents move, in the order in which
    the ledger writes them, so that nobody waits for each other."""
    if not transaction.for_update:
        return
    transaction.rows(
        "SELECT id FROM account WHERE kind <> 'limit' AND (organisation_id = ? "
        "OR kind IN ('cash_clearing', 'refunds', 'tax_payable')) "
        f'ORDER BY id COLLATE "C"{transaction.for_update}',
        (organisation_id,),
    )


def chain_end(transaction: Transaction, organisation_id: str) -> int:
    """The place of an organisation's newest receipt, 0 for none."""
    return last_within(transaction, organisation_id, 0, 2**62)


def owed_nano(transaction: Transaction, organisation_id: str) -> int:
    """What use, payments and credit notes have left on the organisation's account of debts."""
    found = transaction.rows(
        "SELECT amount_nano FROM entry JOIN txn ON txn.id = entry.txn_id WHERE account_id = ? "
        "AND txn.kind IN ('charge', 'invoice_payment', 'credit_note')",
        (f"receivable:{organisation_id}",),
    )
    return -sum(int(row[0]) for row in found)


def series(transaction: Transaction) -> list[tuple[str, str, int, int]]:
    """(entity, kind, year, last number)."""
    found = transaction.rows(
        "SELECT entity, kind, year, last FROM invoice_series ORDER BY entity, kind, year"
    )
    return [(row[0], row[1], row[2], row[3]) for row in found]
