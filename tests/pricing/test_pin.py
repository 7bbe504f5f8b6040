"""Which price counts when, for whom, and what is said where none does."""

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from portico.canon.usage import Meters
from portico.errors import Refusal
from portico.pricing.book import NEVER_MS, WITHOUT_TERMS, Book
from portico.pricing.model import METERS, NOTHING, TIERS, Pinned, Price
from portico.pricing.rules import bound, pin, rate
from tests.pricing.rows import NOW_MS, price, terms

BASE = (price("input_text", 10), price("output_text", 20))
PREPAID = terms()


def pinned(book: Book, tier: str = "standard", now_ms: int = NOW_MS, **how: Any) -> dict[str, int]:
    """Meter and step by name, and their price."""
    quote = pin(book, "m", tier, terms(**how), now_ms)
    return {
        f"{p.meter}>{p.above_input_tokens}" if p.above_input_tokens else p.meter: p.nano_per_million
        for p in quote.prices
    }


def refused(book: Book, tier: str = "standard", **how: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        pin(book, "m", tier, terms(**how), NOW_MS)
    return caught.value


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


# -- fallbacks ------------------------------------------------------------------------------------


def test_cached_input_and_reasoning_cost_as_much_as_text_unless_they_are_priced() -> None:
    assert pinned(Book(BASE)) == {
        "input_text": 10,
        "input_cache_read": 10,
        "output_text": 20,
        "output_reasoning": 20,
    }
    own = (price("input_cache_read", 1), price("output_reasoning", 30))
    assert pinned(Book([*BASE, *own])) == {
        "input_text": 10,
        "input_cache_read": 1,
        "output_text": 20,
        "output_reasoning": 30,
    }


def test_a_short_cache_write_costs_as_much_as_a_long_one_and_never_the_other_way() -> None:
    assert pinned(Book([*BASE, price("input_cache_write_1h", 16)]))["input_cache_write_5m"] == 16
    short = pinned(Book([*BASE, price("input_cache_write_5m", 12)]))
    assert short["input_cache_write_5m"] == 12
    assert "input_cache_write_1h" not in short


def test_images_audio_and_requests_have_no_price_but_their_own() -> None:
    own = {"input_image": 1, "input_audio": 2, "output_audio": 3, "request": 4}
    assert pinned(Book(BASE)).keys().isdisjoint(own)
    book = Book([*BASE, *(price(meter, nano) for meter, nano in own.items())])
    assert own.items() <= pinned(book).items()


def test_what_is_billed_as_something_else_has_its_steps_and_its_id() -> None:
    step = price("input_text", 40, above_input_tokens=200)
    quote = pin(Book([*BASE, step]), "m", "standard", PREPAID, NOW_MS)
    assert [p for p in quote.prices if p.meter == "input_cache_read"] == [
        Pinned(BASE[0].id, "input_cache_read", 0, 10),
        Pinned(step.id, "input_cache_read", 200, 40),
    ]
    with_own = Book([*BASE, step, price("input_cache_read", 1)])
    assert "input_cache_read>200" not in pinned(with_own)


def test_a_quote_carries_the_terms() -> None:
    quote = pin(Book(BASE), "m", "standard", terms(share_numerator=3, share_denominator=4), NOW_MS)
    assert (quote.model, quote.tier, quote.terms_id) == ("m", "standard", "terms_1")
    assert (quote.share_numerator, quote.share_denominator) == (3, 4)


# -- for sale or not ------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["input_text", "output_text"])
@pytest.mark.parametrize("kind", ["free", "prepaid", "postpaid", "commit"])
def test_503_without_a_price_for_text(missing: str, kind: str) -> None:
    book = Book([price(meter, 1) for meter in METERS if meter != missing])
    refusal = refused(book, kind=kind)
    assert (refusal.status, refusal.code, refusal.value) == (503, "model_not_priced", "m")
    assert f"no price for {missing} (tier standard)" in refusal.message


def test_503_for_a_model_nobody_priced() -> None:
    assert refused(Book()).code == "model_not_priced"
    assert refused(Book(price(each.meter, 1, model="other") for each in BASE)).status == 503


def test_400_for_a_tier_that_is_not_sold_or_does_not_exist() -> None:
    book = Book([*BASE, price("input_text", 5, tier="flex"), price("output_text", 5, tier="flex")])
    for tier in ("batch", "priority", "ultrafast", ""):
        refusal = refused(book, tier)
        assert (refusal.status, refusal.code) == (400, "unknown_service_tier")
        assert (refusal.field, refusal.value) == ("service_tier", tier)
        assert refusal.limit == ["standard", "flex"]
        assert "standard, flex" in refusal.message
    assert pinned(book, "flex")["input_text"] == 5
    assert refused(Book(), "flex").limit == []


def test_503_for_half_a_price_list_at_a_tier() -> None:
    assert refused(Book([*BASE, price("input_text", 5, tier="flex")]), "flex").status == 503


def test_a_tier_takes_no_price_from_another_one() -> None:
    book = Book(
        [
            *BASE,
            price("input_audio", 7),
            price("input_text", 5, tier="batch"),
            price("output_text", 6, tier="batch"),
        ]
    )
    assert pinned(book, "batch") == {
        "input_text": 5,
        "input_cache_read": 5,
        "output_text": 6,
        "output_reasoning": 6,
    }


@pytest.mark.parametrize("tier", TIERS)
def test_internal_use_needs_no_price_and_costs_nothing(tier: str) -> None:
    for book in (Book(), Book(BASE)):
        quote = pin(book, "m", tier, terms("internal"), NOW_MS)
        used = Meters(**dict.fromkeys(Meters.__struct_fields__, 10**6))
        assert rate(quote, used) == NOTHING
        assert bound(quote, 10**9, 10**9, 8) == 0


def test_internal_use_knows_the_tiers_too() -> None:
    refusal = refused(Book(), "ultrafast", kind="internal")
    assert (refusal.code, refusal.limit) == ("unknown_service_tier", list(TIERS))


# -- dates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "day",
    [
        "2026-12-01T00:00:00",  # a month's end
        "2027-01-01T00:00:00",
        "2027-03-01T00:00:00",
        "2028-02-29T00:00:00",  # a leap day
        "2028-03-01T00:00:00",
        "2027-03-28T01:00:00",  # summer time begins in Europe; UTC knows none
    ],
)
def test_a_price_counts_from_its_very_millisecond(day: str) -> None:
    change_ms = ms(day)
    book = Book([*BASE, price("input_text", 99, effective_from_ms=change_ms)])
    for now_ms, nano in ((change_ms - 1, 10), (change_ms, 99), (change_ms + 1, 99)):
        assert pinned(book, now_ms=now_ms)["input_text"] == nano
    assert book.prices_change_at_ms("m", "standard", change_ms - 1) == change_ms
    assert book.prices_change_at_ms("m", "standard", change_ms) == NEVER_MS
    assert book.prices_change_at_ms("m", "flex", 0) == NEVER_MS
    assert book.prices_change_at_ms("other", "standard", 0) == NEVER_MS


