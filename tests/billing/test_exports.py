"""Exports are the ledger: the same rows, the same sums, to the nano; and never all of it in memory."""

import csv
import json
import sys
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.billing.credits import Credit, grant
from portico.billing.exports import focus
from portico.billing.exports.parquet import ExtraMissing
from portico.billing.exports.service import Format, text_lines, write_file
from portico.canon.usage import Meters
from portico.db.database import Database
from portico.db.transaction import Row, Transaction
from portico.ledger import receipts
from portico.ledger import service as ledger
from portico.ledger.model import Wish
from portico.ledger.receipts import EVERYTHING, Span
from portico.ledger.rules import GENESIS, link
from portico.metering.bill import settlement_of
from portico.pricing.model import Pinned, Quote
from tests.billing.books import DAY_MS, NOW_MS, Books

QUOTE = Quote(
    model="m",
    tier="standard",
    terms_id="t",
    share_numerator=1,
    share_denominator=3,
    prices=(
        Pinned("p_in", "input_text", 0, 1_500_000_000),
        Pinned("p_out", "output_text", 0, 7_000_000_001),
        Pinned("p_req", "request", 0, 1_000_000_007),
    ),
)
SELLER = "We, Inc."


@pytest.fixture
def books(database: Database) -> Books:
    """Twelve requests of two organisations over four days; some cost more than was set aside."""
    made = Books(database)

    def begin(transaction: Transaction) -> None:
        transaction.run(
            "INSERT INTO organisation (id, name, created_at_ms) VALUES ('org_2', 'Two, \"2\"', 1)"
        )
        transaction.run(
            "INSERT INTO terms VALUES ('t', 'org_1', 'prepaid', '', 1, 3, '[]', '', 0, 'me', 0)"
        )
        for owner in ("org_1", "org_2"):
            grant(transaction, Credit(owner, owner, 10**9, "paid", None, ""), NOW_MS)

    made.do(begin)
    for number in range(12):
        charge(made, number)
    return made


def charge(books: Books, number: int) -> None:
    owner = ("org_1", "org_2")[number % 2]
    now_ms = NOW_MS + number * DAY_MS // 3
    request_id = f"req_{number:02}"
    meters = Meters(input_text=7 + number, output_text=3 * number)
    end = settlement_of(request_id, "completed", QUOTE, meters, "proj_1", "key_1")
    assert end.bill is not None
    held_nano = end.bill.net_nano - (1_000 if number % 5 == 0 else 0)
    wish = Wish(request_id, owner, held_nano, (), "{}", DAY_MS)
    books.do(lambda t: ledger.hold(t, [wish], now_ms, "inst_1"))
    books.do(lambda t: ledger.settle(t, [end], now_ms))


def rows_of(books: Books, format: Any, span: Span = EVERYTHING) -> list[dict[str, str]]:
    text = books.do(lambda t: "".join(text_lines(t, format, span, SELLER)))
    if format == "jsonl":
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(StringIO(text)))


def charged(books: Books, where: str = "") -> int:
    return int(books.rows(f"SELECT sum(net_nano) FROM charge {where}")[0][0])


def test_jsonl_has_every_receipt_with_the_bytes_that_were_hashed(books: Books) -> None:
    text = books.do(lambda t: list(text_lines(t, "jsonl", EVERYTHING, SELLER)))
    assert len(text) == 12
    last = {"org_1": GENESIS, "org_2": GENESIS}
    for line in text:
        body = line[len('{"receipt":') : line.index(',"previous_hash"')].encode()
        found = json.loads(line)
        owner = found["receipt"]["organisation_id"]
        last[owner] = link(last[owner], body)
        assert found["hash"] == last[owner].hex()


def test_csv_has_every_receipt_and_its_sum(books: Books) -> None:
    rows = rows_of(books, "csv")
    assert len(rows) == 12
    assert sum(int(row["net_nano"]) for row in rows) == charged(books)
    assert {json.loads(row["lines"])[0]["meter"] for row in rows} == {"input_text"}


def test_parquet_has_every_receipt_and_its_sum(books: Books, tmp_path: Path) -> None:
    path = tmp_path / "all.parquet"
    assert books.do(lambda t: write_file(t, "parquet", EVERYTHING, path, SELLER)) == 12
    table = pyarrow.parquet.read_table(path).to_pylist()
    assert sum(row["net_nano"] for row in table) == charged(books)
    entered = {row["request_id"]: row for row in table}["req_03"]
    assert [line["units"] for line in entered["lines"]] == [10, 9, 1]
    assert entered["charged_at"].isoformat() == "2026-11-22T00:00:00+00:00"
    assert list(table[0]) == [
        name if name != "charged_at_ms" else "charged_at"
        for name in (*receipts.Receipt.__struct_fields__, "previous_hash", "hash")
    ]


def test_focus_has_a_row_for_each_meter_line_and_its_sums_are_the_ledgers(books: Books) -> None:
    rows = rows_of(books, "focus")
    lines = [json.loads(row[0]) for row in books.rows("SELECT lines FROM charge")]
    usage = [row for row in rows if row["ChargeCategory"] == "Usage"]
    absorbed = [row for row in rows if row["ChargeCategory"] == "Adjustment"]
    assert len(usage) == sum(len(each) for each in lines)
    assert (len(absorbed), len(usage) + len(absorbed)) == (3, len(rows))
    billed = sum(Decimal(row["BilledCost"]) for row in rows)
    assert billed * 10**9 == charged(books)
    assert sum(int(row["x_NetNanoUsd"]) for row in rows) == charged(books)
    listed = sum(Decimal(row["ListCost"]) for row in rows)
    assert listed * 10**9 == books.rows("SELECT sum(list_nano) FROM charge")[0][0]


