"""Whether the books are right.  Every invariant is one row: what it says, what was looked at, what
breaks it.  Reads only; exact on integers; tolerance 0.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from portico.billing.invoices.check import invoice_differences
from portico.billing.payments.differences import clearing, psp_differences
from portico.billing.payments.model import BalanceLine
from portico.db.transaction import Row, Transaction, places
from portico.ledger import receipts
from portico.ledger.model import Part
from portico.ledger.rules import GENESIS, is_limit, link
from portico.pricing.model import Line
from portico.pricing.rules import rerate

_EXAMPLES = 5
_BILLION = 1_000_000_000
_ON_ITS_WAY_MS = 3_600_000
_parts = msgspec.json.Decoder(tuple[Part, ...])
_lines = msgspec.json.Decoder(tuple[Line, ...])


@dataclass(frozen=True, slots=True)
class Verdict:
    """checked: rows looked at.  examples: ids of the first that break it.
    open: what was not compared, and why; "" where everything was.
    """

    id: str
    says: str
    checked: int
    violations: int
    examples: tuple[str, ...]
    open: str = ""


def audit(
    transaction: Transaction, now_ms: int, provider: Sequence[BalanceLine] | None = None
) -> list[Verdict]:
    """Every invariant, in order.  One consistent view where the transaction gives one.

    provider: every movement of the payment provider's balance (`Stripe.balance_lines(0)`), read
    before this transaction began; None where nobody is asked.
    """
    found = [_verdict(name, says, check(transaction, now_ms)) for name, says, check in INVARIANTS]
    if provider is None:
        found.append(Verdict("R7", _CLEARED, 0, 0, (), "no payment provider was asked"))
    else:
        found.append(_verdict("R7", _CLEARED, _cleared(transaction, now_ms, provider)))
    supply = _verdict("R8", _SUPPLIED, _supplied(transaction))
    found.append(replace(supply, open="upstreams' bills are not read: no cost of supply is known"))
    return sorted(found, key=lambda verdict: int(verdict.id[1:]))


Finding = tuple[str, bool]
"""(id of what was looked at, is it right?)"""
Check = Callable[[Transaction, int], Iterator[Finding]]


def _verdict(name: str, says: str, findings: Iterator[Finding]) -> Verdict:
    checked, wrong = 0, 0
    examples: list[str] = []
    for found, right in findings:
        checked += 1
        if not right:
            wrong += 1
            if len(examples) < _EXAMPLES:
                examples.append(found)
    return Verdict(name, says, checked, wrong, tuple(examples))


def _sum(column: str) -> str:
    """Two sums whose recombination is exact: SQLite gives up on one beyond 64 bits."""
    return f"coalesce(sum({column} / {_BILLION}), 0), coalesce(sum({column} % {_BILLION}), 0)"


def _whole(billions: int, rest: int) -> int:
    return int(billions) * _BILLION + int(rest)


def _paged(transaction: Transaction, sql: str) -> Iterator[Row]:
    """A page at a time: the ledger is larger than memory one day.  sql: its first column is the
    text key that it is ordered by; it has two parameters, the key to go on behind and the limit."""
    after = ""
    while rows := transaction.rows(sql, (after, receipts.PAGE)):
        yield from rows
        after = rows[-1][0]


def balanced(transaction: Transaction, _: int = 0) -> Iterator[Finding]:
    for txn_id, billions, rest in _paged(
        transaction,
        f"SELECT txn.id, {_sum('amount_nano')} FROM txn LEFT JOIN entry ON entry.txn_id = txn.id "
        "WHERE txn.id > ? GROUP BY txn.id ORDER BY txn.id LIMIT ?",
    ):
        yield txn_id, _whole(billions, rest) == 0


def projected(transaction: Transaction, _: int = 0) -> Iterator[Finding]:
    entries = {
        row[0]: _whole(row[1], row[2])
        for row in transaction.rows(
            f"SELECT account_id, {_sum('amount_nano')} FROM entry GROUP BY account_id"
        )
    }
    spent = _spent_in_windows(transaction)
    for account_id, posted in transaction.rows("SELECT id, posted_nano FROM account ORDER BY id"):
        wanted = -spent[account_id] if is_limit(account_id) else entries.get(account_id, 0)
        yield account_id, posted == wanted


def _spent_in_windows(transaction: Transaction) -> defaultdict[str, int]:
    """By window: what was charged, of each request at most what it had set aside there."""
    spent: defaultdict[str, int] = defaultdict(int)
    for _, parts, net in _paged(
        transaction,
        "SELECT charge.id, hold.parts, charge.net_nano FROM charge JOIN hold ON hold.id = charge.id "
        "WHERE charge.id > ? AND hold.parts LIKE '%limit:%' ORDER BY charge.id LIMIT ?",
    ):
        for account_id, held in _parts.decode(parts):
            if is_limit(account_id):
                spent[account_id] += min(held, net)
    return spent


def _held(transaction: Transaction, _: int) -> Iterator[Finding]:
    held: defaultdict[str, int] = defaultdict(int)
    for (parts,) in transaction.rows("SELECT parts FROM hold WHERE state = 'open'"):
        for account_id, nano in _parts.decode(parts):
            held[account_id] += nano
    for account_id, nano in transaction.rows("SELECT id, held_nano FROM account ORDER BY id"):
        yield account_id, nano == held[account_id]


def _timely(transaction: Transaction, now_ms: int) -> Iterator[Finding]:
    for hold_id, until_ms in transaction.rows(
        "SELECT id, opened_at_ms + ttl_ms FROM hold WHERE state = 'open' ORDER BY id"
    ):
        yield hold_id, until_ms > now_ms


def _debited(transaction: Transaction, _: int) -> Iterator[Finding]:
    for page in receipts.pages(transaction):
        ids = [receipt.request_id for receipt, _, _ in page]
        debits = {
            row[0]: _whole(row[1], row[2])
            for row in transaction.rows(
                f"SELECT entry.txn_id, {_sum('amount_nano')} FROM entry "
                "JOIN account ON account.id = entry.account_id WHERE account.organisation_id <> '' "
                f"AND entry.txn_id IN {places(len(ids))} GROUP BY entry.txn_id",
                [f"settle:{each}" for each in ids],
            )
        }
        states = {
            row[0]: row[1]
            for row in transaction.rows(
                f"SELECT id, state FROM hold WHERE id IN {places(len(ids))}", ids
            )
        }
        for receipt, *_hashes in page:
            name = receipt.request_id
            right = debits.get(f"settle:{name}", 0) == -int(receipt.net_nano)
            yield name, right and states.get(name) == "settled"
    for (hold_id,) in transaction.rows(
        "SELECT id FROM hold WHERE state = 'settled' AND id NOT IN (SELECT id FROM charge)"
    ):
        yield hold_id, False


def _floored(transaction: Transaction, _: int) -> Iterator[Finding]:
    for account_id, posted, held, floor in transaction.rows(
        "SELECT id, posted_nano, held_nano, floor_nano FROM account ORDER BY id"
    ):
        yield account_id, held >= 0 and (floor is None or posted - held >= floor)


def _chained(transaction: Transaction, _: int) -> Iterator[Finding]:
    ends: dict[str, tuple[int, bytes]] = {}
    for receipt, previous, hashed in receipts.stored(transaction):
        owner = receipt.organisation_id
        sequence, last = ends.get(owner, (0, GENESIS))
        ends[owner] = (receipt.sequence, hashed)
        yield (
            receipt.request_id,
            receipt.sequence == sequence + 1
            and previous == last
            and hashed == link(previous, receipts.body(receipt)),
        )
    for owner, sequence, hashed in transaction.rows(
        "SELECT organisation_id, sequence, hash FROM chain ORDER BY organisation_id"
    ):
        yield owner, ends.get(owner, (0, GENESIS)) == (sequence, bytes(hashed))


def _rerated(transaction: Transaction, _: int) -> Iterator[Finding]:
    shares = {
        row[0]: (row[1], row[2])
        for row in transaction.rows("SELECT id, share_numerator, share_denominator FROM terms")
    }
    for receipt, *_hashes in receipts.stored(transaction):
        # An organisation that was never given terms pays the list price.
        share = shares.get(receipt.terms_id, (1, 1))
        rated_nano = int(receipt.net_nano) + int(receipt.absorbed_nano)
        right = rerate(_lines.decode(receipt.lines), *share) == (int(receipt.list_nano), rated_nano)
        yield receipt.request_id, right


def _invoiced(transaction: Transaction, _: int) -> Iterator[Finding]:
    return invoice_differences(transaction)


def _cleared(
    transaction: Transaction, now_ms: int, provider: Sequence[BalanceLine]
) -> Iterator[Finding]:
    """What one side has and the other not yet may be on its way, for an hour."""
    wrong = {
        each.txn_id for each in psp_differences(transaction, provider, now_ms - _ON_ITS_WAY_MS)
    }
    for txn_id in sorted(clearing(transaction).keys() | {line.txn_id for line in provider}):
        yield txn_id, txn_id not in wrong


def _supplied(transaction: Transaction) -> Iterator[Finding]:
    """While no upstream's bill is read, nothing can say what supply has cost; so nothing may be
    booked as if it did."""
    for account_id, kind, entries in transaction.rows(
        "SELECT account.id, account.kind, count(entry.txn_id) FROM account "
        "LEFT JOIN entry ON entry.account_id = account.id AND "
        "account.kind IN ('cogs', 'provider_payable') "
        "GROUP BY account.id, account.kind ORDER BY account.id"
    ):
        yield account_id, kind not in ("cogs", "provider_payable") or not entries


_CLEARED = "what came in is what the payment provider says"
_SUPPLIED = "no cost of supply is booked that no upstream's bill shows"
INVARIANTS: tuple[tuple[str, str, Check], ...] = (
    ("R1", "every transaction sums to zero", balanced),
    ("R2", "every balance is the sum of its entries", projected),
    ("R3", "what is set aside is what open holds hold", _held),
    ("R4", "no open hold has outlived its time", _timely),
    ("R5", "every charge is what its organisation was debited, once", _debited),
    ("R6", "every invoice is what its receipts say", _invoiced),
    ("R9", "no account is below its floor", _floored),
    ("R10", "every receipt continues its chain", _chained),
    ("R11", "every charge follows from its own lines", _rerated),
)
"""Those that need nothing but the rows.  R7 and R8 compare with what others say."""
