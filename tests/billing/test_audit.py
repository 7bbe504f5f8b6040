"""The audit finds exactly what is wrong: each invariant is broken once, by hand, and it alone fails."""

from collections.abc import Callable
from typing import Any

import pytest

from portico.admission.rules import window_ms
from portico.billing.audit import audit
from portico.billing.credits import Credit, grant
from portico.billing.payments.model import BalanceLine
from portico.db.database import Database
from portico.db.transaction import Row, Transaction
from portico.ledger import receipts
from portico.ledger import service as ledger
from portico.ledger.model import Account, Limit, Posting
from tests.billing.books import DAY_MS, NOW_MS, Books

START_MS, END_MS = window_ms("day", NOW_MS)
LIMIT = Limit(f"limit:bud:{START_MS}", "key", "key_1", "day", 500, END_MS)


@pytest.fixture
def books(database: Database) -> Books:
    """Money came in, two requests were charged, one still runs."""
    made = Books(database)
    made.do(lambda t: grant(t, Credit("g", "org_1", 1_000, "paid", None, ""), NOW_MS))
    for number in (1, 2, 3):
        made.hold(f"req_{number}", 50, LIMIT)
    made.charge("req_1")
    made.charge("req_2")
    return made


def violations(books: Books, now_ms: int = NOW_MS) -> dict[str, tuple[str, ...]]:
    verdicts = books.do(lambda t: audit(t, now_ms))
    return {verdict.id: verdict.examples for verdict in verdicts if verdict.violations}


def test_books_that_are_right_pass(books: Books) -> None:
    verdicts = books.do(lambda t: audit(t, NOW_MS))
    assert [verdict.id for verdict in verdicts] == [f"R{number}" for number in range(1, 12)]
    assert sum(verdict.violations for verdict in verdicts) == 0
    assert [verdict.id for verdict in verdicts if not verdict.checked] == ["R6", "R7"]
    assert [verdict.id for verdict in verdicts if verdict.open] == ["R7", "R8"]


def test_empty_books_pass(database: Database) -> None:
    assert violations(Books(database)) == {}


def test_a_hold_that_outlives_its_time_is_found(books: Books) -> None:
    assert violations(books, NOW_MS + DAY_MS) == {"R4": ("req_3",)}


