"""Stripe's balance against `cash_clearing:stripe`, line by line (R7).  Fees and payouts are left
out: those are between the operator and Stripe."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from portico.billing.payments.model import BalanceLine
from portico.billing.payments.postings import CLEARING
from portico.db.tables.ledger import BESIDE_CHARGES
from portico.db.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Difference:
    """None: there is no such line on that side."""

    txn_id: str
    provider_nano: int | None
    ledger_nano: int | None


def differences(
    provider: Iterable[BalanceLine], ledger: Mapping[str, tuple[int, int]], before_ms: int
) -> list[Difference]:
    """Pure.  ledger: (nano, created at ms) by id of transaction, as money that came in.
    before_ms: what only one side has, and has since then, may be on its way to the other."""
    seen: dict[str, tuple[int, int]] = {}
    for line in provider:
        nano, at_ms = seen.get(line.txn_id, (0, line.created_at_ms))
        seen[line.txn_id] = (nano + line.amount_nano, max(at_ms, line.created_at_ms))
    found = []
    for txn_id in sorted(seen.keys() | ledger.keys()):
        there, here = seen.get(txn_id), ledger.get(txn_id)
        alone = there or here if there is None or here is None else None
        if alone is not None and alone[1] >= before_ms:
            continue
        if there is None or here is None or there[0] != here[0]:
            found.append(Difference(txn_id, there and there[0], here and here[0]))
    return found


def clearing(transaction: Transaction) -> dict[str, tuple[int, int]]:
    """What moved our account: (nano, created at ms) by id of transaction."""
    found = transaction.rows(
        "SELECT txn.id, entry.amount_nano, txn.created_at_ms FROM entry "
        f"JOIN txn ON txn.id = entry.txn_id WHERE entry.account_id = ? AND {BESIDE_CHARGES}",
        (CLEARING,),
    )
    return {row[0]: (-int(row[1]), int(row[2])) for row in found}


def psp_differences(
    transaction: Transaction, provider: Iterable[BalanceLine], before_ms: int
) -> list[Difference]:
    """provider: every line there ever was (`Stripe.balance_lines(0)`).  [] where all is well."""
    return differences(provider, clearing(transaction), before_ms)
