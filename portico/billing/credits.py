"""Credit: granted, limited, expired.  Every change is a transaction in the ledger.

The functions work inside a transaction of the caller's, beside a running server.
"""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select

from portico.db.tables import organisation
from portico.db.tables.ledger import BESIDE_CHARGES
from portico.db.transaction import Transaction
from portico.ledger import service as ledger
from portico.ledger.model import Account, Posting

CreditKind = Literal["paid", "promo", "commit"]
"""commit: paid for ahead, and used or lost by the day it expires."""

CLEARING = "cash_clearing:manual"
PROMOTIONS = "discount:promotions"
BREAKAGE = "breakage"
_PROMO_PRIORITY, _COMMIT_PRIORITY = 10, 20


class NotGranted(Exception):
    """What was asked for is not possible, and why."""


@dataclass(frozen=True, slots=True)
class Credit:
    """expires_at_ms: None for ever.  id: granting it again does nothing."""

    id: str
    organisation_id: str
    nano: int
    kind: CreditKind
    expires_at_ms: int | None
    reason: str


def grant(transaction: Transaction, credit: Credit, now_ms: int) -> bool:
    """False where that id was granted before.  Raises: NotGranted."""
    if credit.nano <= 0:
        raise NotGranted("A grant must be above 0.")
    if credit.expires_at_ms is not None and credit.expires_at_ms <= now_ms:
        raise NotGranted("The day it expires lies in the past.")
    if credit.kind == "paid" and credit.expires_at_ms is not None:
        raise NotGranted("Paid credit does not expire, unless it is a commitment.")
    if credit.kind == "commit" and credit.expires_at_ms is None:
        raise NotGranted("A commitment needs the day by which it is used.")
    check_organisation(transaction, credit.organisation_id)
    if credit.kind == "paid":
        source, target = CLEARING, ledger.prepaid(credit.organisation_id, now_ms)
        _open_own(transaction, source, "cash_clearing", now_ms)
    elif credit.kind == "commit":
        source, target = CLEARING, _expiring(credit, "prepaid", _COMMIT_PRIORITY, now_ms)
        _open_own(transaction, source, "cash_clearing", now_ms)
    else:
        source, target = PROMOTIONS, _expiring(credit, "promo", _PROMO_PRIORITY, now_ms)
        _open_own(transaction, source, "discount", now_ms)
    ledger.open_account(transaction, target)
    entries = ((source, -credit.nano), (target.id, credit.nano))
    posting = Posting(
        f"credit:{credit.id}",
        f"credit_{credit.kind}",
        credit.organisation_id,
        credit.reason,
        entries,
    )
    return ledger.post(transaction, [posting], now_ms)[0]


def set_credit_limit(
    transaction: Transaction, organisation_id: str, limit_nano: int, now_ms: int
) -> int:
    """How much the organisation may owe.  Gives the limit it has now: what is owed or set aside
    already cannot be taken back, so a lower one goes as far as that."""
    if limit_nano < 0:
        raise NotGranted("A credit limit must not be negative.")
    check_organisation(transaction, organisation_id)
    account = ledger.receivable(organisation_id, limit_nano, now_ms)
    ledger.open_account(transaction, account)
    floor_nano = ledger.set_floor(transaction, account.id, -limit_nano)
    return limit_nano if floor_nano is None else -floor_nano


def expire(transaction: Transaction, now_ms: int) -> list[tuple[str, int]]:
    """Turn what is left of expired credit into breakage: (account, nano) of each.  What is still
    set aside, or frozen below a floor, stays; a later run takes it once it is free."""
    found = transaction.rows(
        "SELECT id, organisation_id, posted_nano - held_nano - coalesce(floor_nano, 0) FROM account "
        "WHERE kind IN ('promo', 'prepaid') AND expires_at_ms <= ? "
        "AND posted_nano - held_nano > coalesce(floor_nano, 0) "
        f"ORDER BY id{transaction.for_update}",
        (now_ms,),
    )
    if found:
        _open_own(transaction, BREAKAGE, "breakage", now_ms)
    expired = []
    for account_id, organisation_id, rest_nano in found:
        times = transaction.rows(
            "SELECT count(*) FROM entry JOIN txn ON txn.id = entry.txn_id "
            f"WHERE account_id = ? AND {BESIDE_CHARGES} AND txn.kind = 'breakage'",
            (account_id,),
        )[0][0]
        entries = ((account_id, -rest_nano), (BREAKAGE, rest_nano))
        posting = Posting(
            f"breakage:{account_id}:{times + 1}", "breakage", organisation_id, "expired", entries
        )
        ledger.post(transaction, [posting], now_ms)
        expired.append((account_id, rest_nano))
    return expired


def check_organisation(transaction: Transaction, organisation_id: str) -> None:
    """Raises: NotGranted."""
    query = select(organisation.c.id).where(organisation.c.id == organisation_id)
    if transaction.connection.execute(query).first() is None:
        raise NotGranted(f"There is no organisation {organisation_id!r}.")


def _expiring(
    credit: Credit, kind: Literal["promo", "prepaid"], priority: int, now_ms: int
) -> Account:
    """An account of its own for what may expire by itself."""
    return Account(
        f"{credit.kind}:{credit.id}",
        kind,
        credit.organisation_id,
        0,
        0,
        0,
        priority,
        credit.expires_at_ms,
        now_ms,
    )


def _open_own(
    transaction: Transaction,
    account_id: str,
    kind: Literal["cash_clearing", "discount", "breakage"],
    now_ms: int,
) -> None:
    """An account of the operator's own: it may go anywhere."""
    ledger.open_account(transaction, Account(account_id, kind, "", 0, 0, None, 0, None, now_ms))
