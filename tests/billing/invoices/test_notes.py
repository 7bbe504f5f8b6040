"""A final invoice is corrected by credit notes, and paid once."""

import sqlite3
from collections.abc import Mapping

import pytest
from inline_snapshot import snapshot

from portico.billing.audit import audit
from portico.billing.invoices import notes, payments
from portico.billing.invoices.check import invoice_differences
from portico.billing.invoices.model import NotInvoiced, Outstanding, Stored
from portico.db.database import Database
from tests.billing.invoices.shop import DOLLAR, SELLER, Shop, ms, seller


@pytest.fixture
def shop(database: Database) -> Shop:
    made = Shop(database, now_ms=ms("2026-02-03"))
    made.may_owe(100 * DOLLAR)
    made.is_customer()
    made.taxes("DE", 1900)
    return made


@pytest.fixture
def invoice(shop: Shop) -> Stored:
    """$2 in, $4 out: $7.14 with tax."""
    shop.uses({"input_text": 1_000_000, "output_text": 2_000_000})
    shop.now_ms = ms("2026-03-01")
    return shop.invoice("2026-02")


def right(shop: Shop) -> None:
    found = shop.do(lambda t: list(invoice_differences(t)))
    assert [name for name, ok in found if not ok] == []
    verdicts = shop.do(lambda t: audit(t, shop.now_ms))
    assert [verdict.id for verdict in verdicts if verdict.violations] == []


def test_a_note_takes_back_a_part_of_a_line_and_its_tax(shop: Shop, invoice: Stored) -> None:
    note = shop.credits(invoice, {2: DOLLAR}).credit_note
    assert (note.number, note.corrects, note.corrects_sha256) == (
        "CN-2026-000001",
        invoice.number,
        invoice.sha256,
    )
    assert [(line.line, line.meter, line.credited_nano) for line in note.lines] == [
        (2, "output_text", DOLLAR)
    ]
    assert (note.due_cents, note.unpaid_tax_cents, note.to_prepaid_nano) == (100, 19, 0)
    assert shop.outstanding(invoice) == 714 - 119
    assert shop.posted("refunds") == -DOLLAR
    right(shop)


def test_notes_have_their_own_numbers(shop: Shop, invoice: Stored) -> None:
    numbers = [shop.credits(invoice, {1: nano}).number for nano in (1, 2)]
    assert numbers == ["CN-2026-000001", "CN-2026-000002"]
    assert sorted(shop.rows("SELECT kind, last FROM invoice_series")) == [
        ("credit_note", 2),
        ("invoice", 1),
    ]


@pytest.mark.parametrize("wanted", [{1: 2 * DOLLAR + 1}, {1: 0}, {1: -5}, {3: 1}, {0: 1}, {}])
def test_a_line_is_not_taken_back_beyond_itself(
    shop: Shop, invoice: Stored, wanted: Mapping[int, int | None]
) -> None:
    with pytest.raises(NotInvoiced, match=r"left to credit|has no line|needs a line"):
        shop.credits(invoice, wanted)
    assert shop.rows("SELECT * FROM invoice WHERE kind = 'credit_note'") == []


def test_all_notes_of_a_line_together_are_at_most_the_line(shop: Shop, invoice: Stored) -> None:
    shop.credits(invoice, {1: 2 * DOLLAR - 1})
    with pytest.raises(NotInvoiced, match=r"has \$0.000000001 left to credit, not \$0.000000002"):
        shop.credits(invoice, {1: 2})
    shop.credits(invoice, {1: None})
    with pytest.raises(NotInvoiced, match=r"has \$0.00 left"):
        shop.credits(invoice, {1: None})
    right(shop)


def test_what_was_paid_already_becomes_prepaid_credit(shop: Shop, invoice: Stored) -> None:
    shop.pays(invoice, 714)
    note = shop.credits(invoice, {2: None}).credit_note
    assert (note.due_cents, note.unpaid_tax_cents) == (0, 0)
    assert note.to_prepaid_nano == shop.posted("prepaid:org_1") == 4_760_000_000
    assert shop.posted("tax_payable") == 380_000_000
    right(shop)


