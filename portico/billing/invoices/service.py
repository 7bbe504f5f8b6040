"""Making invoices: read what was charged, then number and write it in one transaction.

Reading takes as long as there are receipts, and no lock: receipts are only ever added at the end of
their chain.  Writing is short.
"""

from dataclasses import dataclass

from sqlalchemy import Connection

from portico.billing.invoices import store
from portico.billing.invoices.customers import customer_of, tax_rule
from portico.billing.invoices.model import (
    CENT_NANO,
    DocumentKind,
    Invoice,
    NotInvoiced,
    Outstanding,
    Period,
    Seller,
    Stored,
    digest,
    encode,
)
from portico.billing.invoices.rules import (
    Draft,
    check_seller,
    compose,
    due_at_ms,
    month_of,
    next_month,
    number,
    open_period,
    tally,
)
from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.kit.ids import new_id
from portico.ledger import service as ledger
from portico.ledger.model import Account, Posting


@dataclass(frozen=True, slots=True)
class Made:
    """new: False where the period had its invoice already; that one is given."""

    invoice: Stored
    new: bool


@dataclass(frozen=True, slots=True)
class Number:
    """A place in a series, held until the transaction ends."""

    year: int
    sequence: int
    text: str
    issued_at_ms: int


class Overtaken(NotInvoiced):
    """Another process has invoiced the same receipts."""


def make(
    database: Database, organisation_id: str, wanted: Period, seller: Seller, now_ms: int
) -> Made:
    """The invoice of an organisation for what it used in a period (a month in UTC, see
    `rules.month`; `Period(start, now)` for what was used so far).

    Safe to run again and beside others: a period has one invoice, numbers have no gap.
    Raises: NotInvoiced; sqlalchemy.exc.DBAPIError.
    """

    def read(connection: Connection) -> Stored | Draft:
        transaction = Transaction(connection)
        made = store.covering(transaction, organisation_id, wanted.end_ms)
        return made or draft(transaction, organisation_id, wanted, seller, now_ms)

    found = database.read(read)
    if isinstance(found, Stored):
        return Made(found, new=False)
    try:
        stored = database.write(lambda c: finalise(Transaction(c), found, seller, now_ms))
    except Overtaken:
        again = database.read(read)
        if isinstance(again, Stored):
            return Made(again, new=False)
        raise
    return Made(stored, new=True)


def preview(
    database: Database, organisation_id: str, wanted: Period, seller: Seller, now_ms: int
) -> Invoice:
    """What `make` would write now; nothing is written, no number is used.  Raises: NotInvoiced."""

    def read(connection: Connection) -> Invoice:
        transaction = Transaction(connection)
        made = draft(transaction, organisation_id, wanted, seller, now_ms)
        carried_nano = store.carried_nano(transaction, organisation_id)
        return compose(made, seller, "", now_ms, carried_nano)

    return database.read(read)


def draft(
    transaction: Transaction, organisation_id: str, wanted: Period, seller: Seller, now_ms: int
) -> Draft:
    """Reads only.  Raises: NotInvoiced."""
    check_seller(seller.party)
    customer = customer_of(transaction, organisation_id)
    last_invoiced, invoiced_until_ms, _ = store.newest(transaction, organisation_id)
    first_open_ms = store.first_open_ms(transaction, organisation_id, last_invoiced)
    period = open_period(wanted, invoiced_until_ms, first_open_ms, now_ms)
    last = store.last_within(transaction, organisation_id, last_invoiced, period.end_ms)
    if not last:
        raise NotInvoiced(
            f"Nothing was charged in {month_of(period.start_ms)} that is not on an invoice already."
        )
    rule = tax_rule(transaction, seller.party, customer)
    charges = store.charges(transaction, organisation_id, last_invoiced + 1, last)
    return Draft(organisation_id, period, customer, tally(charges, rule, seller.tax_point))


def next_draft(
    transaction: Transaction, organisation_id: str, seller: Seller, now_ms: int
) -> Draft | None:
    """Of the oldest month that is over and has use on no invoice; None for none.  Raises: NotInvoiced."""
    last_invoiced, invoiced_until_ms, _ = store.newest(transaction, organisation_id)
    first_open_ms = store.first_open_ms(transaction, organisation_id, last_invoiced)
    wanted = next_month(invoiced_until_ms, first_open_ms, now_ms)
    return None if wanted is None else draft(transaction, organisation_id, wanted, seller, now_ms)


def open_since_ms(transaction: Transaction, organisation_id: str) -> int | None:
    """When the first receipt that is on no invoice was charged; None where all are."""
    last_invoiced, _, _ = store.newest(transaction, organisation_id)
    return store.next_open_ms(transaction, organisation_id, last_invoiced)


