"""Each movement of money as one ledger transaction, under an id made of the provider's own.

`cash_clearing:stripe` is what Stripe holds for us before its fees (as a debit, below zero); the
credit a top-up bought has an account of its own, so that it can expire, be frozen or be paid back
alone.
"""

from portico.billing.payments import store
from portico.billing.payments.model import Dispute, Order, PaymentRefused, Refund
from portico.db.transaction import Transaction
from portico.ledger import service as ledger
from portico.ledger.model import Account, Kind, Part, Posting, WouldOverdraw

CLEARING = "cash_clearing:stripe"
DISPUTED = "cash_clearing:stripe_disputes"
"""What payers' banks took back and may have to return."""
PAYING_OUT = "refunds:stripe"
"""Taken from the credit, not yet paid out."""
LOST = "refunds:disputes"
"""What a lost dispute cost above the credit that was left."""
_OWN: dict[str, Kind] = {
    CLEARING: "cash_clearing",
    DISPUTED: "cash_clearing",
    PAYING_OUT: "refunds",
    LOST: "refunds",
}


def grant_of(order: Order) -> str:
    """The account of the credit that a top-up bought."""
    return f"prepaid:{order.organisation_id}:{order.id}"


def credit(
    transaction: Transaction, order: Order, intent_id: str, expires_at_ms: int, now_ms: int
) -> bool:
    """What was paid becomes credit, once.  False where it was before."""
    if not store.pay_order(transaction, order.id, intent_id, now_ms):
        return False
    account = grant_of(order)
    ledger.open_account(
        transaction,
        Account(
            account,
            "prepaid",
            order.organisation_id,
            0,
            0,
            0,
            ledger.PREPAID_PRIORITY,
            expires_at_ms,
            now_ms,
        ),
    )
    entries = ((CLEARING, -order.amount_nano), (account, order.amount_nano))
    if not _post(transaction, f"topup:{intent_id}", "top_up", order, entries, now_ms):
        raise RuntimeError(f"{intent_id} was credited, but not to {order.id}.")
    return True


def take_back(transaction: Transaction, order: Order, refund: Refund, now_ms: int) -> None:
    """Out of the credit, before the provider is asked.  Raises: PaymentRefused, for more than is
    left and not set aside."""
    entries = ((grant_of(order), -refund.amount_nano), (PAYING_OUT, refund.amount_nano))
    try:
        _post(transaction, f"refund:{refund.id}", "refund", order, entries, now_ms)
    except WouldOverdraw:
        raise PaymentRefused(
            f"{order.id} has less than ${refund.amount_minor / 100:,.2f} left that is neither "
            "spent nor set aside."
        ) from None


def paid_out(
    transaction: Transaction, order: Order, refund: Refund, provider_id: str, now_ms: int
) -> None:
    entries = ((PAYING_OUT, -refund.amount_nano), (CLEARING, refund.amount_nano))
    _post(transaction, f"refund_paid:{provider_id}", "refund_paid", order, entries, now_ms)


def not_paid_out(transaction: Transaction, order: Order, refund: Refund, now_ms: int) -> None:
    """The provider never paid it: back to the credit."""
    entries = ((PAYING_OUT, -refund.amount_nano), (grant_of(order), refund.amount_nano))
    _post(transaction, f"refund_undone:{refund.id}", "refund_undone", order, entries, now_ms)


def came_back(
    transaction: Transaction, order: Order, refund: Refund, provider_id: str, now_ms: int
) -> None:
    """It was paid, and the payer's bank sent it back."""
    entries = ((CLEARING, -refund.amount_nano), (grant_of(order), refund.amount_nano))
    _post(transaction, f"refund_failed:{provider_id}", "refund_failed", order, entries, now_ms)


def disputed(transaction: Transaction, order: Order, dispute: Dispute, now_ms: int) -> None:
    entries = ((CLEARING, dispute.amount_nano), (DISPUTED, -dispute.amount_nano))
    _post(transaction, f"dispute:{dispute.id}", "dispute", order, entries, now_ms)


def dispute_won(transaction: Transaction, order: Order, dispute: Dispute, now_ms: int) -> None:
    entries = ((DISPUTED, dispute.amount_nano), (CLEARING, -dispute.amount_nano))
    _post(transaction, f"dispute_won:{dispute.id}", "dispute_won", order, entries, now_ms)


def dispute_lost(
    transaction: Transaction, order: Order, dispute: Dispute, left_nano: int, now_ms: int
) -> None:
    """The credit that is left pays, the operator the rest.  left_nano: of the grant."""
    from_credit = min(left_nano, dispute.amount_nano)
    lost = dispute.amount_nano - from_credit
    parts = ((grant_of(order), -from_credit), (LOST, -lost), (DISPUTED, dispute.amount_nano))
    entries = tuple(part for part in parts if part[1])
    _post(transaction, f"dispute_lost:{dispute.id}", "dispute_lost", order, entries, now_ms)


def grant(transaction: Transaction, order: Order) -> Account | None:
    """The account as it is now, None before it was credited."""
    accounts = ledger.accounts_of(transaction, order.organisation_id)
    return next((each for each in accounts if each.id == grant_of(order)), None)


def _post(
    transaction: Transaction,
    id: str,
    kind: str,
    order: Order,
    entries: tuple[Part, ...],
    now_ms: int,
) -> bool:
    for account_id in (name for name, _ in entries if name in _OWN):
        own = Account(account_id, _OWN[account_id], "", 0, 0, None, 0, None, now_ms)
        ledger.open_account(transaction, own)
    posting = Posting(id, kind, order.organisation_id, order.id, entries)
    return ledger.post(transaction, [posting], now_ms)[0]
