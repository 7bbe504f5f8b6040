"""Prices and terms as the database keeps them, and as a running server knows them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import msgspec
import pytest
from sqlalchemy import Connection, insert
from sqlalchemy.exc import DBAPIError

from portico.canon.usage import Meters
from portico.db.database import Database
from portico.db.readers import Readers
from portico.db.tables import charge, organisation
from portico.errors import Refusal
from portico.pricing.book import WITHOUT_TERMS
from portico.pricing.checks import NotStorable
from portico.pricing.model import Charge, Discount, Price, PriceWish, Quote, Terms, TermsWish
from portico.pricing.rules import pin, rate
from portico.pricing.service import (
    Prices,
    Rerated,
    organisations,
    read_book,
    rerated,
    set_prices,
    set_terms,
)
from tests.db.storage import HandClock
from tests.pricing.rows import DAY_MS

pytestmark = pytest.mark.anyio

Priced = Callable[..., list[Price]]
Agree = Callable[..., Terms]
T = TypeVar("T")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def with_organisations(database: Database) -> Database:
    rows = [{"id": f"org_{n}", "name": f"Org {n}", "created_at_ms": n} for n in (1, 2)]
    database.write(lambda c: c.execute(insert(organisation), rows))
    return database


@pytest.fixture
def priced(with_organisations: Database, clock: HandClock) -> Priced:
    """Store one price for each meter that is named."""

    def store(author: str = "me", **given: Any) -> list[Price]:
        meters = {meter: given.pop(meter) for meter in list(given) if "put" in meter}
        above = given.pop("above", 0)
        wishes = [
            PriceWish(
                **{
                    "model": "m",
                    "meter": meter.removesuffix("_tokens"),
                    "nano_per_million": nano,
                    "above_input_tokens": above,
                    **given,
                }
            )
            for meter, nano in meters.items()
        ]
        return with_organisations.write(lambda c: set_prices(c, wishes, author, clock))

    return store


@pytest.fixture
def agree(with_organisations: Database, clock: HandClock) -> Agree:
    def store(organisation_id: str = "org_1", kind: str = "prepaid", **given: Any) -> Terms:
        wish = TermsWish(organisation_id=organisation_id, kind=kind, **given)
        return with_organisations.write(lambda c: set_terms(c, wish, "me", clock))

    return store


@pytest.fixture
async def prices(
    with_organisations: Database, clock: HandClock, anyio_backend: str
) -> AsyncIterator[Prices]:
    readers = Readers(with_organisations)
    yield Prices(readers, clock, quotes_max=2)
    readers.close()


# -- stored once, never changed -------------------------------------------------------------------


def test_what_was_stored_is_what_is_read(
    with_organisations: Database, priced: Priced, agree: Agree, clock: HandClock
) -> None:
    base = priced(input_text=150_000_000, output_text=600_000_000)
    step = priced(input_text=300_000_000, above=200_000, plan="", tier="standard")
    discounts = (Discount("contract", 2, 3), Discount("contributor", 4, 5))
    agreed = agree(discounts=discounts, consent="2026-11", plan="gold")
    book = with_organisations.read(read_book)
    assert book.list_at(clock.now_ms) == [base[0], *step, base[1]]
    assert book.terms("org_1") == (agreed,)
    assert (agreed.share_numerator, agreed.share_denominator) == (8, 15)
    assert agreed.discounts == discounts
    (first, _) = base
    assert (first.author, first.created_at_ms) == ("me", clock.now_ms)
    assert first.effective_from_ms == clock.now_ms
    assert with_organisations.read(organisations) == {"org_1": "Org 1", "org_2": "Org 2"}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE price SET nano_per_million = 0",
        "UPDATE price SET effective_from_ms = 0",
        "DELETE FROM price",
        "UPDATE terms SET share_numerator = 0",
        "UPDATE terms SET kind = 'internal'",
        "DELETE FROM terms",
    ],
)
def test_the_database_refuses_to_change_or_delete(
    with_organisations: Database, priced: Priced, agree: Agree, change: str
) -> None:
    priced(input_text=1, output_text=2)
    agree()
    before = with_organisations.read(_everything)
    with pytest.raises(DBAPIError, match="is append-only"):
        with_organisations.write(lambda c: c.exec_driver_sql(change))
    assert with_organisations.read(_everything) == before


def _everything(connection: Connection) -> list[tuple[Any, ...]]:
    return [
        tuple(row)
        for table in ("price", "terms")
        for row in connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY id")
    ]


def test_the_database_refuses_a_negative_price(with_organisations: Database) -> None:
    row = "('p', 'm', 'input_text', 'standard', '', 0, -1, 0, 'me', 0)"
    with pytest.raises(DBAPIError):
        with_organisations.write(lambda c: c.exec_driver_sql(f"INSERT INTO price VALUES {row}"))


def test_a_price_for_a_moment_that_has_one_is_refused(priced: Priced, clock: HandClock) -> None:
    later_ms = clock.now_ms + DAY_MS
    priced(input_text=1, effective_from_ms=later_ms)
    with pytest.raises(NotStorable, match="input_text \\(tier standard\\) from that very moment"):
        priced(input_text=1, effective_from_ms=later_ms)
    priced(input_text=1, effective_from_ms=later_ms + 1)
    priced(input_text=1, effective_from_ms=later_ms, tier="flex")
    priced(input_text=1, effective_from_ms=later_ms, plan="gold")
    priced(output_text=1, effective_from_ms=later_ms)
    priced(input_text=1, effective_from_ms=later_ms, model="other")
    priced(input_text=1, effective_from_ms=later_ms, above=100, plan="gold")
    with pytest.raises(NotStorable) as caught:
        priced(input_text=1, effective_from_ms=later_ms, above=100, plan="gold")
    words = "m has a price for input_text (tier standard, plan gold, above 100 input tokens) from"
    assert words in str(caught.value)


def test_a_step_needs_a_price_to_step_up_from(priced: Priced, clock: HandClock) -> None:
    later_ms = clock.now_ms + DAY_MS
    with pytest.raises(NotStorable, match="to step up from"):
        priced(input_text=1, above=100)
    priced(input_text=1, effective_from_ms=later_ms)
    with pytest.raises(NotStorable, match="to step up from"):
        priced(input_text=2, above=100, effective_from_ms=later_ms - 1)
    for other in ({"tier": "flex"}, {"plan": "gold"}, {"model": "other"}):
        with pytest.raises(NotStorable, match="to step up from"):
            priced(input_text=2, above=100, effective_from_ms=later_ms, **other)
    with pytest.raises(NotStorable, match=r"no price for input_text \(tier flex\) to step up"):
        priced(input_text=2, above=100, effective_from_ms=later_ms, tier="flex")
    with pytest.raises(NotStorable, match="to step up from"):
        priced(output_text=2, above=100, effective_from_ms=later_ms)
    priced(input_text=2, above=100, effective_from_ms=later_ms)


def test_a_base_and_its_step_may_come_together_in_any_order(
    with_organisations: Database, clock: HandClock
) -> None:
    wishes = [
        PriceWish(model="m", meter="input_text", above_input_tokens=above, nano_per_million=1)
        for above in (200, 0, 100)
    ]
    stored = with_organisations.write(lambda c: set_prices(c, wishes, "me", clock))
    assert [price.above_input_tokens for price in stored] == [200, 0, 100]
    with pytest.raises(NotStorable, match="from that very moment"):
        with_organisations.write(lambda c: set_prices(c, wishes[:1], "me", clock))


def test_all_prices_of_a_batch_or_none(
    with_organisations: Database, priced: Priced, clock: HandClock
) -> None:
    with pytest.raises(NotStorable):
        priced(input_text=1, output_text=-1)
    past = PriceWish(
        model="m", meter="input_text", nano_per_million=1, effective_from_ms=clock.now_ms - 1
    )
    with pytest.raises(NotStorable, match="is past"):
        with_organisations.write(lambda c: set_prices(c, [past], "me", clock))
    twice = [PriceWish(model="m", meter="input_text", nano_per_million=n) for n in (1, 2)]
    with pytest.raises(NotStorable, match="that very moment"):
        with_organisations.write(lambda c: set_prices(c, twice, "me", clock))
    assert with_organisations.read(_everything) == []


def test_terms_that_are_refused_leave_nothing(
    with_organisations: Database, agree: Agree, clock: HandClock
) -> None:
    with pytest.raises(NotStorable, match="no organisation 'org_x'"):
        agree("org_x")
    with pytest.raises(NotStorable, match="is past"):
        agree(effective_from_ms=clock.now_ms - 1)
    assert with_organisations.read(_everything) == []
    agree()
    with pytest.raises(NotStorable, match="from that very moment"):
        agree(kind="postpaid")
    agree("org_2")
    agree(kind="postpaid", effective_from_ms=clock.now_ms + 1)


# -- at hand --------------------------------------------------------------------------------------


async def test_503_until_the_first_look(prices: Prices, priced: Priced) -> None:
    priced(input_text=1, output_text=2)
    for ask in (
        lambda: prices.terms_of("org_1"),
        lambda: prices.quote("m", "standard", WITHOUT_TERMS),
        lambda: prices.in_force("org_1"),
    ):
        with pytest.raises(Refusal) as caught:
            ask()
        assert caught.value.code == "storage_unavailable"
    await prices.refresh()
    assert prices.terms_of("org_1") is WITHOUT_TERMS
    assert prices.quote("m", "standard", WITHOUT_TERMS).quote.prices


async def test_a_quote_and_its_text_say_the_same(prices: Prices, priced: Priced) -> None:
    priced(input_text=1, output_text=2)
    await prices.refresh()
    quoted = prices.quote("m", "standard", prices.terms_of("org_1"))
    assert msgspec.json.decode(quoted.text, type=Quote) == quoted.quote
    assert prices.quote("m", "standard", prices.terms_of("org_2")) is quoted


async def test_a_price_that_was_set_counts_after_the_next_look(
    prices: Prices, priced: Priced, clock: HandClock
) -> None:
    await prices.refresh()
    terms = prices.terms_of("org_1")
    with pytest.raises(Refusal, match="no price for input_text and output_text"):
        prices.quote("m", "standard", terms)
    priced(input_text=1, output_text=2)
    await prices.refresh()
    first = prices.quote("m", "standard", terms)
    await prices.refresh()  # nothing new: what is remembered stays
    assert prices.quote("m", "standard", terms) is first
    clock.pass_s(1)
    priced(input_text=5)
    assert prices.quote("m", "standard", terms) is first
    await prices.refresh()
    assert prices.quote("m", "standard", terms).quote.prices[0].nano_per_million == 5


async def test_a_price_set_ahead_counts_from_its_millisecond_without_a_look(
    prices: Prices, priced: Priced, clock: HandClock
) -> None:
    priced(input_text=1, output_text=2)
    priced(input_text=9, effective_from_ms=clock.now_ms + 5_000)
    await prices.refresh()
    terms = prices.terms_of("org_1")
    clock.now_ms += 4_999
    before = prices.quote("m", "standard", terms)
    assert before.quote.prices[0].nano_per_million == 1
    assert prices.quote("m", "standard", terms) is before
    clock.now_ms += 1
    after = prices.quote("m", "standard", terms)
    assert after.quote.prices[0].nano_per_million == 9
    assert prices.quote("m", "standard", terms) is after


async def test_terms_set_ahead_count_from_their_millisecond(
    prices: Prices, priced: Priced, agree: Agree, clock: HandClock
) -> None:
    priced(input_text=1, output_text=2)
    now = agree()
    later = agree(discounts=(Discount("contract", 1, 2),), effective_from_ms=clock.now_ms + 5_000)
    await prices.refresh()
    assert prices.terms_of("org_1") == now
    clock.now_ms += 4_999
    assert prices.terms_of("org_1") == now
    quoted = prices.quote("m", "standard", prices.terms_of("org_1"))
    clock.now_ms += 1
    assert prices.terms_of("org_1") == later
    discounted = prices.quote("m", "standard", prices.terms_of("org_1"))
    assert (discounted.quote.terms_id, discounted.quote.share_denominator) == (later.id, 2)
    assert quoted.quote.terms_id == now.id


async def test_terms_that_were_set_count_after_the_next_look(
    prices: Prices, agree: Agree, clock: HandClock
) -> None:
    await prices.refresh()
    assert prices.terms_of("org_1").kind == "prepaid"
    agreed = agree(kind="internal")
    await prices.refresh()
    assert prices.terms_of("org_1") == agreed
    assert prices.quote("anything", "flex", agreed).quote.prices == ()


async def test_answers_that_are_remembered_have_a_limit(
    prices: Prices, priced: Priced, clock: HandClock
) -> None:
    for model in "abc":
        priced(input_text=1, output_text=2, model=model)
    await prices.refresh()
    first, second = (prices.quote(model, "standard", WITHOUT_TERMS) for model in "ab")
    assert prices.quote("a", "standard", WITHOUT_TERMS) is first
    assert prices.quote("b", "standard", WITHOUT_TERMS) is second
    quotes = [prices.quote(model, "standard", WITHOUT_TERMS) for model in "abcab"]
    assert [each.quote.model for each in quotes] == list("abcab")
    assert len(prices._quotes) <= 2


async def test_the_last_snapshot_stays_when_the_database_cannot_say(
    prices: Prices, priced: Priced, with_organisations: Database, caplog: pytest.LogCaptureFixture
) -> None:
    priced(input_text=1, output_text=2)
    await prices.refresh()
    with_organisations.write(lambda c: c.exec_driver_sql("ALTER TABLE price RENAME TO away"))
    await prices.refresh()
    with_organisations.write(lambda c: c.exec_driver_sql("ALTER TABLE away RENAME TO price"))
    assert "prices cannot be read now" in caplog.text
    assert prices.quote("m", "standard", WITHOUT_TERMS).quote.prices


class Watched(Readers):
    """Says when a look at the database is over."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.looks: asyncio.Queue[None] = asyncio.Queue()

    async def run(self, query: Callable[[Connection], T]) -> T:
        found = await super().run(query)
        self.looks.put_nowait(None)
        return found


