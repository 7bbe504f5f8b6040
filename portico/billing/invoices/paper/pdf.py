"""What is on the page of an invoice or a credit note.

The file has no date of its own and no random id, and is not compressed, so that a document gives the
same bytes wherever and whenever it is printed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from reportlab.lib.enums import TA_RIGHT  # type: ignore[import-untyped]  # ships no types
from reportlab.lib.pagesizes import A4  # type: ignore[import-untyped]  # the same
from reportlab.lib.styles import ParagraphStyle  # type: ignore[import-untyped]  # the same
from reportlab.lib.units import mm  # type: ignore[import-untyped]  # the same
from reportlab.platypus import (  # type: ignore[import-untyped]  # the same
    LongTable,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    Table,
)

from portico.admission.rules import dollars
from portico.billing.invoices.model import (
    CENT_NANO,
    CreditNote,
    Document,
    Invoice,
    Party,
    digest,
    encode,
)
from portico.billing.invoices.paper.letters import Letters, letters

_MARGIN = 18 * mm
_WIDTH = A4[0] - 2 * _MARGIN
_COLUMNS = (0.05, 0.22, 0.1, 0.17, 0.15, 0.14, 0.17)
_SUMS = (0.7, 0.3)
_PAD = [("LEFTPADDING", (0, 0), (-1, -1), 0), ("RIGHTPADDING", (0, 0), (-1, -1), 4)]
_TOP = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LINEBELOW", (0, 0), (-1, 0), 0.5, "black")]
_BY = {"promo": "promotional credit", "prepaid": "prepaid credit"}
_LACKING = (
    "Letters that the font of this file lacks are written by their number in Unicode; the JSON of "
    "this document has the exact text."
)

Row = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Paper:
    """missing: letters that the font lacks, in order."""

    pdf: bytes
    missing: str


def paper(document: Document, font_file: str = "") -> Paper:
    """font_file: see `letters`.  Raises: FontUnusable."""
    page = _Page(letters(font_file))
    if isinstance(document, Invoice):
        _invoice(page, document)
    else:
        _credit_note(page, document)
    return Paper(page.printed(document), "".join(sorted(page.letters.missing)))


class _Page:
    """What will be printed, from top to bottom."""

    def __init__(self, used: Letters) -> None:
        self.letters = used
        self._parts: list[Any] = []
        self._text = ParagraphStyle("text", fontName=used.regular, fontSize=8.5, leading=11)
        self._right = ParagraphStyle("right", self._text, alignment=TA_RIGHT)
        self._title = ParagraphStyle(
            "title", self._text, fontName=used.bold, fontSize=16, leading=22
        )
        self._strong = ParagraphStyle("strong", self._text, fontName=used.bold)
        self._strong_right = ParagraphStyle("strong right", self._strong, alignment=TA_RIGHT)

    def title(self, text: str) -> None:
        self._parts.append(Paragraph(self.letters.markup(text), self._title))

    def parties(self, seller: Party, customer: Party) -> None:
        cells = [[self._party("From", seller), self._party("To", customer)]]
        self._add(Table(cells, colWidths=[_WIDTH / 2] * 2, style=[*_PAD, *_TOP[:1]]))

    def facts(self, rows: Sequence[Row]) -> None:
        cells = [[self._cell(name, strong=True), self._cell(value)] for name, value in rows]
        self._add(Table(cells, colWidths=[0.2 * _WIDTH, 0.8 * _WIDTH], style=[*_PAD, *_TOP[:1]]))

    def lines(self, heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: int) -> None:
        """The last `numbers` columns are set flush right."""
        first_number = len(heads) - numbers
        cells = [
            [
                self._cell(text, strong=row is heads, right=place >= first_number)
                for place, text in enumerate(row)
            ]
            for row in (heads, *rows)
        ]
        scale = _WIDTH / sum(_COLUMNS[: len(heads)])
        widths = [scale * part for part in _COLUMNS[: len(heads)]]
        self._add(LongTable(cells, colWidths=widths, repeatRows=1, style=[*_PAD, *_TOP]))

    def sums(self, rows: Sequence[Row]) -> None:
        """The last of them is the one that counts."""
        cells = [
            [
                self._cell(name, strong=row == rows[-1], right=True),
                self._cell(value, strong=row == rows[-1], right=True),
            ]
            for row in rows
            for name, value in (row,)
        ]
        self._add(Table(cells, colWidths=[part * _WIDTH for part in _SUMS], style=_PAD))

    def note(self, text: str) -> None:
        if text:
            self._add(Paragraph(self.letters.markup(text), self._text))

    def printed(self, document: Document) -> bytes:
        foot = f"{document.number} · SHA-256 of its JSON {digest(encode(document))}"
        shown = self.letters.plain(foot)
        if self.letters.missing:
            self.note(_LACKING)

        def end_of_page(canvas: Any, _: Any) -> None:
            canvas.setFont(self.letters.regular, 6.5)
            canvas.drawString(_MARGIN, 10 * mm, shown)
            canvas.drawRightString(A4[0] - _MARGIN, 10 * mm, str(canvas.getPageNumber()))

        out = BytesIO()
        template = SimpleDocTemplate(
            out,
            pagesize=A4,
            leftMargin=_MARGIN,
            rightMargin=_MARGIN,
            topMargin=_MARGIN,
            bottomMargin=_MARGIN,
            title=document.number,
            author=document.seller.name,
            creator="Portico",
            invariant=1,
            pageCompression=0,
        )
        template.build(self._parts, onFirstPage=end_of_page, onLaterPages=end_of_page)
        return out.getvalue()

    def _party(self, head: str, party: Party) -> list[Any]:
        lines = [party.name, *party.address, party.country]
        lines += [f"VAT id {party.vat_id}"] if party.vat_id else []
        return [self._cell(head, strong=True), *(self._cell(line) for line in lines if line)]

    def _cell(self, text: str, *, strong: bool = False, right: bool = False) -> Any:
        styles = {
            (False, False): self._text,
            (False, True): self._right,
            (True, False): self._strong,
            (True, True): self._strong_right,
        }
        return Paragraph(self.letters.markup(text), styles[strong, right])

    def _add(self, part: Any) -> None:
        self._parts += [part, Spacer(1, 4 * mm)]


def _invoice(page: _Page, invoice: Invoice) -> None:
    page.title(f"Invoice {invoice.number}")
    page.parties(invoice.seller, invoice.customer)
    page.facts(
        (
            ("Date", _day(invoice.issued_at)),
            (
                "Period (UTC)",
                f"{_moment(invoice.period_start)} up to {_moment(invoice.period_end)}",
            ),
            ("To be paid by", _day(invoice.due_at)),
            ("Organisation", invoice.organisation_id),
            ("Requests", f"{invoice.requests:,}"),
        )
    )
    page.lines(
        ("", "Model", "Tier", "Meter", "Units", "Per million", "Amount"),
        [
            (
                str(line.line),
                line.model,
                line.tier,
                line.meter,
                f"{line.units:,}",
                dollars(line.nano_per_million),
                dollars(line.net_nano),
            )
            for line in invoice.lines
        ],
        numbers=3,
    )
    page.sums(_invoice_sums(invoice))
    page.note(invoice.tax_note)
    page.note(invoice.rounding)


def _invoice_sums(invoice: Invoice) -> list[Row]:
    listed_nano = sum(line.list_nano for line in invoice.lines)
    absorbed_nano = sum(line.absorbed_nano for line in invoice.lines)
    off_nano = listed_nano - invoice.net_nano - absorbed_nano
    rows = []
    if off_nano or absorbed_nano:
        rows.append(("At list prices", dollars(listed_nano)))
    if off_nano:
        rows.append(("Discounts", dollars(-off_nano)))
    if absorbed_nano:
        rows.append(("Not charged: beyond what was set aside", dollars(-absorbed_nano)))
    rows.append(("Use, exact", dollars(invoice.net_nano)))
    for paid in invoice.paid_by:
        rows.append((f"Paid from {_BY[paid.source]}", dollars(-paid.amount_nano)))
    rows += [
        ("Carried from earlier invoices", dollars(invoice.carried_in_nano)),
        ("Carried to the next invoice", dollars(-invoice.carried_out_nano)),
        ("To be paid for use", _cents(invoice.due_cents)),
    ]
    for tax in invoice.taxes:
        rows.append(
            (
                f"Tax {tax.country} {_percent(tax.basis_points)} of {dollars(tax.base_nano)}",
                _cents(tax.tax_cents),
            )
        )
    return [*rows, (f"Total to be paid, {invoice.currency}", _cents(invoice.total_cents))]


def _credit_note(page: _Page, note: CreditNote) -> None:
    page.title(f"Credit note {note.number}")
    page.parties(note.seller, note.customer)
    page.facts(
        (
            ("Date", _day(note.issued_at)),
            ("Corrects", f"invoice {note.corrects} (SHA-256 of its JSON {note.corrects_sha256})"),
            ("Reason", note.reason),
            ("Organisation", note.organisation_id),
        )
    )
    page.lines(
        ("Line", "Model", "Tier", "Meter", "Credited"),
        [
            (str(line.line), line.model, line.tier, line.meter, dollars(line.credited_nano))
            for line in note.lines
        ],
        numbers=1,
    )
    rows = [("Use, exact", dollars(note.net_nano))]
    for tax in note.taxes:
        rows.append((f"Tax {tax.country} {_percent(tax.basis_points)}", _cents(tax.tax_cents)))
    rows += [
        ("No longer to be paid", _cents(note.due_cents + note.unpaid_tax_cents)),
        ("Given as prepaid credit", dollars(note.to_prepaid_nano)),
        ("Given as promotional credit", dollars(note.to_promo_nano)),
    ]
    tax_nano = sum(tax.tax_cents for tax in note.taxes) * CENT_NANO
    total = (f"Total credited, {note.currency}, exact", dollars(note.net_nano + tax_nano))
    page.sums([*rows, total])


def _cents(cents: int) -> str:
    return f"${cents // 100:,}.{cents % 100:02d}"


def _percent(basis_points: int) -> str:
    return f"{basis_points // 100}.{basis_points % 100:02d} %"


def _day(moment: str) -> str:
    return moment[:10]


def _moment(moment: str) -> str:
    return moment.removesuffix("T00:00:00Z").replace("T", " ").removesuffix("Z")
