"""Receipts to lines, nano-USD to cents, and what is left for the next invoice.  Pure.

Use is exact.  What is to be paid is rounded once per invoice, half to even, to whole cents; the
difference is carried to the organisation's next invoice, so that it never adds up.  Tax is rounded
once per rate and invoice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from portico.admission.rules import dollars, window_ms
from portico.billing.alerts.model import Alert
from portico.billing.invoices.model import (
    CENT_NANO,
    Charged,
    ChargeLine,
    Customer,
    Invoice,
    Line,
    NotInvoiced,
    PaidBy,
    Party,
    Period,
    Seller,
    Stored,
    Tax,
)
from portico.billing.invoices.tax import AT_TOP_UP, TaxRule, rate_at
from portico.pricing.model import Terms

_DAY_MS = 86_400_000
_BASIS = 10_000
ROUNDING = (
    "Lines are exact, in nano-USD (10^-9 dollars). What is to be paid is rounded once, half to "
    "even, to whole cents; the rest is carried to the next invoice. Tax is rounded once per rate."
)

Key = tuple[str, str, str, int, int | None]
"""(model, tier, meter, nano per million, basis points of tax)."""


class BooksWrong(NotInvoiced):
    """A receipt does not agree with its lines or with what its accounts paid."""


def half_even(numerator: int, denominator: int) -> int:
    """The nearest whole number; of two, the even one.  denominator > 0."""
    whole, rest = divmod(numerator, denominator)
    twice = 2 * rest - denominator
    return whole + 1 if twice > 0 or (twice == 0 and whole % 2) else whole


def due_cents(owed_nano: int, carried_nano: int) -> int:
    """What is to be paid for `owed_nano`; never below nothing: a rest in the customer's favour
    that is larger than the invoice waits for the next one."""
    return max(0, half_even(owed_nano + carried_nano, CENT_NANO))


def tax_cents(base_nano: int, share: tuple[int, int], basis_points: int) -> int:
    """Tax on numerator / denominator of a base.  The denominator may be 0 with the base."""
    numerator, denominator = share
    if not base_nano:
        return 0
    return half_even(base_nano * numerator * basis_points, max(1, denominator) * _BASIS * CENT_NANO)


def month(text: str) -> Period:
    """ "2026-11", in UTC: no clock is ever put forward or back in it.  Raises: ValueError."""
    start = datetime.strptime(f"{text}-01", "%Y-%m-%d").replace(tzinfo=UTC)
    return Period(*window_ms("month", round(start.timestamp()) * 1000))


def month_of(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m")


def moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def number(prefix: str, year: int, sequence: int) -> str:
    return f"{prefix}{year}-{sequence:06d}"


def open_period(
    wanted: Period, invoiced_until_ms: int, first_open_ms: int | None, now_ms: int
) -> Period:
    """The part of `wanted` that no invoice covers yet.

    invoiced_until_ms: the end of the newest invoice's period, 0 for none.  first_open_ms: when the
    oldest use that is on no invoice was charged.  What is charged late, after its own month was
    invoiced, comes with the next invoice.
    Raises: NotInvoiced.
    """
    if wanted.end_ms > now_ms:
        raise NotInvoiced(f"{month_of(wanted.start_ms)} is not over yet (UTC).")
    if invoiced_until_ms >= wanted.end_ms:
        raise NotInvoiced(
            f"{month_of(wanted.start_ms)} is closed: later use is invoiced already. What was "
            "charged late comes with the next invoice."
        )
    if first_open_ms is None:
        raise NotInvoiced("Nothing was charged that is not on an invoice already.")
    start_ms = max(wanted.start_ms, invoiced_until_ms)
    if invoiced_until_ms <= first_open_ms < start_ms:
        raise NotInvoiced(
            f"There is use in {month_of(first_open_ms)} that is on no invoice; that month comes first."
        )
    return Period(start_ms, wanted.end_ms)


def next_month(invoiced_until_ms: int, first_open_ms: int | None, now_ms: int) -> Period | None:
    """The oldest month that is over and has use on no invoice; None for none.

    Use that was charged late, into a month that is invoiced, counts in the month after it.
    """
    if first_open_ms is None:
        return None
    found = Period(*window_ms("month", max(first_open_ms, invoiced_until_ms)))
    return found if found.end_ms <= now_ms else None


def paid_later(terms: Sequence[Terms], start_ms: int, end_ms: int) -> bool:
    """Whether an organisation with these terms (all, oldest first) was postpaid at some moment
    between the two, the end not included."""
    begins = [each.effective_from_ms for each in terms]
    return any(
        each.kind == "postpaid" and begin < end_ms and ends > start_ms
        for each, begin, ends in zip(terms, begins, [*begins[1:], end_ms + 1], strict=False)
    )


@dataclass(slots=True)
class _Sum:
    units: int = 0
    requests: int = 0
    list_nano: int = 0
    net_nano: int = 0
    absorbed_nano: int = 0

    def add(self, line: ChargeLine, absorbed_nano: int) -> None:
        self.units += line.units
        self.requests += 1
        self.list_nano += line.list_nano
        self.net_nano += line.net_nano - absorbed_nano
        self.absorbed_nano += absorbed_nano


@dataclass(slots=True)
class _Base:
    net_nano: int = 0
    base_nano: int = 0


@dataclass(slots=True)
class Tally:
    """Receipts of an organisation, in the order of their chain, summed up."""

    rule: TaxRule
    tax_point: str
    first: int = 0
    last: int = 0
    requests: int = 0
    net_nano: int = 0
    promo_nano: int = 0
    prepaid_nano: int = 0
    owed_nano: int = 0
    _lines: dict[Key, _Sum] = field(default_factory=dict)
    _bases: dict[tuple[str, str, int], _Base] = field(default_factory=dict)

    def add(self, charged: Charged) -> None:
        """Raises: BooksWrong; NotInvoiced, where the table of taxes has no rate for it."""
        _check(charged, self.last)
        self.first = self.first or charged.sequence
        self.last = charged.sequence
        self.requests += 1
        self.net_nano += charged.net_nano
        self.promo_nano += charged.promo_nano
        self.prepaid_nano += charged.prepaid_nano
        self.owed_nano += charged.receivable_nano
        rate = rate_at(self.rule, charged.charged_at_ms)
        basis_points = None if rate is None else rate.basis_points
        for line, absorbed_nano in _absorbed(charged):
            key = (charged.model, charged.tier, line.meter, line.nano_per_million, basis_points)
            self._lines.setdefault(key, _Sum()).add(line, absorbed_nano)
        if rate is not None:
            name = (rate.country, rate.kind, rate.basis_points)
            base = self._bases.setdefault(name, _Base())
            base.net_nano += charged.net_nano
            base.base_nano += _taxed_nano(charged, self.tax_point)

    def lines(self) -> tuple[Line, ...]:
        found = sorted(self._lines.items(), key=lambda item: (*item[0][:4], item[0][4] or 0))
        return tuple(
            Line(
                line=place,
                model=model,
                tier=tier,
                meter=meter,
                nano_per_million=price,
                units=each.units,
                requests=each.requests,
                list_nano=each.list_nano,
                net_nano=each.net_nano,
                absorbed_nano=each.absorbed_nano,
                tax_basis_points=basis_points,
            )
            for place, ((model, tier, meter, price, basis_points), each) in enumerate(found, 1)
        )

    def taxes(self) -> tuple[Tax, ...]:
        return tuple(
            Tax(
                country=country,
                kind=kind,
                basis_points=basis_points,
                net_nano=base.net_nano,
                base_nano=base.base_nano,
                tax_cents=tax_cents(base.base_nano, (1, 1), basis_points),
            )
            for (country, kind, basis_points), base in sorted(self._bases.items())
        )

    def paid_by(self) -> tuple[PaidBy, ...]:
        paid = (
            PaidBy(source="promo", amount_nano=self.promo_nano),
            PaidBy(source="prepaid", amount_nano=self.prepaid_nano),
        )
        return tuple(each for each in paid if each.amount_nano)


@dataclass(frozen=True, slots=True)
class Draft:
    """An invoice without its number: what is on it will not change."""

    organisation_id: str
    period: Period
    customer: Customer
    tally: Tally


def tally(charges: Iterable[Charged], rule: TaxRule, tax_point: str) -> Tally:
    """Raises: BooksWrong, NotInvoiced."""
    made = Tally(rule, tax_point)
    for charged in charges:
        made.add(charged)
    return made


def compose(
    draft: Draft, seller: Seller, number: str, issued_at_ms: int, carried_nano: int
) -> Invoice:
    """carried_nano: what earlier rounding left, above 0 for the seller."""
    made = draft.tally
    cents = due_cents(made.owed_nano, carried_nano)
    taxes = made.taxes()
    return Invoice(
        number=number,
        entity=seller.entity,
        currency="USD",
        issued_at=moment(issued_at_ms),
        due_at=moment(due_at_ms(seller, issued_at_ms)),
        period_start=moment(draft.period.start_ms),
        period_end=moment(draft.period.end_ms),
        organisation_id=draft.organisation_id,
        seller=seller.party,
        customer=draft.customer.party,
        receipts=(made.first, made.last),
        requests=made.requests,
        lines=made.lines(),
        net_nano=made.net_nano,
        paid_by=made.paid_by(),
        owed_nano=made.owed_nano,
        carried_in_nano=carried_nano,
        carried_out_nano=made.owed_nano + carried_nano - cents * CENT_NANO,
        due_cents=cents,
        taxes=taxes,
        tax_note=_note(draft, seller),
        tax_point=seller.tax_point,
        total_cents=cents + sum(tax.tax_cents for tax in taxes),
        rounding=ROUNDING,
    )


def due_at_ms(seller: Seller, issued_at_ms: int) -> int:
    return issued_at_ms + seller.due_days * _DAY_MS


def check_seller(seller: Party) -> None:
    """Raises: NotInvoiced."""
    if not seller.name:
        raise NotInvoiced("invoices.seller_name is not set: nobody would be asking for the money.")


def alert(stored: Stored) -> Alert:
    """What is told of a new invoice; the operator's own, also where a copy goes to the customer."""
    invoice = stored.invoice
    asked = dollars(invoice.total_cents * CENT_NANO)
    return Alert(
        kind="invoice.made",
        subject=f"invoice:{stored.id}",
        organisation_id="",
        says=f"Invoice {invoice.number} for {invoice.customer.name}, {invoice.period_start[:10]} up to "
        f"{invoice.period_end[:10]}: {asked} to be paid by {invoice.due_at[:10]}.",
        data={
            "organisation_id": stored.organisation_id,
            "invoice_id": stored.id,
            "invoice": invoice.number,
            "period_start": invoice.period_start,
            "period_end": invoice.period_end,
            "due_at": invoice.due_at,
            "to_be_paid_cents": str(invoice.total_cents),
            "sha256": stored.sha256,
        },
    )


