"""Invoices and credit notes.  Use is in whole nano-USD, what is to be paid in whole cents.

A document is JSON with its keys sorted, without spaces, in UTF-8; amounts, prices and units are
strings, because JSON readers round integers above 2**53.  Its SHA-256 is that of these bytes.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import msgspec

TaxPoint = Literal["top_up", "use"]
DocumentKind = Literal["invoice", "credit_note"]
Source = Literal["receivable", "prepaid", "promo"]

CENT_NANO = 10_000_000
_AMOUNTS = ("_nano", "_cents", "_per_million", "units")

T = TypeVar("T")


class NotInvoiced(Exception):
    """What was asked for is not possible: what, and why."""


@dataclass(frozen=True, slots=True)
class Period:
    """start_ms is in it, end_ms is not.  Raises: ValueError."""

    start_ms: int
    end_ms: int

    def __post_init__(self) -> None:
        if self.start_ms >= self.end_ms:
            raise ValueError("A period ends after it starts.")


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """As printed.  country: two letters of ISO 3166, "" where nobody said."""

    name: str
    address: tuple[str, ...]
    country: str
    vat_id: str


@dataclass(frozen=True, slots=True)
class Seller:
    """The legal entity that invoices, and how.

    entity: the short name under which its numbers run.  tax_point: whether tax on prepaid credit
    was due when it was bought or is when it is used.  Raises: ValueError.
    """

    entity: str
    party: Party
    invoice_prefix: str
    credit_note_prefix: str
    tax_point: TaxPoint
    due_days: int

    def __post_init__(self) -> None:
        if self.invoice_prefix == self.credit_note_prefix:
            raise ValueError("Invoices and credit notes need prefixes that differ.")


@dataclass(frozen=True, slots=True)
class Customer:
    """tax_kind: which of the country's rates counts.  mail: where notices go, or ""."""

    organisation_id: str
    party: Party
    tax_kind: str
    mail: str


@dataclass(frozen=True, slots=True)
class TaxRate:
    """basis_points: hundredths of a percent, from `valid_from_ms` on."""

    country: str
    kind: str
    basis_points: int
    valid_from_ms: int


@dataclass(frozen=True, slots=True)
class ChargeLine:
    meter: str
    units: int
    nano_per_million: int
    list_nano: int
    net_nano: int


@dataclass(frozen=True, slots=True)
class Charged:
    """A receipt, and which of the organisation's accounts paid it.

    lines: as rated; together net_nano + absorbed_nano.
    """

    id: str
    sequence: int
    model: str
    tier: str
    lines: tuple[ChargeLine, ...]
    net_nano: int
    absorbed_nano: int
    charged_at_ms: int
    promo_nano: int
    prepaid_nano: int
    receivable_nano: int


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One meter of one model at one tier, price and tax rate.

    list_nano: before discounts; net_nano: what was charged; absorbed_nano: what the use came to
    above that and nobody pays.  tax_basis_points: None where no tax is shown.
    """

    line: int
    model: str
    tier: str
    meter: str
    nano_per_million: int
    units: int
    requests: int
    list_nano: int
    net_nano: int
    absorbed_nano: int
    tax_basis_points: int | None


class Tax(msgspec.Struct, frozen=True, kw_only=True):
    """net_nano: the lines under this rate.  base_nano: the part of them that is taxed here."""

    country: str
    kind: str
    basis_points: int
    net_nano: int
    base_nano: int
    tax_cents: int


class PaidBy(msgspec.Struct, frozen=True, kw_only=True):
    """Credit that paid when the use was charged.  source: prepaid or promo."""

    source: Source
    amount_nano: int


class Invoice(msgspec.Struct, frozen=True, kw_only=True, tag="invoice", tag_field="kind"):
    """Moments are ISO 8601 in UTC; the period's end is not in it.

    receipts: (first, last) place in the organisation's chain of receipts.
    net_nano = the lines = promo and prepaid credit + owed_nano.
    owed_nano + carried_in_nano = due_cents + carried_out_nano.
    total_cents: due_cents + every tax_cents, what is to be paid.
    """

    number: str
    entity: str
    currency: str
    issued_at: str
    due_at: str
    period_start: str
    period_end: str
    organisation_id: str
    seller: Party
    customer: Party
    receipts: tuple[int, int]
    requests: int
    lines: tuple[Line, ...]
    net_nano: int
    paid_by: tuple[PaidBy, ...]
    owed_nano: int
    carried_in_nano: int
    carried_out_nano: int
    due_cents: int
    taxes: tuple[Tax, ...]
    tax_note: str
    tax_point: TaxPoint
    total_cents: int
    rounding: str


class CreditedLine(msgspec.Struct, frozen=True, kw_only=True):
    """line: its number on the invoice."""

    line: int
    model: str
    tier: str
    meter: str
    credited_nano: int


class CreditedTax(msgspec.Struct, frozen=True, kw_only=True):
    country: str
    kind: str
    basis_points: int
    tax_cents: int


class CreditNote(msgspec.Struct, frozen=True, kw_only=True, tag="credit_note", tag_field="kind"):
    """What is taken back of an invoice.

    to_receivable_nano, to_prepaid_nano, to_promo_nano: where it goes; together net_nano and the tax
    that had been paid already.  due_cents and unpaid_tax_cents: what is no longer to be paid.
    """

    number: str
    entity: str
    currency: str
    issued_at: str
    organisation_id: str
    seller: Party
    customer: Party
    corrects: str
    corrects_sha256: str
    reason: str
    lines: tuple[CreditedLine, ...]
    net_nano: int
    taxes: tuple[CreditedTax, ...]
    owed_share_nano: int
    prepaid_share_nano: int
    promo_share_nano: int
    to_receivable_nano: int
    to_prepaid_nano: int
    to_promo_nano: int
    due_cents: int
    unpaid_tax_cents: int


Document = Invoice | CreditNote
_decoder: msgspec.json.Decoder[Document] = msgspec.json.Decoder(Document, strict=False)


def encode(document: Document) -> bytes:
    """Canonical bytes."""
    return msgspec.json.encode(_texts(msgspec.to_builtins(document)), order="sorted")


def decode(text: str | bytes) -> Document:
    """Raises: msgspec.ValidationError."""
    return _decoder.decode(text)


def digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


@dataclass(frozen=True, slots=True)
class Stored:
    """A final document and its row.  corrects_id: of a credit note, else ""."""

    id: str
    organisation_id: str
    kind: DocumentKind
    entity: str
    year: int
    sequence: int
    number: str
    corrects_id: str
    period: Period | None
    issued_at_ms: int
    due_at_ms: int
    owed_nano: int
    due_cents: int
    tax_cents: int
    document: str
    sha256: str

    @property
    def invoice(self) -> Invoice:
        return _as(self.document, Invoice)

    @property
    def credit_note(self) -> CreditNote:
        return _as(self.document, CreditNote)


@dataclass(frozen=True, slots=True)
class Outstanding:
    """What is still to be paid of an invoice: for use, and as tax.  In cents."""

    due_cents: int
    tax_cents: int

    @property
    def total_cents(self) -> int:
        return self.due_cents + self.tax_cents


def _as(text: str, kind: type[T]) -> T:
    found = decode(text)
    if not isinstance(found, kind):
        raise TypeError(f"This document is no {kind.__name__}.")
    return found


def _texts(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _texts(each, name) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_texts(each, key) for each in value]
    if isinstance(value, int) and key.endswith(_AMOUNTS):
        return str(value)
    return value