def finalise(transaction: Transaction, made: Draft, seller: Seller, now_ms: int) -> Stored:
    """Number the draft and write it, for ever.  Its tax is booked as owed.

    Raises: Overtaken, where its receipts are on an invoice by now.
    """
    place = take_number(transaction, seller, "invoice", now_ms)
    last_invoiced, _, _ = store.newest(transaction, made.organisation_id)
    if last_invoiced + 1 != made.tally.first:
        raise Overtaken(f"{made.organisation_id} was invoiced by another process.")
    carried_nano = store.carried_nano(transaction, made.organisation_id)
    document = compose(made, seller, place.text, place.issued_at_ms, carried_nano)
    text = encode(document)
    stored = Stored(
        id=new_id("inv"),
        organisation_id=made.organisation_id,
        kind="invoice",
        entity=seller.entity,
        year=place.year,
        sequence=place.sequence,
        number=place.text,
        corrects_id="",
        period=made.period,
        issued_at_ms=place.issued_at_ms,
        due_at_ms=due_at_ms(seller, place.issued_at_ms),
        owed_nano=document.owed_nano,
        due_cents=document.due_cents,
        tax_cents=document.total_cents - document.due_cents,
        document=text.decode(),
        sha256=digest(text),
    )
    store.add(transaction, stored, document.receipts)
    _owe_tax(transaction, stored, now_ms)
    return stored


def take_number(
    transaction: Transaction, seller: Seller, kind: DocumentKind, now_ms: int
) -> Number:
    """The next number of the seller's series of this year (UTC).  It is used up by the commit and
    by nothing else, so no crash leaves a gap; others wait for it, so none is given twice."""
    year = int(month_of(now_ms)[:4])
    # Dates never run against numbers, whatever the clocks of two machines say.
    sequence, issued_at_ms = store.next_number(transaction, seller.entity, kind, year, now_ms)
    prefix = seller.invoice_prefix if kind == "invoice" else seller.credit_note_prefix
    return Number(year, sequence, number(prefix, year, sequence), issued_at_ms)


def tax_due(organisation_id: str, now_ms: int) -> Account:
    """What an organisation owes as tax, as a negative balance.  Nothing is ever held in it: tax
    has no credit limit and pays for no request."""
    name = f"tax_due:{organisation_id}"
    return Account(name, "tax_payable", organisation_id, 0, 0, None, 0, None, now_ms)


def tax_payable(now_ms: int) -> Account:
    """What the operator owes the tax office."""
    return Account("tax_payable", "tax_payable", "", 0, 0, None, 0, None, now_ms)


def documents(transaction: Transaction, organisation_id: str | None = None) -> list[Stored]:
    """Invoices and credit notes, in the order of issue."""
    return store.documents(transaction, organisation_id)


def find(transaction: Transaction, name: str) -> Stored:
    """The document with that number or id.  Raises: NotInvoiced."""
    found = store.by_name(transaction, name)
    if not found:
        raise NotInvoiced(f"There is no invoice or credit note {name!r}.")
    if len(found) > 1:
        entities = ", ".join(f"{each.id} ({each.entity})" for each in found)
        raise NotInvoiced(f"{name!r} is a number of several entities; name the id: {entities}.")
    return found[0]


def outstanding(transaction: Transaction, invoices: list[Stored]) -> dict[str, Outstanding]:
    """By id, what is still to be paid of each."""
    return store.outstanding(transaction, [each.id for each in invoices])


def overdue(
    transaction: Transaction, now_ms: int, organisation_id: str | None = None
) -> list[Stored]:
    """Invoices that are due and not paid in full, oldest first."""
    return store.open_invoices(transaction, organisation_id, now_ms)


def lock_accounts(transaction: Transaction, organisation_id: str) -> None:
    """Nobody else changes what an organisation owes and may spend until the transaction ends."""
    store.lock_accounts(transaction, organisation_id)


def mail_of(transaction: Transaction, organisation_id: str) -> str:
    """Where its notices go, or ""."""
    return customer_of(transaction, organisation_id).mail


def _owe_tax(transaction: Transaction, stored: Stored, now_ms: int) -> None:
    if not stored.tax_cents:
        return
    owed, payable = tax_due(stored.organisation_id, now_ms), tax_payable(now_ms)
    ledger.open_account(transaction, owed)
    ledger.open_account(transaction, payable)
    nano = stored.tax_cents * CENT_NANO
    posting = Posting(
        f"tax:{stored.id}",
        "tax",
        stored.organisation_id,
        stored.number,
        ((owed.id, -nano), (payable.id, nano)),
    )
    ledger.post(transaction, [posting], now_ms)