def _note(draft: Draft, seller: Seller) -> str:
    notes = [draft.tally.rule.note]
    taxed = draft.tally.rule.treatment == "rate"
    if taxed and seller.tax_point == "top_up" and draft.tally.prepaid_nano:
        notes.append(AT_TOP_UP)
    return " ".join(note for note in notes if note)


def _taxed_nano(charged: Charged, tax_point: str) -> int:
    """What money was or will be paid for.  A gift is not taxed; prepaid credit once."""
    taxed = charged.receivable_nano
    return taxed + charged.prepaid_nano if tax_point == "use" else taxed


def _absorbed(charged: Charged) -> list[tuple[ChargeLine, int]]:
    """Each line, and how much of it nobody pays: taken from the last line first, because what runs
    beyond a hold is output."""
    left_nano = charged.absorbed_nano
    shared: list[tuple[ChargeLine, int]] = []
    for line in reversed(charged.lines):
        absorbed_nano = min(left_nano, line.net_nano)
        left_nano -= absorbed_nano
        shared.append((line, absorbed_nano))
    return shared[::-1]


def _check(charged: Charged, last: int) -> None:
    """Raises: BooksWrong."""
    rated_nano = sum(line.net_nano for line in charged.lines)
    paid_nano = charged.promo_nano + charged.prepaid_nano + charged.receivable_nano
    right = (
        rated_nano == charged.net_nano + charged.absorbed_nano
        and paid_nano == charged.net_nano
        and (not last or charged.sequence == last + 1)
    )
    if not right:
        raise BooksWrong(f"The receipt {charged.id} is not what the ledger says.")
