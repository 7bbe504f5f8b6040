"""What came in for an invoice."""

from portico.admission.rules import dollars
from portico.billing.credits import CLEARING
from portico.billing.dunning import service as dunning
from portico.billing.invoices import store
from portico.billing.invoices.model import CENT_NANO, NotInvoiced, Outstanding
from portico.billing.invoices.service import find, tax_due
from portico.db.transaction import Transaction
from portico.ledger import service as ledger
from portico.ledger.model import Account, Posting


def record_payment(
    transaction: Transaction, invoice: str, amount_cents: int, reference: str, now_ms: int
) -> bool:
    """Book a payment of an invoice (its number or id); tax is paid first.  An organisation that
    owes nothing overdue any more is in good standing again at once.

    reference: the payer's or the bank's own name of the payment, the key under which it is booked:
    False where it was booked before.  Raises: NotInvoiced.
    """
    stored = store.lock(transaction, find(transaction, invoice).id)
    if stored is None or stored.kind != "invoice":
        raise NotInvoiced(f"{invoice} is no invoice; only invoices are paid.")
    if not reference.strip():
        raise NotInvoiced("A payment needs a reference.")
    before = store.payment(transaction, reference)
    if before == (stored.id, amount_cents):
        return False
    if before is not None:
        raise NotInvoiced(f"The reference {reference!r} is that of another payment.")
    outstanding = store.outstanding(transaction, [stored.id])[stored.id]
    if not 0 < amount_cents <= outstanding.total_cents:
        raise NotInvoiced(
            f"{dollars(outstanding.total_cents * CENT_NANO)} of {stored.number} is to be paid, not "
            f"{dollars(amount_cents * CENT_NANO)}; what is above an invoice may be granted as credit."
        )
    part = allocate(amount_cents, outstanding)
    row = (reference, stored.id, part.due_cents, part.tax_cents, now_ms)
    store.add_payment(transaction, row)
    store.lock_accounts(transaction, stored.organisation_id)
    _post(transaction, stored.organisation_id, part, reference, now_ms)
    dunning.review(transaction, stored.organisation_id, now_ms)
    return True


def allocate(amount_cents: int, outstanding: Outstanding) -> Outstanding:
    """What of an amount pays tax, and what pays for use."""
    tax_cents = min(amount_cents, outstanding.tax_cents)
    return Outstanding(amount_cents - tax_cents, tax_cents)


def _post(
    transaction: Transaction, owner: str, part: Outstanding, reference: str, now_ms: int
) -> None:
    clearing = Account(CLEARING, "cash_clearing", "", 0, 0, None, 0, None, now_ms)
    ledger.open_account(transaction, clearing)
    parts = (
        (CLEARING, -part.total_cents * CENT_NANO),
        (f"receivable:{owner}", part.due_cents * CENT_NANO),
        (tax_due(owner, now_ms).id, part.tax_cents * CENT_NANO),
    )
    entries = tuple((name, nano) for name, nano in parts if nano)
    posting = Posting(f"invoice_payment:{reference}", "invoice_payment", owner, reference, entries)
    ledger.post(transaction, [posting], now_ms)
