"""The comparison of invoices with receipts finds exactly what is wrong."""

from collections.abc import Callable

import pytest

from portico.billing.invoices.check import invoice_differences
from portico.db.database import Database
from portico.db.transaction import Transaction
from tests.billing.invoices.shop import DOLLAR, Shop, ms


@pytest.fixture
def shop(database: Database) -> Shop:
    """Two invoices, a credit note, a payment, and use that is not invoiced yet."""
    made = Shop(database, now_ms=ms("2026-02-03"))
    made.may_owe(100 * DOLLAR)
    made.taxes("DE", 1900)
    made.uses({"input_text": 1_000_000})
    made.now_ms = ms("2026-03-01")
    first = made.invoice("2026-02")
    made.uses({"input_text": 1_000_003})
    made.credits(first, {1: DOLLAR})
    made.now_ms = ms("2026-04-01")
    made.invoice("2026-03")
    made.pays(first, 50)
    made.uses({"input_text": 5})
    return made


def wrong(shop: Shop) -> list[str]:
    return [name for name, ok in shop.do(lambda t: list(invoice_differences(t))) if not ok]


def test_invoices_that_are_right_pass(shop: Shop) -> None:
    found = shop.do(lambda t: list(invoice_differences(t)))
    assert found == [
        ("INV-2026-000001", True),
        ("CN-2026-000001", True),
        ("INV-2026-000002", True),
        ("org_1", True),
        ("main credit_note 2026", True),
        ("main invoice 2026", True),
    ]


def planted(table: str, sql: str) -> Callable[[Transaction], None]:
    def plant(transaction: Transaction) -> None:
        if transaction.dialect == "postgresql":
            transaction.run(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        else:
            for (name,) in transaction.rows(
                "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", (table,)
            ):
                transaction.run(f"DROP TRIGGER {name}")
        assert transaction.run(sql) == 1

    return plant


FIRST = "number = 'INV-2026-000001'"


@pytest.mark.parametrize(
    ("table", "sql", "found"),
    [
        (
            "invoice",
            f"UPDATE invoice SET sha256 = 'x' WHERE {FIRST}",
            ["INV-2026-000001"],
        ),
        (
            "invoice",
            "UPDATE invoice SET sha256 = 'x' WHERE kind = 'credit_note'",
            ["CN-2026-000001"],
        ),
        (
            "invoice",
            f"UPDATE invoice SET due_cents = due_cents + 1 WHERE {FIRST}",
            ["INV-2026-000001"],
        ),
        (
            "invoice",
            f"UPDATE invoice SET tax_cents = tax_cents + 1 WHERE {FIRST}",
            ["INV-2026-000001"],
        ),
        (
            "invoice",
            f"UPDATE invoice SET owed_nano = owed_nano + 1 WHERE {FIRST}",
            ["INV-2026-000001", "org_1"],
        ),
        (
            "invoice",
            "UPDATE invoice SET owed_nano = owed_nano - 1 WHERE kind = 'credit_note'",
            ["org_1"],
        ),
        (
            "charge",
            "UPDATE charge SET net_nano = net_nano + 1 WHERE sequence = 1",
            ["INV-2026-000001"],
        ),
        (
            "charge",
            "UPDATE charge SET model = 'other' WHERE sequence = 2",
            ["INV-2026-000002"],
        ),
        (
            "charge",
            "UPDATE charge SET lines = replace(lines, '1000003', '1000004') WHERE sequence = 2",
            ["INV-2026-000002"],
        ),
        (
            "invoice_payment",
            "UPDATE invoice_payment SET due_cents = due_cents + 1",
            ["org_1"],
        ),
        (
            "invoice",
            "UPDATE invoice SET sequence = 3 WHERE number = 'INV-2026-000002'",
            ["main invoice 2026"],
        ),
        (
            "invoice_series",
            "UPDATE invoice_series SET last = 3 WHERE kind = 'invoice'",
            ["main invoice 2026"],
        ),
        (
            "invoice_series",
            "DELETE FROM invoice_series WHERE kind = 'invoice'",
            ["main invoice 2026"],
        ),
    ],
)
def test_what_is_wrong_is_found_and_nothing_else(
    shop: Shop, table: str, sql: str, found: list[str]
) -> None:
    shop.do(planted(table, sql))
    assert wrong(shop) == found


def test_a_charge_that_went_missing_is_missed(shop: Shop) -> None:
    shop.do(planted("charge", "DELETE FROM charge WHERE sequence = 1"))
    assert wrong(shop) == ["INV-2026-000001"]


def test_an_invoice_that_went_missing_is_missed(shop: Shop) -> None:
    shop.do(planted("invoice", "DELETE FROM invoice WHERE number = 'INV-2026-000002'"))
    assert wrong(shop) == ["main invoice 2026"]


def test_receipts_between_two_invoices_are_missed(database: Database) -> None:
    shop = Shop(database, now_ms=ms("2026-02-03"))
    shop.may_owe(100 * DOLLAR)
    shop.taxes("DE", 1900)
    for following in ("2026-03-01", "2026-04-01"):
        shop.uses({"input_text": 1_000_000})
        month = "2026-02" if following == "2026-03-01" else "2026-03"
        shop.now_ms = ms(following)
        shop.invoice(month)
    shop.do(planted("invoice", f"DELETE FROM invoice WHERE {FIRST}"))
    assert wrong(shop) == ["INV-2026-000002", "org_1", "main invoice 2026"]


def test_a_line_that_was_taken_back_too_often_is_found(shop: Shop) -> None:
    columns = (
        "organisation_id, kind, entity, year, {}, {}, corrects_id, first_sequence, last_sequence, "
        "period_start_ms, period_end_ms, issued_at_ms, due_at_ms, {}, {}, {}, document, sha256"
    )
    names = columns.format("sequence", "number", "owed_nano", "due_cents", "tax_cents")
    for place in (2, 3):
        copied = columns.format(place, f"'again {place}'", 0, 0, 0)
        shop.do(
            planted(
                "invoice",
                f"INSERT INTO invoice (id, {names}) SELECT 'n{place}', {copied} FROM invoice "
                "WHERE number = 'CN-2026-000001'",
            )
        )
    shop.do(lambda t: t.run("UPDATE invoice_series SET last = 3 WHERE kind = 'credit_note'"))
    assert wrong(shop) == ["again 3"], "$3 of a line of $2"
