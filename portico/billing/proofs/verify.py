"""The whole bill, computed again from its rows: every link, every rating, every posting, every
balance, every signature.

Reads only, a page at a time.  What the ledger says is never taken from a total.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from portico.billing import audit
from portico.billing.proofs.heads import Head, head_statement, stored_heads, vouches
from portico.billing.proofs.keys import SigningKey
from portico.billing.proofs.model import Signed, Statement
from portico.db.transaction import Transaction, places
from portico.ledger import receipts
from portico.ledger import service as ledger
from portico.ledger.model import Part
from portico.ledger.receipts import Receipt, Stored
from portico.ledger.rules import GENESIS, link, paid_from
from portico.pricing.model import Line
from portico.pricing.rules import line, rerate

_SHOWN = 20
_parts = msgspec.json.Decoder(tuple[Part, ...])
_lines = msgspec.json.Decoder(tuple[Line, ...])
Share = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Problem:
    """sequence, request_id: of the receipt; None and "" where it is no receipt that is wrong."""

    organisation_id: str
    sequence: int | None
    request_id: str
    says: str


@dataclass(frozen=True, slots=True)
class Proof:
    """problems: the first 20 of `wrong`, in the order of the chains.

    signed: heads that were checked.  unsigned: receipts behind the last signed head of their chain.
    """

    organisations: int
    receipts: int
    accounts: int
    signed: int
    unsigned: int
    wrong: int
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        return not self.wrong


def verify(
    transaction: Transaction,
    keys: Sequence[SigningKey],
    kept: Sequence[Signed] = (),
    on_progress: Callable[[int], None] = lambda receipts: None,
) -> Proof:
    """kept: heads that were signed earlier and kept elsewhere; the chains must still lead there.

    on_progress: told how many receipts were looked at, page by page.
    """
    found = _Findings()
    heads = _checked_heads(transaction, {key.id: key for key in keys}, kept, found)
    walk = _Walk(transaction, heads, found)
    for page in receipts.pages(transaction):
        walk.page(page)
        on_progress(walk.receipts)
    walk.finish()
    _check_orphans(transaction, found)
    accounts = _check_balances(transaction, found)
    return Proof(
        organisations=walk.organisations,
        receipts=walk.receipts,
        accounts=accounts,
        signed=sum(len(each) for each in heads.values()),
        unsigned=walk.unsigned,
        wrong=found.wrong,
        problems=tuple(found.problems),
    )


@dataclass(slots=True)
class _Findings:
    problems: list[Problem] = field(default_factory=list)
    wrong: int = 0

    def add(self, organisation_id: str, sequence: int | None, request_id: str, says: str) -> None:
        self.wrong += 1
        if len(self.problems) < _SHOWN:
            self.problems.append(Problem(organisation_id, sequence, request_id, says))


Heads = defaultdict[str, dict[int, set[bytes]]]
"""By organisation and sequence: the hashes that were signed there; more than one is a lie."""


class _Walk:
    """Along the chains, in the order of `receipts.pages`."""

    def __init__(self, transaction: Transaction, heads: Heads, found: _Findings) -> None:
        self._transaction = transaction
        self._heads = heads
        self._found = found
        self._shares: dict[str, Share] = {
            row[0]: (row[1], row[2])
            for row in transaction.rows("SELECT id, share_numerator, share_denominator FROM terms")
        }
        self._ends = {
            row[0]: Head(row[0], row[1], bytes(row[2]))
            for row in transaction.rows("SELECT organisation_id, sequence, hash FROM chain")
        }
        self._at = Head("", 0, GENESIS)
        self._seen: set[str] = set()
        self.receipts = 0
        self.unsigned = 0

    @property
    def organisations(self) -> int:
        return len(self._seen)

    def page(self, page: Sequence[Stored]) -> None:
        paid = _Paid(self._transaction, [receipt.request_id for receipt, _, _ in page])
        for each in page:
            receipt = each[0]
            if receipt.organisation_id != self._at.organisation_id or not self._seen:
                self._end()
                self._at = Head(receipt.organisation_id, 0, GENESIS)
                self._seen.add(receipt.organisation_id)
            wrong = self._link(each) or self._rating(receipt) or paid.wrong(receipt)
            if wrong:
                self._found.add(
                    receipt.organisation_id, receipt.sequence, receipt.request_id, wrong
                )
            self._at = Head(receipt.organisation_id, receipt.sequence, each[2])
            self.receipts += 1

    def finish(self) -> None:
        self._end()
        for owner in sorted(self._ends.keys() | self._heads.keys()):
            if owner not in self._seen:
                self._at = Head(owner, 0, GENESIS)
                self._end()

    def _end(self) -> None:
        """Of the chain that was walked."""
        at = self._at
        owner = at.organisation_id
        if not owner and not self._seen:
            return
        end = self._ends.get(owner, Head(owner, 0, GENESIS))
        if at != end:
            self._found.add(
                owner, None, "", f"the chain ends at {at.sequence}, its end says {end.sequence}"
            )
        signed = max(self._heads[owner], default=0)
        if signed > at.sequence:
            self._found.add(
                owner, None, "", f"the chain ends at {at.sequence}; {signed} receipts were signed"
            )
        self.unsigned += max(at.sequence - signed, 0)

    def _link(self, stored: Stored) -> str:
        receipt, previous, hashed = stored
        if receipt.sequence != self._at.sequence + 1:
            return f"it is number {receipt.sequence}; number {self._at.sequence + 1} is missing"
        if previous != self._at.hash:
            return "it does not name the hash of the receipt before it"
        if hashed != link(previous, receipts.body(receipt)):
            return "its hash is not that of its bytes"
        signed = self._heads[receipt.organisation_id].get(receipt.sequence, {hashed})
        return "" if signed == {hashed} else "another receipt was signed in its place"

    def _rating(self, receipt: Receipt) -> str:
        try:
            lines = _lines.decode(receipt.lines)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return f"its lines cannot be read: {error}"
        # An organisation that was never given terms pays the list price.
        share = self._shares.get(receipt.terms_id, (1, 1))
        net_nano = int(receipt.net_nano) + int(receipt.absorbed_nano)
        for each in lines:
            exact = (line(each.units, each.nano_per_million),
                     line(each.units, each.nano_per_million, *share))  # fmt: skip
            if exact != (each.list_nano, each.net_nano):
                return f"{each.meter} comes to {exact[1]} nano-USD, it says {each.net_nano}"
        rated = rerate(lines, *share)
        if rated != (int(receipt.list_nano), net_nano):
            return f"its lines come to {rated[1]} nano-USD, it says {net_nano}"
        return ""


class _Paid:
    """What was posted for a page of receipts, and what should have been."""

    def __init__(self, transaction: Transaction, ids: Sequence[str]) -> None:
        within = places(len(ids))
        self._entries: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for txn_id, account_id, nano in transaction.rows(
            f"SELECT txn_id, account_id, amount_nano FROM entry WHERE txn_id IN {within}",
            [f"settle:{each}" for each in ids],
        ):
            self._entries[txn_id][account_id] = nano
        self._holds: Mapping[str, tuple[str, str]] = {
            row[0]: (row[1], row[2])
            for row in transaction.rows(
                f"SELECT id, state, parts FROM hold WHERE id IN {within}", ids
            )
        }

    def wrong(self, receipt: Receipt) -> str:
        state, parts = self._holds.get(receipt.request_id, ("nowhere", "[]"))
        if state != "settled":
            return f"its hold is {state}, not settled"
        rated_nano = int(receipt.net_nano) + int(receipt.absorbed_nano)
        try:
            paid, absorbed_nano = paid_from(_parts.decode(parts), rated_nano)
        except msgspec.DecodeError as error:
            return f"the parts of its hold cannot be read: {error}"
        due = {account_id: -nano for account_id, nano in paid}
        if absorbed_nano:
            due[ledger.ABSORBED] = -absorbed_nano
        if rated_nano:
            due[ledger.REVENUE] = rated_nano
        if absorbed_nano != int(receipt.absorbed_nano):
            return f"{absorbed_nano} nano-USD are above its hold, it says {receipt.absorbed_nano}"
        posted = self._entries.get(f"settle:{receipt.request_id}", {})
        return "" if posted == due else f"its entries are {posted}, not {due}"


def _checked_heads(
    transaction: Transaction,
    keys: Mapping[str, SigningKey],
    kept: Sequence[Signed],
    found: _Findings,
) -> Heads:
    heads: Heads = defaultdict(dict)
    said: list[tuple[Statement, bytes]] = [
        (head_statement(head, key_id, signed_at_ms), signature)
        for head, key_id, signed_at_ms, signature in stored_heads(transaction)
    ]
    said += [(each.statement, _bytes(each.signature)) for each in kept]
    for statement, signature in said:
        owner, sequence = statement.organisation_id, statement.sequence
        key = keys.get(statement.key_id)
        if key is None:
            found.add(owner, sequence, "", f"signed by {statement.key_id}, which we do not have")
        elif statement.kind != "head" or not vouches(key.public, statement, signature):
            found.add(owner, sequence, "", "the signature of its head is not that of its bytes")
        heads[owner].setdefault(sequence, set()).add(_bytes(statement.hash))
    return heads


def _bytes(digits: str) -> bytes:
    """b"" for what is none: it equals no hash and no signature."""
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return b""


def _check_orphans(transaction: Transaction, found: _Findings) -> None:
    """Money that moved for a request without a receipt."""
    for txn_id, owner in transaction.rows(
        "SELECT txn.id, txn.organisation_id FROM txn "
        "LEFT JOIN charge ON charge.id = substr(txn.id, 8) "
        "WHERE txn.id LIKE 'settle:%' AND charge.id IS NULL ORDER BY txn.id"
    ):
        found.add(owner, None, txn_id.removeprefix("settle:"), "it was charged without a receipt")


def _check_balances(transaction: Transaction, found: _Findings) -> int:
    """Every transaction sums to zero, every balance is the sum of its entries.  How many balances."""
    for txn_id, right in audit.balanced(transaction):
        if not right:
            request_id = txn_id.removeprefix("settle:") if txn_id.startswith("settle:") else ""
            found.add("", None, request_id, f"{txn_id} does not sum to zero")
    accounts = 0
    for account_id, right in audit.projected(transaction):
        accounts += 1
        if not right:
            found.add("", None, "", f"the balance of {account_id} is not the sum of its entries")
    return accounts
