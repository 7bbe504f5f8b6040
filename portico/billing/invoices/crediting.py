"""What a credit note takes back, and where it goes.  Pure.

A line is credited up to what it says and no further.  What was owed goes back first, then what
prepaid credit had paid, then what gifts had.  Of what was owed, the part that was paid already
becomes prepaid credit; the rest is no longer to be paid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from portico.admission.rules import dollars
from portico.billing.invoices.model import (
    CENT_NANO,
    CreditedLine,
    CreditedTax,
    CreditNote,
    Invoice,
    Line,
    NotInvoiced,
    Outstanding,
    Tax,
)
from portico.billing.invoices.rules import due_cents, tax_cents


@dataclass(frozen=True, slots=True)
class Taken:
    """See `CreditNote`, whose fields these are."""

    lines: tuple[CreditedLine, ...]
    net_nano: int
    taxes: tuple[CreditedTax, ...]
    owed_share_nano: int
    prepaid_share_nano: int
    promo_share_nano: int
    to_receivable_nano: int
    to_prepaid_nano: int
    due_cents: int
    unpaid_tax_cents: int

    @property
    def tax_cents(self) -> int:
        return sum(tax.tax_cents for tax in self.taxes)


def take_back(
    invoice: Invoice,
    earlier: Sequence[CreditNote],
    outstanding: Outstanding,
    wanted: Mapping[int, int | None],
) -> Taken:
    """wanted: nano-USD by line of the invoice, None for all that is left of it.

    Raises: NotInvoiced.
    """
    lines = _lines(invoice, earlier, wanted)
    net_nano = sum(line.credited_nano for line in lines)
    owed_before_nano = invoice.owed_nano - sum(note.owed_share_nano for note in earlier)
    prepaid_before_nano = _prepaid(invoice) - sum(note.prepaid_share_nano for note in earlier)
    owed_nano = min(net_nano, owed_before_nano)
    prepaid_nano = min(net_nano - owed_nano, prepaid_before_nano)
    # What the invoice asked for, less what it would have asked for had the use been less.
    cut_cents = due_cents(owed_before_nano, invoice.carried_in_nano) - due_cents(
        owed_before_nano - owed_nano, invoice.carried_in_nano
    )
    unpaid_cents = min(cut_cents, outstanding.due_cents)
    repaid_nano = min(owed_nano, (cut_cents - unpaid_cents) * CENT_NANO)
    taxes = _taxes(invoice, earlier, lines)
    all_tax_cents = sum(tax.tax_cents for tax in taxes)
    unpaid_tax_cents = min(all_tax_cents, outstanding.tax_cents)
    return Taken(
        lines=lines,
        net_nano=net_nano,
        taxes=taxes,
        owed_share_nano=owed_nano,
        prepaid_share_nano=prepaid_nano,
        promo_share_nano=net_nano - owed_nano - prepaid_nano,
        to_receivable_nano=owed_nano - repaid_nano,
        to_prepaid_nano=prepaid_nano + repaid_nano + (all_tax_cents - unpaid_tax_cents) * CENT_NANO,
        due_cents=unpaid_cents,
        unpaid_tax_cents=unpaid_tax_cents,
    )


def _lines(
    invoice: Invoice, earlier: Sequence[CreditNote], wanted: Mapping[int, int | None]
) -> tuple[CreditedLine, ...]:
    """Raises: NotInvoiced."""
    known = {line.line: line for line in invoice.lines}
    credited = _credited(earlier)
    found = []
    for place, nano in sorted(wanted.items()):
        if place not in known:
            raise NotInvoiced(f"{invoice.number} has no line {place}; it has {len(known)}.")
        line = known[place]
        left_nano = line.net_nano - credited.get(place, 0)
        amount_nano = left_nano if nano is None else nano
        if not 0 < amount_nano <= left_nano:
            raise NotInvoiced(
                f"Line {place} of {invoice.number} has {dollars(left_nano)} left to credit, "
                f"not {dollars(amount_nano)}."
            )
        found.append(_credited_line(line, amount_nano))
    if not found:
        raise NotInvoiced("A credit note needs a line.")
    return tuple(found)


def _credited(notes: Sequence[CreditNote]) -> dict[int, int]:
    """By line, what these notes take back."""
    sums: dict[int, int] = {}
    for note in notes:
        for line in note.lines:
            sums[line.line] = sums.get(line.line, 0) + line.credited_nano
    return sums


def _credited_line(line: Line, amount_nano: int) -> CreditedLine:
    return CreditedLine(
        line=line.line,
        model=line.model,
        tier=line.tier,
        meter=line.meter,
        credited_nano=amount_nano,
    )


def _prepaid(invoice: Invoice) -> int:
    return sum(paid.amount_nano for paid in invoice.paid_by if paid.source == "prepaid")


def _taxes(
    invoice: Invoice, earlier: Sequence[CreditNote], lines: Sequence[CreditedLine]
) -> tuple[CreditedTax, ...]:
    """Of each rate, as much as the invoice would have asked less: notes that together credit
    everything take back the whole tax, to the cent."""
    rates = {line.line: line.tax_basis_points for line in invoice.lines}
    before, now = _credited(earlier), {line.line: line.credited_nano for line in lines}
    found = []
    for tax in invoice.taxes:
        under = [place for place, points in rates.items() if points == tax.basis_points]
        before_nano = sum(before.get(place, 0) for place in under)
        after_nano = before_nano + sum(now.get(place, 0) for place in under)
        cents = _left(tax, before_nano) - _left(tax, after_nano)
        if cents:
            found.append(
                CreditedTax(
                    country=tax.country,
                    kind=tax.kind,
                    basis_points=tax.basis_points,
                    tax_cents=cents,
                )
            )
    return tuple(found)


def _left(tax: Tax, credited_nano: int) -> int:
    """The tax once so much of the lines under it is taken back."""
    return tax_cents(tax.base_nano, (tax.net_nano - credited_nano, tax.net_nano), tax.basis_points)
