"""Whether every invoice is what its receipts say (R6), on the rows themselves.  Reads only."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from portico.billing.invoices import store
from portico.billing.invoices.model import CENT_NANO, Invoice, Line, Stored, digest
from portico.billing.invoices.rules import BooksWrong, Tally, tally
from portico.billing.invoices.tax import NO_TAX, TaxRule
from portico.db.transaction import Transaction

Finding = tuple[str, bool]
"""(what was looked at, is it right?): as in billing.audit."""
_UNTAXED = TaxRule("none", NO_TAX)
_Amounts = tuple[int, int, int, int, int]
"""(units, requests, list, net, absorbed)."""


def invoice_differences(transaction: Transaction) -> Iterator[Finding]:
    """Every document: its hash, its lines against the receipts or the lines that it corrects, its
    place behind the one before it.  Every series: numbers without a gap.  Every organisation: what
    it owes is what is unpaid, not yet invoiced, and carried.  Lazy; one finding for each.
    """
    documents = store.documents(transaction)
    owners = dict.fromkeys(each.organisation_id for each in documents)
    notes: defaultdict[str, list[Stored]] = defaultdict(list)
    for each in documents:
        if each.kind == "credit_note":
            notes[each.corrects_id].append(each)
    for owner in owners:
        mine = [each for each in documents if each.organisation_id == owner]
        invoices = [each for each in mine if each.kind == "invoice"]
        yield from _invoices(transaction, owner, invoices, notes)
        yield owner, _owes_what_is_open(transaction, owner, invoices)
    yield from _series(transaction, documents)


def _invoices(
    transaction: Transaction,
    owner: str,
    invoices: list[Stored],
    notes: defaultdict[str, list[Stored]],
) -> Iterator[Finding]:
    behind = 0
    for stored in sorted(invoices, key=lambda each: each.invoice.receipts):
        document = stored.invoice
        first, last = document.receipts
        yield (
            stored.number,
            _whole(stored) and first == behind + 1 and _is_of(transaction, owner, stored, document),
        )
        behind = last
        credited: defaultdict[int, int] = defaultdict(int)
        for note in notes[stored.id]:
            yield note.number, _whole(note) and _within(note, document, credited)


def _whole(stored: Stored) -> bool:
    return digest(stored.document.encode()) == stored.sha256


def _is_of(transaction: Transaction, owner: str, stored: Stored, document: Invoice) -> bool:
    """The lines and sums are those of its receipts; the row says what the document says."""
    try:
        found = tally(
            store.charges(transaction, owner, *document.receipts), _UNTAXED, document.tax_point
        )
    except BooksWrong:
        return False
    return (
        (found.first, found.last) == document.receipts
        and _by_key(found.lines()) == _by_key(document.lines)
        and _sums(found) == (document.net_nano, document.owed_nano, document.requests)
        and found.paid_by() == document.paid_by
        and (stored.owed_nano, stored.due_cents) == (document.owed_nano, document.due_cents)
        and stored.tax_cents == sum(tax.tax_cents for tax in document.taxes)
    )


def _sums(found: Tally) -> tuple[int, int, int]:
    return found.net_nano, found.owed_nano, found.requests


def _by_key(lines: Iterable[Line]) -> dict[tuple[str, str, str, int], _Amounts]:
    """Lines that differ by their tax only, as one."""
    sums: dict[tuple[str, str, str, int], _Amounts] = {}
    for line in lines:
        key = (line.model, line.tier, line.meter, line.nano_per_million)
        units, requests, list_nano, net_nano, absorbed_nano = sums.get(key, (0, 0, 0, 0, 0))
        sums[key] = (
            units + line.units,
            requests + line.requests,
            list_nano + line.list_nano,
            net_nano + line.net_nano,
            absorbed_nano + line.absorbed_nano,
        )
    return sums


def _within(note: Stored, invoice: Invoice, credited: defaultdict[int, int]) -> bool:
    """No line of the invoice is taken back more than once; `credited` is added up."""
    for line in note.credit_note.lines:
        credited[line.line] += line.credited_nano
    most = {line.line: line.net_nano for line in invoice.lines}
    return all(nano <= most.get(place, 0) for place, nano in credited.items())


def _owes_what_is_open(transaction: Transaction, owner: str, invoices: list[Stored]) -> bool:
    open_nano = store.carried_nano(transaction, owner)
    unpaid = store.outstanding(transaction, [each.id for each in invoices])
    open_nano += sum(each.due_cents for each in unpaid.values()) * CENT_NANO
    last, _, _ = store.newest(transaction, owner)
    end = store.chain_end(transaction, owner)
    open_nano += sum(
        charged.receivable_nano for charged in store.charges(transaction, owner, last + 1, end)
    )
    return store.owed_nano(transaction, owner) == open_nano


def _series(transaction: Transaction, documents: list[Stored]) -> Iterator[Finding]:
    given: defaultdict[tuple[str, str, int], list[int]] = defaultdict(list)
    for each in documents:
        given[each.entity, each.kind, each.year].append(each.sequence)
    for entity, kind, year, last in store.series(transaction):
        numbers = sorted(given.pop((entity, kind, year), []))
        yield f"{entity} {kind} {year}", numbers == list(range(1, last + 1))
    for entity, kind, year in given:
        yield f"{entity} {kind} {year}", False