def _lift(transaction: Transaction, table: str) -> None:
    """Take the triggers away that keep a table as it is."""
    if transaction.dialect == "postgresql":
        transaction.run(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        return
    for (name,) in transaction.rows(
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", (table,)
    ):
        transaction.run(f"DROP TRIGGER {name}")


def planted(table: str, sql: str) -> Callable[[Transaction], None]:
    def plant(transaction: Transaction) -> None:
        _lift(transaction, table)
        assert transaction.run(sql) == 1

    return plant


@pytest.mark.parametrize(
    ("table", "sql", "found"),
    [
        (
            "entry",
            "UPDATE entry SET amount_nano = 11 WHERE txn_id = 'settle:req_1' "
            "AND account_id = 'revenue'",
            {"R1": ("settle:req_1",), "R2": ("revenue",)},
        ),
        (
            "account",
            "UPDATE account SET posted_nano = posted_nano + 1 WHERE id = 'prepaid:org_1'",
            {"R2": ("prepaid:org_1",)},
        ),
        (
            "account",
            f"UPDATE account SET posted_nano = posted_nano + 1 WHERE id = '{LIMIT.account_id}'",
            {"R2": (LIMIT.account_id,)},
        ),
        (
            "account",
            "UPDATE account SET held_nano = held_nano + 1 WHERE id = 'prepaid:org_1'",
            {"R3": ("prepaid:org_1",)},
        ),
        (
            "hold",
            "UPDATE hold SET state = 'settled' WHERE id = 'req_3'",
            {"R3": (LIMIT.account_id, "prepaid:org_1"), "R5": ("req_3",)},
        ),
        ("hold", "UPDATE hold SET state = 'void' WHERE id = 'req_1'", {"R5": ("req_1",)}),
        (
            "charge",
            "UPDATE charge SET outcome = 'client_gone' WHERE id = 'req_1'",
            {"R10": ("req_1",)},
        ),
        (
            "charge",
            "UPDATE charge SET previous_hash = hash WHERE id = 'req_2'",
            {"R10": ("req_2",)},
        ),
        (
            "charge",
            "UPDATE charge SET list_nano = 11 WHERE id = 'req_1'",
            {"R10": ("req_1",), "R11": ("req_1",)},
        ),
        (
            "charge",
            "UPDATE charge SET absorbed_nano = 1 WHERE id = 'req_2'",
            {"R10": ("req_2",), "R11": ("req_2",)},
        ),
        ("chain", "UPDATE chain SET sequence = 3", {"R10": ("org_1",)}),
    ],
)
def test_what_is_wrong_is_found_and_nothing_else(
    books: Books, table: str, sql: str, found: dict[str, tuple[str, ...]]
) -> None:
    books.do(planted(table, sql))
    assert violations(books) == found


def test_a_charge_that_was_taken_out_is_missed(books: Books) -> None:
    books.do(planted("charge", "DELETE FROM charge WHERE id = 'req_1'"))
    assert violations(books) == {
        "R2": (LIMIT.account_id,),
        "R5": ("req_1",),
        "R10": ("req_2",),
    }


def test_a_cost_of_supply_that_no_bill_shows_is_found(books: Books) -> None:
    def book(transaction: Transaction) -> None:
        for name, kind in (("cogs:x", "cogs"), ("provider_payable:x", "provider_payable")):
            account = Account(name, kind, "", 0, 0, None, 0, None, NOW_MS)  # type: ignore[arg-type]  # two of the kinds
            ledger.open_account(transaction, account)
        entries = (("cogs:x", -5), ("provider_payable:x", 5))
        ledger.post(transaction, [Posting("supply", "supply", "", "", entries)], NOW_MS)

    books.do(book)
    assert violations(books) == {"R8": ("cogs:x", "provider_payable:x")}


def test_what_the_provider_says_is_compared_line_by_line(books: Books) -> None:
    def book(transaction: Transaction) -> None:
        stripe = Account("cash_clearing:stripe", "cash_clearing", "", 0, 0, None, 0, None, NOW_MS)
        ledger.open_account(transaction, stripe)
        for name, nano in (("pi_1", 5), ("pi_2", 7)):
            entries = (("cash_clearing:stripe", -nano), ("prepaid:org_1", nano))
            ledger.post(transaction, [Posting(name, "top_up", "org_1", "", entries)], NOW_MS)

    books.do(book)

    def found(*moved: tuple[str, int], now_ms: int = NOW_MS + DAY_MS // 2) -> tuple[str, ...]:
        lines = [BalanceLine(name, nano, NOW_MS) for name, nano in moved]
        verdicts = books.do(lambda t: audit(t, now_ms, lines))
        (seventh,) = (verdict for verdict in verdicts if verdict.id == "R7")
        assert seventh.checked == len({"pi_1", "pi_2"} | {name for name, _ in moved})
        return seventh.examples

    assert found(("pi_1", 5), ("pi_2", 7)) == ()
    assert found(("pi_1", 5), ("pi_2", 8), ("pi_3", 1)) == ("pi_2", "pi_3")
    assert found(("pi_1", 5)) == ("pi_2",)
    assert found(("pi_1", 5), ("pi_3", 1), now_ms=NOW_MS) == (), "both may be on their way"


def test_the_audit_reads_a_page_at_a_time(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4, 14):
        books.hold(f"req_{number}", 50, LIMIT)
        books.charge(f"req_{number}")
    monkeypatch.setattr(receipts, "PAGE", 5)
    asked: list[int] = []
    ask = Transaction.rows

    def counted(self: Transaction, *arguments: Any) -> list[Row]:
        found = ask(self, *arguments)
        asked.append(len(found))
        return found

    monkeypatch.setattr(Transaction, "rows", counted)
    accounts = len(books.rows("SELECT id FROM account"))
    assert violations(books) == {}
    checked = {each.id: each.checked for each in books.do(lambda t: audit(t, NOW_MS))}
    assert (checked["R1"], checked["R5"], checked["R10"], checked["R11"]) == (13, 12, 13, 12)
    assert max(asked) <= max(5, accounts), "accounts are few"
