"""Rounding, months and taxes, without a database."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portico.billing.invoices import rules
from portico.billing.invoices.model import CENT_NANO, NotInvoiced, Period, TaxRate
from portico.billing.invoices.tax import EU, VatIdWrong, rate_at, rule_for, vat_id
from tests.billing.invoices.shop import DAY_MS, ms, seller


@example(5, 10)
@example(15, 10)
@example(-5, 10)
@example(-15, 10)
@given(st.integers(-(10**25), 10**25), st.integers(1, 10**12))
def test_rounding_is_that_of_fractions(numerator: int, denominator: int) -> None:
    assert rules.half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@given(st.integers(0, 2**62), st.integers(-2 * CENT_NANO, 2 * CENT_NANO))
def test_what_is_carried_on_is_half_a_cent_at_most_or_in_the_customers_favour(
    owed_nano: int, carried_nano: int
) -> None:
    cents = rules.due_cents(owed_nano, carried_nano)
    left_nano = owed_nano + carried_nano - cents * CENT_NANO
    assert cents >= 0
    assert abs(2 * left_nano) <= CENT_NANO or (cents == 0 and left_nano < 0)


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=40))
def test_carrying_keeps_any_number_of_invoices_within_half_a_cent(owed: list[int]) -> None:
    carried_nano = paid_cents = 0
    for nano in owed:
        cents = rules.due_cents(nano, carried_nano)
        carried_nano += nano - cents * CENT_NANO
        paid_cents += cents
    assert abs(2 * (sum(owed) - paid_cents * CENT_NANO)) <= CENT_NANO


@given(st.integers(0, 2**62), st.integers(0, 10_000), st.integers(0, 100), st.integers(1, 100))
def test_tax_is_one_rounding_of_the_exact_share(
    base_nano: int, basis_points: int, numerator: int, denominator: int
) -> None:
    exact = Fraction(base_nano, CENT_NANO) * Fraction(numerator, denominator)
    cents = rules.tax_cents(base_nano, (numerator, denominator), basis_points)
    assert cents == round(exact * Fraction(basis_points, 10_000))


@pytest.mark.parametrize(
    ("text", "days"),
    [("2026-11", 30), ("2027-02", 28), ("2028-02", 29), ("2100-02", 28), ("2026-12", 31)],
)
def test_a_month_is_its_days_in_utc(text: str, days: int) -> None:
    period = rules.month(text)
    assert period.end_ms - period.start_ms == days * DAY_MS
    assert rules.month_of(period.start_ms) == rules.month_of(period.end_ms - 1) == text
    assert datetime.fromtimestamp(period.start_ms / 1000, UTC).strftime("%d %H:%M") == "01 00:00"


@pytest.mark.parametrize("text", ["2026-13", "2026", "26-1-1", "", "2026-11-01"])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"match|unconverted"):
        rules.month(text)


NOVEMBER, DECEMBER = rules.month("2026-11"), rules.month("2026-12")


def test_the_open_part_of_a_month_begins_where_the_last_invoice_ended() -> None:
    now_ms = ms("2027-01-05")
    whole = rules.open_period(DECEMBER, NOVEMBER.end_ms, ms("2026-12-03"), now_ms)
    assert whole == DECEMBER
    rest = rules.open_period(DECEMBER, ms("2026-12-10"), ms("2026-12-11"), now_ms)
    assert rest == Period(ms("2026-12-10"), DECEMBER.end_ms)
    late = rules.open_period(DECEMBER, NOVEMBER.end_ms, ms("2026-11-30"), now_ms)
    assert late == DECEMBER, "charged late, after its own month was invoiced"


@pytest.mark.parametrize(
    ("until_ms", "first_ms", "now_ms", "says"),
    [
        (0, ms("2026-12-01"), DECEMBER.end_ms - 1, "2026-12 is not over yet"),
        (0, None, DECEMBER.end_ms, "Nothing was charged"),
        (0, ms("2026-11-05"), DECEMBER.end_ms, "use in 2026-11 that is on no invoice"),
        (DECEMBER.end_ms, ms("2027-01-01"), ms("2027-03-01"), "2026-12 is closed"),
    ],
)
def test_periods_that_cannot_be_invoiced(
    until_ms: int, first_ms: int | None, now_ms: int, says: str
) -> None:
    with pytest.raises(NotInvoiced, match=says):
        rules.open_period(DECEMBER, until_ms, first_ms, now_ms)


def test_a_period_ends_after_it_starts() -> None:
    with pytest.raises(ValueError, match="after"):
        Period(5, 5)


def test_prefixes_differ() -> None:
    with pytest.raises(ValueError, match="prefixes"):
        seller(credit_note_prefix="INV-")


# -- tax ------------------------------------------------------------------------------------------

DE19 = TaxRate("DE", "standard", 1900, ms("2020-01-01"))
DE16 = TaxRate("DE", "standard", 1600, ms("2026-07-01"))


@pytest.mark.parametrize(
    ("sells", "buys", "vat", "rates", "treatment"),
    [
        ("", "DE", "", (), "none"),
        ("DE", "DE", "", (DE19,), "rate"),
        ("DE", "DE", "DE123456789", (DE19,), "rate"),
        ("DE", "", "", (DE19,), "rate"),
        ("DE", "FR", "FR12123456789", (), "reverse_charge"),
        ("DE", "FR", "", (TaxRate("FR", "standard", 2000, 0),), "rate"),
        ("DE", "US", "", (), "outside_scope"),
        ("US", "DE", "DE123456789", (), "outside_scope"),
        ("DE", "CH", "CHE1", (TaxRate("CH", "standard", 810, 0),), "rate"),
    ],
)
def test_how_a_customer_is_taxed(
    sells: str, buys: str, vat: str, rates: tuple[TaxRate, ...], treatment: str
) -> None:
    rule = rule_for(sells, buys, vat, rates)
    assert rule.treatment == treatment
    assert (rule.note == "") == (treatment == "rate")


@pytest.mark.parametrize(("sells", "buys"), [("DE", "DE"), ("DE", "FR"), ("US", "US")])
def test_without_a_rate_nothing_is_guessed(sells: str, buys: str) -> None:
    with pytest.raises(NotInvoiced, match=f"no tax rate of {buys}"):
        rule_for(sells, buys, "", ())


def test_the_rate_is_that_of_the_moment_of_use() -> None:
    rule = rule_for("DE", "DE", "", (DE16, DE19))
    found = [rate_at(rule, ms(day)) for day in ("2020-01-01", "2026-06-30T23:59", "2026-07-01")]
    assert found == [DE19, DE19, DE16]
    with pytest.raises(NotInvoiced, match="start later"):
        rate_at(rule, ms("2019-12-31"))


RIGHT = {
    "AT": "ATU12345678", "BE": "BE0123456789", "BG": "BG123456789", "CY": "CY12345678X",
    "CZ": "CZ12345678", "DE": "DE123456789", "DK": "DK12345678", "EE": "EE123456789",
    "ES": "ESX1234567X", "FI": "FI12345678", "FR": "FRXX123456789", "GR": "EL123456789",
    "HR": "HR12345678901", "HU": "HU12345678", "IE": "IE1234567WA", "IT": "IT12345678901",
    "LT": "LT123456789012", "LU": "LU12345678", "LV": "LV12345678901", "MT": "MT12345678",
    "NL": "NL123456789B01", "PL": "PL1234567890", "PT": "PT123456789", "RO": "RO1234567890",
    "SE": "SE123456789001", "SI": "SI12345678", "SK": "SK1234567890",
}  # fmt: skip


def test_every_country_of_the_eu_has_its_form() -> None:
    assert set(RIGHT) == EU


@pytest.mark.parametrize(("country", "text"), RIGHT.items())
def test_a_vat_id_has_the_form_of_its_country(country: str, text: str) -> None:
    assert vat_id(country, f" {text[:4].lower()} {text[4:]}. ") == text
    for wrong in (text[:3], text + "1111", "XX" + text[2:], text[2:], text[:-1] + "é"):
        with pytest.raises(VatIdWrong, match=country):
            vat_id(country, wrong)


def test_elsewhere_nothing_is_known_about_vat_ids() -> None:
    assert vat_id("CH", "che-123.456.789 mwst") == "CHE123456789MWST"
    assert vat_id("", "anything") == "ANYTHING"
    assert vat_id("DE", "  ") == ""