def test_a_part_that_was_paid_comes_back_the_rest_is_no_longer_owed(
    shop: Shop, invoice: Stored
) -> None:
    shop.pays(invoice, 314)  # the tax of $1.14, and $2 of $6
    note = shop.credits(invoice, {1: None, 2: DOLLAR * 3}).credit_note
    assert (note.due_cents, note.unpaid_tax_cents) == (400, 0)
    assert note.to_prepaid_nano == 1_950_000_000
    assert shop.outstanding(invoice) == 0
    right(shop)


def test_credit_that_paid_comes_back_as_what_it_was(shop: Shop) -> None:
    shop.gets(DOLLAR, "promo")
    shop.gets(DOLLAR)
    shop.uses({"input_text": 1_500_000})
    shop.now_ms = ms("2026-03-01")
    invoice = shop.invoice("2026-02")
    note = shop.credits(invoice, {1: None})
    assert shop.posted("prepaid:org_1") == DOLLAR
    assert shop.posted(f"promo:{note.id}") == DOLLAR
    assert shop.posted("receivable:org_1") == 0
    assert shop.outstanding(invoice) == 0
    right(shop)


def test_prepaid_credit_comes_back_once(shop: Shop) -> None:
    shop.gets(DOLLAR, "promo")
    shop.gets(DOLLAR)
    shop.uses({"input_text": 1_000_000})
    shop.now_ms = ms("2026-03-01")
    invoice = shop.invoice("2026-02")
    notes_made = [shop.credits(invoice, {1: DOLLAR}).credit_note for _ in range(2)]
    assert [(note.prepaid_share_nano, note.promo_share_nano) for note in notes_made] == [
        (DOLLAR, 0),
        (0, DOLLAR),
    ]
    right(shop)


def test_a_note_takes_back_the_tax_of_its_own_lines(shop: Shop) -> None:
    shop.taxes("DE", 700, "2026-02-15")
    shop.uses({"input_text": 1_000_000})
    shop.now_ms = ms("2026-02-15")
    shop.uses({"input_text": 1_000_000})
    shop.now_ms = ms("2026-03-01")
    invoice = shop.invoice("2026-02")
    assert [(tax.basis_points, tax.tax_cents) for tax in invoice.invoice.taxes] == [
        (700, 14),
        (1900, 38),
    ]
    taken = []
    for wanted in ({1: None}, {2: DOLLAR}, {2: None}):
        note = shop.credits(invoice, wanted).credit_note
        taken.append([(tax.basis_points, tax.tax_cents) for tax in note.taxes])
    assert taken == [[(700, 14)], [(1900, 19)], [(1900, 19)]]
    right(shop)


def test_notes_that_take_back_everything_take_back_the_whole_tax(shop: Shop) -> None:
    """Each rounded by itself, they would take back 39 cents of 38."""
    shop.uses({"input_text": 1_000_000})
    shop.now_ms = ms("2026-03-01")
    invoice = shop.invoice("2026-02")
    parts: tuple[int | None, ...] = (660_000_000, 660_000_000, None)
    taken = [shop.credits(invoice, {1: nano}).credit_note for nano in parts]
    assert [note.taxes[0].tax_cents for note in taken] == [13, 12, 13]
    assert shop.outstanding(invoice) == 0
    right(shop)


def test_only_invoices_are_corrected_and_paid(shop: Shop, invoice: Stored) -> None:
    note = shop.credits(invoice, {1: 1})
    with pytest.raises(NotInvoiced, match="is no invoice"):
        shop.credits(note, {1: 1})
    with pytest.raises(NotInvoiced, match="is no invoice"):
        shop.pays(note, 1)
    with pytest.raises(NotInvoiced, match="was issued by main, not by other"):
        shop.do(lambda t: notes.credit(t, invoice.id, {1: 1}, "", seller(entity="other"), 1))