def test_focus_says_what_its_columns_mean(books: Books) -> None:
    rows = [row for row in rows_of(books, "focus") if row["x_RequestId"] == "req_03"]
    inputs, outputs, request = rows
    assert (inputs["SkuId"], inputs["PricingUnit"], inputs["PricingQuantity"]) == (
        "m/input_text/standard",
        "Tokens",
        "10",
    )
    assert (request["PricingUnit"], request["SkuPriceId"]) == ("Requests", "p_req")
    assert (outputs["ListUnitPrice"], outputs["ContractedUnitPrice"]) == (
        "0.000007000000001000",
        "0.000002333333333667",
    )
    assert (inputs["ChargePeriodStart"], inputs["ChargePeriodEnd"]) == (
        "2026-11-22T00:00:00Z",
        "2026-11-22T01:00:00Z",
    )
    assert (inputs["BillingPeriodStart"], inputs["BillingPeriodEnd"]) == (
        "2026-11-01T00:00:00Z",
        "2026-12-01T00:00:00Z",
    )
    assert (inputs["BillingAccountId"], inputs["BillingAccountName"]) == ("org_2", 'Two, "2"')
    assert (inputs["SubAccountName"], inputs["ResourceName"]) == ("P", "k")
    assert {row["ProviderName"] for row in rows} == {SELLER}


def test_focus_names_the_invoice_that_a_receipt_is_on(books: Books) -> None:
    row = (
        "'inv_1', 'org_1', 'invoice', 'main', 2026, 1, 'INV-1', NULL, 2, 4, 0, 1, 1, 1, 0, 0, 0, "
        "'{}', ''"
    )
    books.do(lambda t: t.run(f"INSERT INTO invoice VALUES ({row})"))
    found = {(row["x_RequestId"], row["InvoiceId"]) for row in rows_of(books, "focus")}
    on_it = {request_id for request_id, number in found if number == "INV-1"}
    assert on_it == {"req_02", "req_04", "req_06"}
    assert {number for _, number in found} == {"", "INV-1"}


def test_a_december_ends_with_the_year(books: Books) -> None:
    (found,) = books.do(lambda t: [receipts.of_request(t, "req_00")])
    assert found is not None
    receipt = receipts.Receipt(
        **{
            **{name: getattr(found[0], name) for name in found[0].__struct_fields__},
            "charged_at_ms": 1_798_761_599_999,  # 2026-12-31T23:59:59.999Z
        }
    )
    about = focus.About(SELLER, "", "", "", (1, 1))
    row = dict(zip(focus.COLUMNS, next(focus.rows(receipt, b"", about)), strict=True))
    assert row["BillingPeriodEnd"] == row["ChargePeriodEnd"] == "2027-01-01T00:00:00Z"
    assert row["x_ChargedAt"] == "2026-12-31T23:59:59.999Z"


@pytest.mark.parametrize("format", ["jsonl", "csv", "focus"])
def test_a_span_has_its_first_moment_and_not_its_last(books: Books, format: str) -> None:
    span = Span("org_1", NOW_MS, NOW_MS + 2 * DAY_MS)
    rows = rows_of(books, format, span)
    ids = {row.get("x_RequestId") or (row.get("receipt") or row)["request_id"] for row in rows}  # type: ignore[index]  # JSON nests
    assert ids == {"req_00", "req_02", "req_04"}, "req_06 is of the moment the span ends"


@pytest.mark.parametrize("format", ["jsonl", "csv", "focus", "parquet"])
def test_no_more_than_a_page_is_ever_in_memory(
    books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Format
) -> None:
    whole = books.do(lambda t: write_file(t, format, EVERYTHING, tmp_path / "whole", SELLER))
    monkeypatch.setattr(receipts, "PAGE", 5)
    asked: list[int] = []
    ask: Callable[..., list[Row]] = Transaction.rows

    def counted(self: Transaction, *arguments: Any) -> list[Row]:
        found = ask(self, *arguments)
        asked.append(len(found))
        return found

    monkeypatch.setattr(Transaction, "rows", counted)
    written = books.do(lambda t: write_file(t, format, EVERYTHING, tmp_path / "x", SELLER))
    assert (written, max(asked)) == (whole, 5), "each once, whatever the size of a page"


def test_a_file_is_whole_or_not_there(
    books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "all.csv"
    path.write_text("the one before")
    monkeypatch.setattr(receipts, "PAGE", 5)
    ask = receipts.store.charges
    left = [1]

    def fails(*arguments: Any) -> list[Row]:
        if not left:
            raise OSError(5, "the disk reports an error")
        left.pop()
        return ask(*arguments)

    monkeypatch.setattr(receipts.store, "charges", fails)
    with pytest.raises(OSError, match="the disk reports an error"):
        books.do(lambda t: write_file(t, "csv", EVERYTHING, path, SELLER))
    assert (path.read_text(), list(tmp_path.glob("*.part"))) == ("the one before", [])


def test_a_missing_extra_is_named(
    books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ExtraMissing, match=r"portico\[export\]"):
        books.do(lambda t: write_file(t, "parquet", EVERYTHING, tmp_path / "x", SELLER))
    assert list(tmp_path.glob("x*")) == []


@given(st.integers(-(2**63), 2**63))
def test_dollars_are_exact(nano: int) -> None:
    assert Fraction(focus.dollars(nano)) * 10**9 == nano


@given(st.integers(0, 10**15), st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_unit_price_is_within_half_of_its_last_digit(nano: int, over: int, under: int) -> None:
    assert Fraction(focus.unit_price(nano)) * 10**15 == nano
    exact = Fraction(nano * over, under * 10**15)
    assert abs(Fraction(focus.unit_price(nano, over, under)) - exact) <= Fraction(1, 2 * 10**18)