async def test_it_follows_by_itself(
    with_organisations: Database,
    priced: Priced,
    clock: HandClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("portico.pricing.service.REFRESH_S", 0)
    readers = Watched(with_organisations)
    prices = Prices(readers, clock)
    following = asyncio.get_running_loop().create_task(prices.run())
    async with asyncio.timeout(20):
        await readers.looks.get()
        priced(input_text=1, output_text=2)
        for _ in range(3):  # one may have begun before
            await readers.looks.get()
    assert prices.quote("m", "standard", WITHOUT_TERMS).quote.prices
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
    readers.close()


async def test_everybody_sees_the_prices_of_their_plan(
    prices: Prices, priced: Priced, agree: Agree
) -> None:
    general = priced(input_text=1, output_text=2)
    gold = priced(input_text=7, plan="gold")
    agree("org_2", plan="gold")
    await prices.refresh()
    assert prices.in_force("org_1") == general
    assert prices.in_force("org_2") == [*gold, general[1]]


# -- the past -------------------------------------------------------------------------------------


def charged(
    database: Database, n: int, terms: Terms, what: Charge, at_ms: int, absorbed: int = 0
) -> None:
    """As a settlement writes it."""
    row = {
        "id": f"req_{n:05}",
        "organisation_id": terms.organisation_id or "org_1",
        "project_id": "proj_1",
        "key_id": "key_1",
        "sequence": n,
        "model": "m",
        "tier": "standard",
        "outcome": "completed",
        "lines": msgspec.json.encode(what.lines).decode(),
        "terms_id": terms.id,
        "list_nano": what.list_nano,
        "net_nano": what.net_nano - absorbed,
        "absorbed_nano": absorbed,
        "charged_at_ms": at_ms,
        "previous_hash": b"",
        "hash": b"",
    }
    database.write(lambda c: c.execute(insert(charge), [row]))


def test_rating_last_month_again_after_prices_changed_differs_by_nothing(
    with_organisations: Database, priced: Priced, agree: Agree, clock: HandClock
) -> None:
    month_ms = clock.now_ms
    priced(input_text=150_000_001, output_text=600_000_003, input_cache_read=37_500_001)
    agree(discounts=(Discount("contract", 2, 3), Discount("contributor", 4, 5)), consent="v1")
    total_nano = 0
    for n in range(60):
        book = with_organisations.read(read_book)
        terms = book.terms_of("org_1" if n % 2 else "org_2", clock.now_ms)
        quote = pin(book, "m", "standard", terms, clock.now_ms)
        used = Meters(input_text=n * 997, input_cache_read=n, output_text=n * 13 + 1)
        what = rate(quote, used)
        total_nano += what.net_nano
        charged(with_organisations, n + 1, terms, what, clock.now_ms, absorbed=n % 3)
        clock.pass_s(3_600)
        if n == 30:  # in the middle of the month
            priced(input_text=170_000_000)
    end_ms = clock.now_ms
    priced(input_text=1, output_text=1, input_cache_read=1, output_reasoning=1)
    agree(kind="postpaid")
    agree("org_2", kind="internal")
    assert total_nano
    again = with_organisations.read(lambda c: rerated(c, None, month_ms, end_ms))
    assert again == Rerated(60, 0, ())
    for owner in ("org_1", "org_2"):
        own = with_organisations.read(lambda c, owner=owner: rerated(c, owner, month_ms, end_ms))
        assert own.difference_nano == 0


def test_the_stretch_of_time_ends_before_its_end(
    with_organisations: Database, clock: HandClock
) -> None:
    for n, at_ms in enumerate((99, 100, 199, 200)):
        charged(with_organisations, n, WITHOUT_TERMS, Charge((), 0, 0), at_ms)
    assert with_organisations.read(lambda c: rerated(c, None, 100, 200)).charges == 2
    assert with_organisations.read(lambda c: rerated(c, "org_2", 0, 999)).charges == 0


def test_a_charge_that_is_off_by_a_nano_is_found(
    with_organisations: Database, priced: Priced, clock: HandClock
) -> None:
    priced(input_text=150_000_000, output_text=600_000_000)
    book = with_organisations.read(read_book)
    what = rate(pin(book, "m", "standard", WITHOUT_TERMS, clock.now_ms), Meters(input_text=1_000))
    charged(with_organisations, 1, WITHOUT_TERMS, what, 0)
    charged(with_organisations, 2, WITHOUT_TERMS, Charge(what.lines, 150_000, 149_999), 0)
    charged(with_organisations, 3, WITHOUT_TERMS, Charge(what.lines, 150_001, 150_000), 0)
    found = with_organisations.read(lambda c: rerated(c, None, 0, 1))
    assert found == Rerated(3, 1, ("req_00002", "req_00003"))


def test_more_charges_than_are_read_at_once(
    with_organisations: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portico.pricing.store._CHARGES_AT_ONCE", 3)
    for n in range(1, 7):
        charged(with_organisations, n, WITHOUT_TERMS, Charge((), 0, 0), 0)
        assert with_organisations.read(lambda c: rerated(c, None, 0, 1)).charges == n
