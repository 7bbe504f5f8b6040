"""Credit notes: the only way to correct an invoice."""

from collections.abc import Mapping

from portico.billing.dunning import service as dunning
from portico.billing.invoices import store
from portico.billing.invoices.crediting import Taken, take_back
from portico.billing.invoices.model import (
    CENT_NANO,
    CreditNote,
    NotInvoiced,
    Seller,
    Stored,
    digest,
    encode,
)
from portico.billing.invoices.rules import moment
from portico.billing.invoices.service import Number, find, take_number, tax_due, tax_payable
from portico.db.transaction import Transaction
from portico.kit.ids import new_id
from portico.ledger import service as ledger
from portico.ledger.model import Account, Part, Posting

REFUNDS = "refunds"
_PROMO_PRIORITY = 10


def credit(
    transaction: Transaction,
    invoice: str,
    wanted: Mapping[int, int | None],
    reason: str,
    seller: Seller,
    now_ms: int,
) -> Stored:
    """Take back a part of an invoice (its number or id): nano-USD by line, None for all that is
    left of a line.  All credit notes of a line together never exceed it.

    Raises: NotInvoiced.
    """
    stored = store.lock(transaction, find(transaction, invoice).id)
    if stored is None or stored.kind != "invoice":
        raise NotInvoiced(f"{invoice} is no invoice; credit notes are not corrected.")
    if stored.entity != seller.entity:
        raise NotInvoiced(f"{stored.number} was issued by {stored.entity}, not by {seller.entity}.")
    earlier = [note.credit_note for note in store.credit_notes(transaction, stored.id)]
    outstanding = store.outstanding(transaction, [stored.id])[stored.id]
    taken = take_back(stored.invoice, earlier, outstanding, wanted)
    place = take_number(transaction, seller, "credit_note", now_ms)
    text = encode(_document(stored, taken, reason, seller, place))
    note = Stored(
        id=new_id("note"),
        organisation_id=stored.organisation_id,
        kind="credit_note",
        entity=seller.entity,
        year=place.year,
        sequence=place.sequence,
        number=place.text,
        corrects_id=stored.id,
        period=None,
        issued_at_ms=place.issued_at_ms,
        due_at_ms=place.issued_at_ms,
        owed_nano=-taken.to_receivable_nano,
        due_cents=-taken.due_cents,
        tax_cents=-taken.unpaid_tax_cents,
        document=text.decode(),
        sha256=digest(text),
    )
    store.add(transaction, note, None)
    store.lock_accounts(transaction, stored.organisation_id)
    _post(transaction, note, taken, now_ms)
    dunning.review(transaction, stored.organisation_id, now_ms)
    return note


def _document(
    stored: Stored, taken: Taken, reason: str, seller: Seller, place: Number
) -> CreditNote:
    invoice = stored.invoice
    return CreditNote(
        number=place.text,
        entity=seller.entity,
        currency=invoice.currency,
        issued_at=moment(place.issued_at_ms),
        organisation_id=stored.organisation_id,
        seller=seller.party,
        customer=invoice.customer,
        corrects=stored.number,
        corrects_sha256=stored.sha256,
        reason=reason,
        lines=taken.lines,
        net_nano=taken.net_nano,
        taxes=taken.taxes,
        owed_share_nano=taken.owed_share_nano,
        prepaid_share_nano=taken.prepaid_share_nano,
        promo_share_nano=taken.promo_share_nano,
        to_receivable_nano=taken.to_receivable_nano,
        to_prepaid_nano=taken.to_prepaid_nano,
        to_promo_nano=taken.promo_share_nano,
        due_cents=taken.due_cents,
        unpaid_tax_cents=taken.unpaid_tax_cents,
    )


def _post(transaction: Transaction, note: Stored, taken: Taken, now_ms: int) -> None:
    """Money goes from refunds, and tax from what the tax office gets, to the customer."""
    owner = note.organisation_id
    prepaid, owed_tax = ledger.prepaid(owner, now_ms), tax_due(owner, now_ms)
    promo = Account(f"promo:{note.id}", "promo", owner, 0, 0, 0, _PROMO_PRIORITY, None, now_ms)
    refunds = Account(REFUNDS, "refunds", "", 0, 0, None, 0, None, now_ms)
    parts: list[Part] = [
        (refunds.id, -taken.net_nano),
        (tax_payable(now_ms).id, -taken.tax_cents * CENT_NANO),
        (f"receivable:{owner}", taken.to_receivable_nano),
        (owed_tax.id, taken.unpaid_tax_cents * CENT_NANO),
        (prepaid.id, taken.to_prepaid_nano),
        (promo.id, taken.promo_share_nano),
    ]
    entries = tuple((name, nano) for name, nano in parts if nano)
    named = {name for name, _ in entries}
    for account in (refunds, prepaid, promo):
        if account.id in named:
            ledger.open_account(transaction, account)
    posting = Posting(f"credit_note:{note.id}", "credit_note", owner, note.number, entries)
    ledger.post(transaction, [posting], now_ms)
