"""Receipts: one per charged request, each with the hash of the one before it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import msgspec

from portico.db.transaction import Row, Transaction
from portico.ledger import store
from portico.ledger.model import Settled, Settlement
from portico.ledger.rules import link

PAGE = 500
FOREVER_MS = 2**62


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What is hashed, in this order of fields.  Amounts are strings: JSON readers round integers
    above 2**53."""

    request_id: str
    organisation_id: str
    sequence: int
    project_id: str
    key_id: str
    model: str
    tier: str
    outcome: str
    lines: msgspec.Raw
    terms_id: str
    list_nano: str
    net_nano: str
    absorbed_nano: str
    charged_at_ms: int


def body(receipt: Receipt) -> bytes:
    """The bytes behind the hash: compact JSON, fields in the order above."""
    return msgspec.json.encode(receipt)


def add(
    transaction: Transaction,
    settlements: Sequence[Settlement],
    organisations: Mapping[str, str],
    outcomes: Mapping[str, Settled],
    now_ms: int,
) -> None:
    """Write the receipts of those with a bill, in order, at the end of their chains."""
    billed = [each for each in settlements if each.bill is not None]
    if not billed:
        return
    ends = store.lock_chains(transaction, {organisations[each.request_id] for each in billed})
    rows: list[Row] = []
    for each in billed:
        owner = organisations[each.request_id]
        sequence, previous = ends[owner]
        receipt = _receipt(each, owner, sequence + 1, outcomes[each.request_id], now_ms)
        hashed = link(previous, body(receipt))
        rows.append(_row(receipt, each, outcomes[each.request_id], previous, hashed))
        ends[owner] = (sequence + 1, hashed)
    store.add_charges(transaction, rows)
    store.move_chains(transaction, ends)


def _receipt(
    settlement: Settlement, owner: str, sequence: int, settled: Settled, now_ms: int
) -> Receipt:
    bill = settlement.bill
    assert bill is not None
    return Receipt(
        request_id=settlement.request_id,
        organisation_id=owner,
        sequence=sequence,
        project_id=bill.project_id,
        key_id=bill.key_id,
        model=bill.model,
        tier=bill.tier,
        outcome=bill.outcome,
        lines=msgspec.Raw(bill.lines.encode()),
        terms_id=bill.terms_id,
        list_nano=str(bill.list_nano),
        net_nano=str(settled.charged_nano),
        absorbed_nano=str(settled.absorbed_nano),
        charged_at_ms=now_ms,
    )


def _row(
    receipt: Receipt, settlement: Settlement, settled: Settled, previous: bytes, hashed: bytes
) -> Row:
    bill = settlement.bill
    assert bill is not None
    return (
        receipt.request_id,
        receipt.organisation_id,
        receipt.project_id,
        receipt.key_id,
        receipt.sequence,
        receipt.model,
        receipt.tier,
        receipt.outcome,
        bill.lines,
        receipt.terms_id,
        bill.list_nano,
        settled.charged_nano,
        settled.absorbed_nano,
        receipt.charged_at_ms,
        previous,
        hashed,
    )


Stored = tuple[Receipt, bytes, bytes]
"""(receipt, hash of the one before it, its own hash)."""


@dataclass(frozen=True, slots=True)
class Span:
    """Which receipts: one organisation's or (None) everybody's, charged from `since_ms` on and
    before `until_ms`, behind `after` (organisation, sequence) of the order they come in."""

    organisation_id: str | None = None
    since_ms: int = -FOREVER_MS
    until_ms: int = FOREVER_MS
    after: tuple[str, int] = ("", 0)


EVERYTHING = Span()


def pages(transaction: Transaction, span: Span = EVERYTHING) -> Iterator[list[Stored]]:
    """Chain by chain, oldest first, `PAGE` at a time: never more than that in memory."""
    after = span.after
    while True:
        rows = store.charges(
            transaction, after, span.organisation_id, span.since_ms, span.until_ms, PAGE
        )
        if rows:
            yield [_stored(row) for row in rows]
        if len(rows) < PAGE:
            return
        after = (rows[-1][1], rows[-1][2])


def stored(transaction: Transaction, span: Span = EVERYTHING) -> Iterator[Stored]:
    """As `pages`, one by one."""
    return chain.from_iterable(pages(transaction, span))


def of_request(transaction: Transaction, request_id: str) -> Stored | None:
    row = store.charge_of(transaction, request_id)
    return None if row is None else _stored(row)


def _stored(row: Row) -> Stored:
    request_id, owner, sequence, project, key, model, tier, outcome, lines, terms = row[:10]
    listed, net, absorbed, charged_at_ms, previous, hashed = row[10:]
    receipt = Receipt(
        request_id=request_id,
        organisation_id=owner,
        sequence=sequence,
        project_id=project,
        key_id=key,
        model=model,
        tier=tier,
        outcome=outcome,
        lines=msgspec.Raw(lines.encode()),
        terms_id=terms,
        list_nano=str(listed),
        net_nano=str(net),
        absorbed_nano=str(absorbed),
        charged_at_ms=charged_at_ms,
    )
    return receipt, bytes(previous), bytes(hashed)
