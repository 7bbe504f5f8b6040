"""An invoice is its receipts: once, to the nano, for ever."""

import hashlib
import json
import sqlite3
from functools import partial

import msgspec
import psycopg
import pytest
from inline_snapshot import snapshot
from sqlalchemy.exc import DBAPIError

from portico.billing.audit import audit
from portico.billing.invoices import customers, service
from portico.billing.invoices.check import invoice_differences
from portico.billing.invoices.model import (
    Customer,
    NotInvoiced,
    Party,
    Period,
    Stored,
    TaxRate,
    decode,
    encode,
)
from portico.billing.invoices.rules import month
from portico.billing.invoices.tax import VatIdWrong
from portico.db.database import Database
from portico.db.transaction import Transaction
from tests.billing.invoices.shop import DOLLAR, UNTAXED, Shop, ms, seller

REFUSED = (sqlite3.IntegrityError, psycopg.Error)


@pytest.fixture
def shop(database: Database) -> Shop:
    """In February, a customer in Germany who may owe $100."""
    made = Shop(database, "org_1", "org_2", now_ms=ms("2026-02-03"))
    made.may_owe(100 * DOLLAR)
    made.is_customer()
    made.taxes("DE", 1900)
    return made


def right(shop: Shop) -> None:
    """Every invoice is its receipts, and the books are whole."""
    found = shop.do(lambda t: list(invoice_differences(t)))
    assert [name for name, ok in found if not ok] == []
    verdicts = shop.do(lambda t: audit(t, shop.now_ms))
    assert [verdict.id for verdict in verdicts if verdict.violations] == []