def test_the_newest_price_that_has_begun_counts_in_whatever_order_they_are_stored() -> None:
    prices = [price("input_text", n, effective_from_ms=n * 100) for n in range(1, 6)]
    for seed in range(20):
        random.Random(seed).shuffle(prices)
        book = Book([*prices, price("output_text", 1)])
        assert [pinned(book, now_ms=n)["input_text"] for n in (100, 199, 200, 350, 900)] == [
            1,
            1,
            2,
            3,
            5,
        ]
        assert book.prices_change_at_ms("m", "standard", 200) == 300


def test_a_price_before_its_day_is_none() -> None:
    later = [price(each.meter, 1, effective_from_ms=NOW_MS + 1) for each in BASE]
    assert refused(Book(later)).code == "model_not_priced"
    assert pinned(Book(later), now_ms=NOW_MS + 1)["input_text"] == 1


def test_a_change_of_the_base_leaves_the_steps() -> None:
    book = Book(
        [
            *BASE,
            price("input_text", 40, above_input_tokens=200),
            price("input_text", 11, effective_from_ms=5),
            price("input_text", 50, above_input_tokens=100, effective_from_ms=6),
        ]
    )
    found = {meter: nano for meter, nano in pinned(book).items() if "input_text" in meter}
    assert found == {"input_text": 11, "input_text>100": 50, "input_text>200": 40}


