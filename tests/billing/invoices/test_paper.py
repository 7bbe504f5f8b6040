"""The PDF says what the document says, and is the same bytes wherever it is printed."""

import hashlib
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import msgspec
import pytest
import reportlab
from pypdf import PdfReader

from portico.billing.invoices.model import (
    CreditedLine,
    CreditedTax,
    CreditNote,
    Document,
    Invoice,
    Line,
    PaidBy,
    Party,
    Tax,
    digest,
    encode,
)
from portico.billing.invoices.paper.letters import FontUnusable, letters
from portico.billing.invoices.paper.pdf import paper
from portico.billing.invoices.rules import ROUNDING
from tests.billing.invoices.shop import SELLER

ROOT = Path(__file__).parents[3]
_CUSTOMER = Party(
    name="Łucja & Söhne <AG>", address=("Žižkov 5", "1000 Århus"), country="DK", vat_id="DK12345678"
)
_LINE = Line(
    line=1,
    model="a-model-with-a-name-that-is-much-longer-than-its-column",
    tier="standard",
    meter="output_text",
    nano_per_million=600_000_000,
    units=1_234_567_890,
    requests=17,
    list_nano=740_740_734_000,
    net_nano=740_740_733_999,
    absorbed_nano=1,
    tax_basis_points=1900,
)


def invoice(lines: int = 1, customer: Party = _CUSTOMER) -> Invoice:
    return Invoice(
        number="INV-2026-000017",
        entity="main",
        currency="USD",
        issued_at="2026-03-01T00:00:00Z",
        due_at="2026-03-15T00:00:00Z",
        period_start="2026-02-01T00:00:00Z",
        period_end="2026-02-10T12:30:00Z",
        organisation_id="org_1",
        seller=SELLER.party,
        customer=customer,
        receipts=(1, 17),
        requests=17,
        lines=tuple(msgspec.structs.replace(_LINE, line=place) for place in range(1, lines + 1)),
        net_nano=740_740_733_999 * lines,
        paid_by=(PaidBy(source="promo", amount_nano=10**9),),
        owed_nano=739_740_733_999,
        carried_in_nano=-5,
        carried_out_nano=733_994,
        due_cents=73_974,
        taxes=(
            Tax(
                country="DE",
                kind="standard",
                basis_points=1900,
                net_nano=740_740_733_999,
                base_nano=739_740_733_999,
                tax_cents=14_055,
            ),
        ),
        tax_note="A note.",
        tax_point="use",
        total_cents=88_029,
        rounding=ROUNDING,
    )


def note() -> CreditNote:
    line = CreditedLine(line=3, model="m", tier="batch", meter="input_text", credited_nano=5)
    tax = CreditedTax(country="DE", kind="standard", basis_points=710, tax_cents=7)
    return CreditNote(
        number="CN-2026-000001",
        entity="main",
        currency="USD",
        issued_at="2026-03-01T00:00:00Z",
        organisation_id="org_1",
        seller=SELLER.party,
        customer=_CUSTOMER,
        corrects="INV-2026-000017",
        corrects_sha256="ab" * 32,
        reason="slow <answers>",
        lines=(line,),
        net_nano=5,
        taxes=(tax,),
        owed_share_nano=5,
        prepaid_share_nano=0,
        promo_share_nano=0,
        to_receivable_nano=5,
        to_prepaid_nano=0,
        to_promo_nano=0,
        due_cents=1,
        unpaid_tax_cents=7,
    )


def text(document: Document) -> str:
    pages = PdfReader(BytesIO(paper(document).pdf)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


def test_an_invoice_says_everything() -> None:
    shown = text(invoice())
    for words in (
        "Invoice INV-2026-000017",
        "Portico Models GmbH Hauptstraße 1 10115 Berlin DE VAT id DE123456789",
        "Łucja & Söhne <AG> Žižkov 5 1000 Århus DK VAT id DK12345678",
        "Date 2026-03-01",
        "2026-02-01 up to 2026-02-10 12:30:00",
        "To be paid by 2026-03-15",
        "output_text 1,234,567,890 $0.60 $740.740733999",
        "Not charged: beyond what was set aside -$0.000000001",
        "Paid from promotional credit -$1.00",
        "Carried from earlier invoices -$0.000000005",
        "Tax DE 19.00 % of $739.740733999 $140.55",
        "Total to be paid, USD $880.29",
        "A note.",
        digest(encode(invoice())),
    ):
        assert words in shown, words


def test_a_credit_note_says_what_it_corrects() -> None:
    shown = text(note())
    for words in (
        "Credit note CN-2026-000001",
        "invoice INV-2026-000017",
        "ab" * 32,
        "slow <answers>",
        "3 m batch input_text $0.000000005",
        "Tax DE 7.10 % $0.07",
        "No longer to be paid $0.08",
        "Total credited, USD, exact $0.070000005",
    ):
        assert words in shown, words


_PRINT = (
    "import hashlib, sys; from tests.billing.invoices.test_paper import *; "
    "print(*(hashlib.sha256(paper(d).pdf).hexdigest() for d in (note(), invoice(90))))"
)


def test_the_bytes_are_the_same_in_every_process() -> None:
    here = [hashlib.sha256(paper(each).pdf).hexdigest() for each in (note(), invoice(90))]
    assert here == [hashlib.sha256(paper(each).pdf).hexdigest() for each in (note(), invoice(90))]
    for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo")):
        done = subprocess.run(
            [sys.executable, "-c", _PRINT],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == here


def test_many_lines_go_on_over_pages() -> None:
    pages = PdfReader(BytesIO(paper(invoice(200)).pdf)).pages
    assert len(pages) > 3
    for number, page in enumerate(pages, 1):
        shown = page.extract_text()
        assert "INV-2026-000017 · SHA-256" in shown
        assert shown.split("\n").count(str(number)) >= 1


def test_letters_that_the_font_lacks_are_written_by_number() -> None:
    customer = msgspec.structs.replace(_CUSTOMER, name="株式会社 Ελλάς")
    printed = paper(invoice(customer=customer))
    assert printed.missing == "".join(sorted(set("株式会社Ελλάς")))
    shown = text(invoice(customer=customer))
    assert "[U+682A][U+5F0F][U+4F1A][U+793E]" in shown
    assert "written by their number in Unicode" in shown
    assert paper(invoice()).missing == ""


def test_a_font_of_the_operators_own_is_embedded() -> None:
    own = Path(reportlab.__file__).parent / "fonts" / "VeraIt.ttf"
    printed = paper(invoice(), str(own))
    assert b"Oblique" in printed.pdf
    assert b"Oblique" not in paper(invoice()).pdf
    assert printed.pdf == paper(invoice(), str(own)).pdf


@pytest.mark.parametrize("name", ["nothing.ttf", "README.md"])
def test_a_file_that_is_no_font_is_named(name: str) -> None:
    with pytest.raises(FontUnusable, match=name):
        letters(str(ROOT / name))