def test_the_golden_invoice(shop: Shop) -> None:
    shop.gets(DOLLAR // 2, "promo")
    shop.gets(DOLLAR // 4)
    shop.uses({"input_text": 333_333, "output_text": 123_457})
    shop.now_ms += 1
    shop.uses({"output_text": 50_001}, price=3_000_000_000, tier="priority", share=(4, 5))
    shop.uses({"input_text": 10, "output_text": 100_000}, hold_nano=150_000_000)
    shop.now_ms = ms("2026-03-01T00:00")
    made = shop.invoice("2026-02")
    assert json.loads(made.document) == snapshot(
        {
            "carried_in_nano": "0",
            "carried_out_nano": "3582400",
            "currency": "USD",
            "customer": {
                "address": ["Ring 5", "80331 München"],
                "country": "DE",
                "name": "Kundin AG",
                "vat_id": "",
            },
            "due_at": "2026-03-15T00:00:00Z",
            "due_cents": "43",
            "entity": "main",
            "issued_at": "2026-03-01T00:00:00Z",
            "kind": "invoice",
            "lines": [
                {
                    "absorbed_nano": "0",
                    "line": 1,
                    "list_nano": "150003000",
                    "meter": "output_text",
                    "model": "m",
                    "nano_per_million": "3000000000",
                    "net_nano": "120002400",
                    "requests": 1,
                    "tax_basis_points": 1900,
                    "tier": "priority",
                    "units": "50001",
                },
                {
                    "absorbed_nano": "0",
                    "line": 2,
                    "list_nano": "666686000",
                    "meter": "input_text",
                    "model": "m",
                    "nano_per_million": "2000000000",
                    "net_nano": "666686000",
                    "requests": 2,
                    "tax_basis_points": 1900,
                    "tier": "standard",
                    "units": "333343",
                },
                {
                    "absorbed_nano": "50020000",
                    "line": 3,
                    "list_nano": "446914000",
                    "meter": "output_text",
                    "model": "m",
                    "nano_per_million": "2000000000",
                    "net_nano": "396894000",
                    "requests": 2,
                    "tax_basis_points": 1900,
                    "tier": "standard",
                    "units": "223457",
                },
            ],
            "net_nano": "1183582400",
            "number": "INV-2026-000001",
            "organisation_id": "org_1",
            "owed_nano": "433582400",
            "paid_by": [
                {"amount_nano": "500000000", "source": "promo"},
                {"amount_nano": "250000000", "source": "prepaid"},
            ],
            "period_end": "2026-03-01T00:00:00Z",
            "period_start": "2026-02-01T00:00:00Z",
            "receipts": [1, 3],
            "requests": 3,
            "rounding": "Lines are exact, in nano-USD (10^-9 dollars). What is to be paid is rounded once, half to even, to whole cents; the rest is carried to the next invoice. Tax is rounded once per rate.",
            "seller": {
                "address": ["Hauptstraße 1", "10115 Berlin"],
                "country": "DE",
                "name": "Portico Models GmbH",
                "vat_id": "DE123456789",
            },
            "tax_note": "",
            "tax_point": "use",
            "taxes": [
                {
                    "base_nano": "683582400",
                    "basis_points": 1900,
                    "country": "DE",
                    "kind": "standard",
                    "net_nano": "1183582400",
                    "tax_cents": "13",
                }
            ],
            "total_cents": "56",
        }
    )
    right(shop)


def test_its_hash_is_that_of_sorted_json_without_spaces(shop: Shop) -> None:
    shop.may_owe(2**61)
    shop.uses({"input_text": 10**12})
    shop.now_ms = ms("2026-03-01")
    made = shop.invoice("2026-02")
    plain = json.dumps(
        json.loads(made.document), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    assert made.document == plain
    assert made.sha256 == hashlib.sha256(plain.encode()).hexdigest()
    assert encode(decode(made.document)).decode() == made.document
    numbers = [value for key, value in _leaves(json.loads(plain)) if key.endswith("_nano")]
    assert numbers
    assert all(isinstance(value, str) for value in numbers), "readers round integers above 2**53"


def _leaves(value: object, key: str = "") -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [leaf for name, each in value.items() for leaf in _leaves(each, name)]
    if isinstance(value, list):
        return [leaf for each in value for leaf in _leaves(each, key)]
    return [(key, value)]


def test_a_period_has_one_invoice_however_often_it_is_made(shop: Shop) -> None:
    shop.uses({"input_text": 1_000_000})
    shop.now_ms = ms("2026-03-01")
    first = service.make(shop.database, "org_1", month("2026-02"), seller(), shop.now_ms)
    again = service.make(shop.database, "org_1", month("2026-02"), seller(), shop.now_ms + 5)
    assert (first.new, again.new, first.invoice == again.invoice) == (True, False, True)
    assert shop.rows("SELECT last FROM invoice_series") == [(1,)]
    right(shop)


def test_two_who_read_the_same_receipts_write_one_invoice(shop: Shop) -> None:
    shop.uses({"input_text": 1_000_000})
    shop.now_ms = ms("2026-03-01")
    read = [
        shop.do(lambda t: service.draft(t, "org_1", month("2026-02"), seller(), shop.now_ms))
        for _ in range(2)
    ]
    shop.do(lambda t: service.finalise(t, read[0], seller(), shop.now_ms))
    with pytest.raises(service.Overtaken):
        shop.do(lambda t: service.finalise(t, read[1], seller(), shop.now_ms))
    assert shop.rows("SELECT last FROM invoice_series") == [(1,)], "no number was used up"


def test_what_is_charged_late_comes_with_the_next_invoice(shop: Shop) -> None:
    shop.now_ms = ms("2026-02-28T23:59")
    shop.uses({"input_text": 1_000})
    shop.now_ms = ms("2026-03-01")
    shop.uses({"input_text": 5_000})
    february = shop.invoice("2026-02", by=seller(party=UNTAXED))
    shop.now_ms = ms("2026-02-28T23:58")  # a machine whose clock is behind
    shop.uses({"input_text": 70_000})
    shop.now_ms = ms("2026-04-01")
    march = shop.invoice("2026-03", by=seller(party=UNTAXED))
    assert [each.invoice.lines[0].units for each in (february, march)] == [1_000, 75_000]
    assert [each.invoice.receipts for each in (february, march)] == [(1, 1), (2, 3)]
    right(shop)


def test_a_month_may_be_invoiced_in_parts(shop: Shop) -> None:
    shop.uses({"input_text": 1_000})
    shop.now_ms = ms("2026-02-10")
    first = shop.invoice(Period(month("2026-02").start_ms, shop.now_ms))
    shop.uses({"input_text": 20_000})
    with pytest.raises(NotInvoiced, match="not over"):
        shop.invoice("2026-02")
    shop.now_ms = ms("2026-03-01")
    rest = shop.invoice("2026-02")
    assert rest.invoice.period_start == first.invoice.period_end == "2026-02-10T00:00:00Z"
    assert [each.invoice.lines[0].units for each in (first, rest)] == [1_000, 20_000]
    right(shop)


def test_months_are_invoiced_in_order(shop: Shop) -> None:
    shop.uses({"input_text": 1_000})
    shop.now_ms = ms("2026-03-05")
    shop.uses({"input_text": 1_000})
    shop.now_ms = ms("2026-04-05")
    with pytest.raises(NotInvoiced, match="use in 2026-02"):
        shop.invoice("2026-03")
    shop.invoice("2026-02")
    shop.invoice("2026-03")
    with pytest.raises(NotInvoiced, match="Nothing was charged"):
        shop.invoice(Period(month("2026-04").start_ms, shop.now_ms))
    right(shop)


def test_what_rounding_leaves_goes_on_to_the_next_invoice(shop: Shop) -> None:
    asked = []
    by = seller(party=UNTAXED)
    for text, following in (("2026-02", "03"), ("2026-03", "04"), ("2026-04", "05")):
        shop.now_ms = ms(f"{text}-02")
        shop.uses({"input_text": 2_000})  # 0.4 cents
        shop.now_ms = ms(f"2026-{following}-01")
        asked.append(shop.invoice(text, by=by).invoice)
    assert [each.due_cents for each in asked] == [0, 1, 0]
    assert [each.carried_out_nano for each in asked] == [4_000_000, -2_000_000, 2_000_000]
    assert asked[2].carried_in_nano == -2_000_000
    right(shop)


def test_promotional_and_prepaid_credit_are_payments(shop: Shop) -> None:
    shop.gets(DOLLAR, "promo")
    shop.gets(2 * DOLLAR)
    shop.uses({"input_text": 2_000_000})
    shop.now_ms = ms("2026-03-01")
    made = shop.invoice("2026-02").invoice
    assert made.net_nano == 4 * DOLLAR
    assert [(paid.source, paid.amount_nano) for paid in made.paid_by] == [
        ("promo", DOLLAR),
        ("prepaid", 2 * DOLLAR),
    ]
    assert (made.owed_nano, made.due_cents) == (DOLLAR, 100)
    assert made.taxes[0].base_nano == 3 * DOLLAR, "a gift is not taxed"
    assert made.total_cents == 100 + 57
    right(shop)


def test_tax_on_prepaid_credit_is_shown_once(shop: Shop) -> None:
    shop.gets(2 * DOLLAR)
    shop.uses({"input_text": 1_000_000})
    shop.now_ms = ms("2026-03-01")
    made = shop.invoice("2026-02", by=seller(tax_point="top_up")).invoice
    assert (made.total_cents, made.taxes[0].tax_cents) == (0, 0)
    assert made.tax_note == "Tax on prepaid credit was due when the credit was bought."
    right(shop)


def test_tax_is_owed_beside_the_credit_limit(shop: Shop) -> None:
    shop.may_owe(2 * DOLLAR)
    shop.uses({"input_text": 1_000_000})  # all that it may owe
    shop.now_ms = ms("2026-03-01")
    shop.invoice("2026-02")
    assert shop.posted("tax_due:org_1") == -380_000_000
    assert shop.posted("tax_payable") == 380_000_000
    assert shop.posted("receivable:org_1") == -2 * DOLLAR
    right(shop)


def test_a_rate_that_changes_counts_from_its_day(shop: Shop) -> None:
    shop.taxes("DE", 1600, "2026-02-15")
    shop.uses({"input_text": 1_000_000})
    shop.now_ms = ms("2026-02-15")
    shop.uses({"input_text": 1_000_000})
    shop.now_ms = ms("2026-03-01")
    made = shop.invoice("2026-02").invoice
    assert [(line.tax_basis_points, line.units) for line in made.lines] == [
        (1600, 1_000_000),
        (1900, 1_000_000),
    ]
    assert [(tax.basis_points, tax.tax_cents) for tax in made.taxes] == [(1600, 32), (1900, 38)]
    right(shop)


def test_reverse_charge_shows_no_tax_and_says_so(shop: Shop) -> None:
    shop.is_customer("FR", "FR 12 123 456 789")
    shop.uses({"input_text": 1_000_000})
    shop.now_ms = ms("2026-03-01")
    made = shop.invoice("2026-02").invoice
    assert (made.taxes, made.total_cents, made.customer.vat_id) == ((), 200, "FR12123456789")
    assert "Reverse charge" in made.tax_note
    assert made.lines[0].tax_basis_points is None
    right(shop)


def test_what_ran_beyond_its_hold_is_on_the_invoice_and_not_charged(shop: Shop) -> None:
    shop.uses({"input_text": 100_000, "output_text": 200_000}, hold_nano=3 * DOLLAR // 10)
    shop.now_ms = ms("2026-03-01")
    made = shop.invoice("2026-02").invoice
    found = [(line.meter, line.net_nano, line.absorbed_nano) for line in made.lines]
    assert found == [
        ("input_text", 200_000_000, 0),
        ("output_text", 100_000_000, 300_000_000),
    ]
    assert made.net_nano == 300_000_000
    right(shop)


def test_each_organisation_has_its_own_invoices(shop: Shop) -> None:
    shop.may_owe(DOLLAR, "org_2")
    shop.uses({"input_text": 1_000})
    for _ in range(3):
        shop.uses({"input_text": 2_000}, owner="org_2")
    shop.now_ms = ms("2026-03-01")
    shop.uses({"input_text": 70_000})
    made = [shop.invoice("2026-02", owner) for owner in ("org_1", "org_2")]
    assert [each.number for each in made] == ["INV-2026-000001", "INV-2026-000002"]
    assert [each.invoice.lines[0].units for each in made] == [1_000, 6_000]
    assert [each.invoice.carried_in_nano for each in made] == [0, 0]
    assert made[1].invoice.customer.name == "org_2 Ltd", "nobody said who it is"
    shop.now_ms = ms("2026-04-01")
    assert shop.invoice("2026-03").invoice.receipts == (2, 2)
    right(shop)


def test_a_preview_writes_nothing(shop: Shop) -> None:
    shop.uses({"input_text": 1_000_000})
    now_ms = ms("2026-02-20")
    wanted = Period(month("2026-02").start_ms, now_ms)
    shown = service.preview(shop.database, "org_1", wanted, seller(), now_ms)
    assert (shown.number, shown.total_cents) == ("", 238)
    assert shop.rows("SELECT * FROM invoice") == []
    assert shop.rows("SELECT * FROM invoice_series") == []


@pytest.mark.parametrize(
    ("by", "owner", "says"),
    [
        (seller(party=Party(name="", address=(), country="", vat_id="")), "org_1", "seller_name"),
        (seller(), "org_9", "no organisation 'org_9'"),
        (seller(party=msgspec.structs.replace(UNTAXED, country="AT")), "org_2", "rate of AT"),
    ],
)
def test_what_cannot_be_invoiced_is_said(shop: Shop, by: object, owner: str, says: str) -> None:
    shop.may_owe(DOLLAR, "org_2")
    shop.uses({"input_text": 1_000}, owner="org_2")
    shop.now_ms = ms("2026-03-01")
    with pytest.raises(NotInvoiced, match=says):
        shop.invoice("2026-02", owner, by=by)  # type: ignore[arg-type]  # parametrised
    assert shop.rows("SELECT * FROM invoice") == []


def test_a_receipt_that_its_accounts_did_not_pay_is_not_invoiced(shop: Shop) -> None:
    request_id = shop.uses({"input_text": 1_000})

    def spoil(transaction: Transaction) -> None:
        transaction.run("INSERT INTO txn VALUES ('x', 'x', '', '', 0)")
        if transaction.dialect == "sqlite":
            transaction.run("DROP TRIGGER entry_refuses_delete")
        else:
            transaction.run("ALTER TABLE entry DISABLE TRIGGER USER")
        transaction.run("DELETE FROM entry WHERE txn_id = ?", (f"settle:{request_id}",))

    shop.do(spoil)
    shop.now_ms = ms("2026-03-01")
    with pytest.raises(NotInvoiced, match=f"receipt {request_id}"):
        shop.invoice("2026-02")


def test_a_receipt_whose_lines_do_not_add_up_is_not_invoiced(shop: Shop) -> None:
    request_id = shop.uses({"input_text": 1_000})

    def spoil(transaction: Transaction) -> None:
        if transaction.dialect == "sqlite":
            transaction.run("DROP TRIGGER charge_refuses_update")
        else:
            transaction.run("ALTER TABLE charge DISABLE TRIGGER USER")
        transaction.run("UPDATE charge SET absorbed_nano = absorbed_nano + 1")

    shop.do(spoil)
    shop.now_ms = ms("2026-03-01")
    with pytest.raises(NotInvoiced, match=f"receipt {request_id}"):
        shop.invoice("2026-02")


# -- what is final --------------------------------------------------------------------------------


@pytest.fixture
def made(shop: Shop) -> Stored:
    shop.uses({"input_text": 1_000_000})
    shop.now_ms = ms("2026-03-01")
    return shop.invoice("2026-02")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE invoice SET due_cents = 0",
        "UPDATE invoice SET document = '{}'",
        "DELETE FROM invoice",
        "DELETE FROM tax_rate",
    ],
)
def test_what_is_final_is_not_changed(shop: Shop, made: Stored, sql: str) -> None:
    with pytest.raises((DBAPIError, *REFUSED), match="append-only"):
        shop.do(lambda t: t.run(sql))


COLUMNS = (
    "organisation_id, kind, entity, year, sequence, number, corrects_id, first_sequence, "
    "last_sequence, period_start_ms, period_end_ms, issued_at_ms, due_at_ms, owed_nano, "
    "due_cents, tax_cents, document, sha256"
)
FRESH = {
    "sequence": "2",
    "number": "'n'",
    "first_sequence": "2",
    "last_sequence": "2",
    "period_start_ms": "period_end_ms",
    "period_end_ms": "period_end_ms + 1",
}
NOTE = {
    "kind": "'credit_note'",
    "corrects_id": "id",
    "number": "'n'",
    "first_sequence": "NULL",
    "last_sequence": "NULL",
    "period_start_ms": "NULL",
    "period_end_ms": "NULL",
    "owed_nano": "-1",
    "due_cents": "-1",
    "tax_cents": "-1",
}


def insert(shop: Shop, changes: dict[str, str]) -> None:
    values = ", ".join(changes.get(name, name) for name in COLUMNS.split(", "))
    sql = f"INSERT INTO invoice (id, {COLUMNS}) SELECT 'other', {values} FROM invoice"
    shop.do(lambda t: t.run(sql))


@pytest.mark.parametrize("row", [FRESH, NOTE], ids=["invoice", "note"])
def test_a_row_that_is_right_is_taken(shop: Shop, made: Stored, row: dict[str, str]) -> None:
    insert(shop, row)
    assert len(shop.rows("SELECT id FROM invoice")) == 2


@pytest.mark.parametrize(
    ("row", "changes"),
    [
        (FRESH, {"sequence": "sequence"}),
        (FRESH, {"number": "number"}),
        (FRESH, {"first_sequence": "first_sequence"}),
        (FRESH, {"period_start_ms": "period_start_ms"}),
        (FRESH, {"sequence": "0"}),
        (FRESH, {"last_sequence": "1"}),
        (FRESH, {"period_end_ms": "period_start_ms"}),
        (FRESH, {"kind": "'letter'"}),
        (FRESH, {"corrects_id": "id"}),
        (FRESH, {"first_sequence": "NULL"}),
        (FRESH, {"owed_nano": "-1"}),
        (FRESH, {"due_cents": "-1"}),
        (FRESH, {"tax_cents": "-1"}),
        (NOTE, {"corrects_id": "NULL"}),
        (NOTE, {"corrects_id": "'nothing'"}),
        (NOTE, {"first_sequence": "9", "last_sequence": "9"}),
        (NOTE, {"owed_nano": "1"}),
        (NOTE, {"due_cents": "1"}),
        (NOTE, {"tax_cents": "1"}),
    ],
)
def test_the_database_refuses_what_cannot_be(
    shop: Shop, made: Stored, row: dict[str, str], changes: dict[str, str]
) -> None:
    with pytest.raises(REFUSED):
        insert(shop, row | changes)
    assert len(shop.rows("SELECT id FROM invoice")) == 1


@pytest.mark.parametrize(
    "values",
    ["'i', 0, 0, 1", "'i', -1, 5, 1", "'i', 5, -1, 1", "'nothing', 1, 0, 1"],
)
def test_the_database_refuses_payments_of_nothing(shop: Shop, made: Stored, values: str) -> None:
    values = values.replace("'i'", f"'{made.id}'")
    with pytest.raises(REFUSED):
        shop.do(lambda t: t.run(f"INSERT INTO invoice_payment VALUES ('p', {values})"))


# -- customers ------------------------------------------------------------------------------------


def test_a_customer_is_described_anew_for_the_next_invoice_only(shop: Shop, made: Stored) -> None:
    shop.is_customer("AT", "atu 1234.5678")
    found = shop.do(lambda t: customers.customer_of(t, "org_1"))
    assert (found.party.country, found.party.vat_id) == ("AT", "ATU12345678")
    assert (found.party.address, found.mail) == (("Ring 5", "80331 München"), "pay@example.org")
    again = shop.do(lambda t: service.find(t, made.number))
    assert again.invoice.customer.country == "DE"


@pytest.mark.parametrize(
    ("owner", "name", "country", "vat", "error"),
    [
        ("org_9", "N", "DE", "", NotInvoiced),
        ("org_1", " ", "DE", "", NotInvoiced),
        ("org_1", "N", "DEU", "", NotInvoiced),
        ("org_1", "N", "D1", "", NotInvoiced),
        ("org_1", "N", "DE", "DE12", VatIdWrong),
    ],
)
def test_customers_that_cannot_be_are_refused(
    shop: Shop, owner: str, name: str, country: str, vat: str, error: type[Exception]
) -> None:
    party = Party(name=name, address=(), country=country, vat_id=vat)
    wish = Customer(owner, party, "standard", "")
    with pytest.raises(error):
        shop.do(lambda t: customers.set_customer(t, wish, 1))


def test_a_tax_rate_is_added_once_and_never_changed(shop: Shop) -> None:
    def add(rate: TaxRate) -> bool:
        return shop.do(lambda t: customers.add_tax_rate(t, rate, "ada", 1))

    assert add(TaxRate("fr", "standard", 2000, 5)) is True
    assert add(TaxRate("FR", "standard", 2100, 5)) is False
    assert add(TaxRate("FR", "reduced", 550, 5)) is True
    found = shop.do(customers.tax_rates)
    assert [rate.basis_points for rate in found if rate.country == "FR"] == [550, 2000]
    for wrong in (-1, 10_001):
        with pytest.raises(NotInvoiced, match="between 0 and 100"):
            add(TaxRate("FR", "other", wrong, 5))


def test_documents_are_found_by_number_and_id(shop: Shop, made: Stored) -> None:
    for name in (made.number, made.id):
        assert shop.do(partial(service.find, name=name)) == made
    with pytest.raises(NotInvoiced, match="no invoice or credit note 'INV-1'"):
        shop.do(lambda t: service.find(t, "INV-1"))
    shop.uses({"input_text": 1_000})
    shop.now_ms = ms("2026-04-01")
    other = shop.invoice("2026-03", by=seller(entity="other"))
    assert other.number == made.number, "each entity has its own series"
    with pytest.raises(NotInvoiced, match=f"several entities.*{other.id}"):
        shop.do(lambda t: service.find(t, made.number))