def test_steps_without_a_price_to_step_up_from_are_no_price() -> None:
    book = Book([price("input_text", 40, above_input_tokens=200), BASE[1]])
    assert refused(book).code == "model_not_priced"


# -- plans ----------------------------------------------------------------------------------------


def test_a_plan_prices_the_whole_meter_for_those_who_are_on_it() -> None:
    gold = (
        price("input_text", 3, plan="gold"),
        price("input_text", 4, plan="gold", above_input_tokens=500),
    )
    step = price("input_text", 40, above_input_tokens=200)
    for prices in ([*BASE, step, *gold], [*gold, step, *BASE]):
        book = Book(prices)
        on = {m: n for m, n in pinned(book, plan="gold").items() if "input_text" in m}
        assert on == {"input_text": 3, "input_text>500": 4}
        assert pinned(book, plan="gold")["output_text"] == 20
        for plan in ("", "silver"):
            off = {m: n for m, n in pinned(book, plan=plan).items() if "input_text" in m}
            assert off == {"input_text": 10, "input_text>200": 40}


def test_a_plan_is_not_overtaken_by_a_newer_general_price() -> None:
    book = Book(
        [
            *BASE,
            price("input_text", 3, plan="gold", effective_from_ms=5),
            price("input_text", 12, effective_from_ms=6),
        ]
    )
    assert pinned(book, plan="gold")["input_text"] == 3
    assert pinned(book, plan="gold", now_ms=4)["input_text"] == 10


def test_a_plan_without_a_base_of_its_own_changes_nothing() -> None:
    book = Book([*BASE, price("input_text", 3, plan="gold", above_input_tokens=200)])
    assert pinned(book, plan="gold") == pinned(book)


# -- lists and terms ------------------------------------------------------------------------------


def test_lists_are_in_order_and_later_prices_apart() -> None:
    later = price("input_text", 9, effective_from_ms=NOW_MS + 2)
    sooner = price("output_text", 9, effective_from_ms=NOW_MS + 1)
    other = price("input_text", 1, model="a", tier="flex")
    gold = price("output_text", 2, plan="gold")
    book = Book([later, sooner, BASE[1], gold, BASE[0], other])
    assert book.list_at(NOW_MS) == [other, *BASE, gold]
    assert book.all_in_force("gold", NOW_MS) == [other, BASE[0], gold]
    assert book.all_in_force("", NOW_MS) == [other, *BASE]
    assert book.later_than(NOW_MS) == [sooner, later]
    assert book.later_than(NOW_MS + 1) == [later]
    assert book.size == (6, 0)


def test_the_newest_terms_that_have_begun_count() -> None:
    agreed = [terms(id=f"terms_{n}", effective_from_ms=n * 100) for n in (3, 1, 2)]
    book = Book([], agreed)
    found = [book.terms_of("org_1", n).id for n in (99, 100, 199, 200, 300, 9_999)]
    assert found == ["", "terms_1", "terms_1", "terms_2", "terms_3", "terms_3"]
    assert [t.id for t in book.terms("org_1")] == ["terms_1", "terms_2", "terms_3"]
    assert book.size == (0, 3)


def test_an_organisation_without_terms_pays_the_list_price_in_advance() -> None:
    assert Book().terms_of("org_1", NOW_MS) is WITHOUT_TERMS
    assert (WITHOUT_TERMS.kind, WITHOUT_TERMS.plan) == ("prepaid", "")
    quote = pin(Book(BASE), "m", "standard", WITHOUT_TERMS, NOW_MS)
    assert (quote.share_numerator, quote.share_denominator) == (1, 1)


def test_a_quote_costs_what_its_prices_say_and_not_what_they_became() -> None:
    before = pin(Book(BASE), "m", "standard", PREPAID, NOW_MS)
    dearer: list[Price] = [*BASE, price("input_text", 10**9, effective_from_ms=NOW_MS)]
    after = pin(Book(dearer), "m", "standard", PREPAID, NOW_MS)
    used = Meters(input_text=10**6)
    assert (rate(before, used).net_nano, rate(after, used).net_nano) == (10, 10**9)