def test_a_note_that_fails_uses_no_number(shop: Shop, invoice: Stored) -> None:
    def fails(transaction: object) -> None:
        notes.credit(transaction, invoice.id, {1: 1}, "", SELLER, shop.now_ms)  # type: ignore[arg-type]  # as is
        raise sqlite3.OperationalError("the disk is full")

    with pytest.raises(sqlite3.OperationalError):
        shop.do(fails)
    assert shop.credits(invoice, {1: 1}).number == "CN-2026-000001"


# -- payments -------------------------------------------------------------------------------------


def test_a_payment_counts_once_under_its_reference(shop: Shop, invoice: Stored) -> None:
    assert shop.pays(invoice, 714, "bank 7") is True
    assert shop.pays(invoice, 714, "bank 7") is False
    assert shop.outstanding(invoice) == 0
    assert shop.posted("cash_clearing:manual") == -7_140_000_000
    assert shop.posted("receivable:org_1") == shop.posted("tax_due:org_1") == 0
    assert shop.rows("SELECT id FROM txn WHERE kind = 'invoice_payment'") == [
        ("invoice_payment:bank 7",)
    ]
    right(shop)


def test_tax_is_paid_first(shop: Shop, invoice: Stored) -> None:
    shop.pays(invoice, 100, "a")
    assert (shop.posted("tax_due:org_1"), shop.posted("receivable:org_1")) == (
        -140_000_000,
        -6 * DOLLAR,
    )
    shop.pays(invoice, 50, "b")
    assert (shop.posted("tax_due:org_1"), shop.posted("receivable:org_1")) == (0, -5_640_000_000)
    assert payments.allocate(10, Outstanding(5, 7)) == Outstanding(3, 7)
    right(shop)


@pytest.mark.parametrize(
    ("cents", "reference", "says"),
    [
        (715, "x", r"\$7.13 of INV-2026-000001 is to be paid, not \$7.15"),
        (0, "x", r"not \$0.00"),
        (-1, "x", "is to be paid"),
        (1, " ", "needs a reference"),
        (2, "known", "that of another payment"),
    ],
)
def test_payments_that_cannot_be_are_refused(
    shop: Shop, invoice: Stored, cents: int, reference: str, says: str
) -> None:
    shop.pays(invoice, 1, "known")
    shop.credits(invoice, {1: 1})
    before = shop.rows("SELECT * FROM entry ORDER BY txn_id, account_id")
    with pytest.raises(NotInvoiced, match=says):
        shop.pays(invoice, cents, reference)
    assert shop.rows("SELECT * FROM entry ORDER BY txn_id, account_id") == before


def test_a_reference_is_that_of_one_invoice(shop: Shop, invoice: Stored) -> None:
    shop.uses({"input_text": 1_000_000})
    shop.now_ms = ms("2026-04-01")
    other = shop.invoice("2026-03")
    shop.pays(invoice, 5, "same")
    with pytest.raises(NotInvoiced, match="another payment"):
        shop.pays(other, 5, "same")


def test_the_golden_credit_note(shop: Shop, invoice: Stored) -> None:
    shop.pays(invoice, 314)
    assert shop.credits(invoice, {2: None}).document == snapshot(
        '{"corrects":"INV-2026-000001","corrects_sha256":"c2b7202a57075938217da23d60254ce1f48503c6ab2318f915fbdeb37ff62701","currency":"USD","customer":{"address":["Ring 5","80331 München"],"country":"DE","name":"Kundin AG","vat_id":""},"due_cents":"400","entity":"main","issued_at":"2026-03-01T00:00:00Z","kind":"credit_note","lines":[{"credited_nano":"4000000000","line":2,"meter":"output_text","model":"m","tier":"standard"}],"net_nano":"4000000000","number":"CN-2026-000001","organisation_id":"org_1","owed_share_nano":"4000000000","prepaid_share_nano":"0","promo_share_nano":"0","reason":"slow answers","seller":{"address":["Hauptstraße 1","10115 Berlin"],"country":"DE","name":"Portico Models GmbH","vat_id":"DE123456789"},"taxes":[{"basis_points":1900,"country":"DE","kind":"standard","tax_cents":"76"}],"to_prepaid_nano":"760000000","to_promo_nano":"0","to_receivable_nano":"4000000000","unpaid_tax_cents":"0"}'
    )
