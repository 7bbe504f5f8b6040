"""Prices."""

from typing import Annotated

from msgspec import Meta, Struct

from portico.accounts.catalogue import prices
from portico.admin.answers import Shape, whole_list_of
from portico.admin.operation import Ask, Operation, Told
from portico.admin.shapes import PAGED, Moment, moment_ms, moment_of, page_of_all
from portico.pricing.model import Price, PriceWish, Tier

_PRICES_MAX = 200


class NewPrice(Struct):
    """nano_usd_per_million: nano-USD for 1,000,000 units, as a string: JSON readers round integers
    above 2**53.  effective_from: left out for now."""

    meter: str
    nano_usd_per_million: Annotated[str, Meta(pattern=r"^[0-9]{1,19}$")]
    tier: Tier = "standard"
    plan: str = ""
    above_input_tokens: int = 0
    effective_from: Moment | None = None


class NewPrices(Struct):
    """All are stored, or none."""

    model: str
    prices: Annotated[list[NewPrice], Meta(min_length=1, max_length=_PRICES_MAX)]


PRICE = Shape("price", Price, ("nano_per_million",), {"nano_usd_per_million": str})


def price(found: Price) -> Told:
    return PRICE.told(found, nano_usd_per_million=str(found.nano_per_million))


def _list_prices(ask: Ask) -> Told:
    model = ask.query.get("model") or None
    at_ms = moment_of(ask, "at")
    book = prices.price_book(ask.errand)
    if at_ms is None:
        at_ms = ask.errand.clock.wall_ms()
    found = [*book.list_at(at_ms), *book.later_than(at_ms)]
    return page_of_all(ask, [each for each in found if model in (None, each.model)], price)


def _set_prices(ask: Ask) -> Told:
    new: NewPrices = ask.body
    wishes = [
        PriceWish(
            model=new.model,
            meter=each.meter,
            tier=each.tier,
            plan=each.plan,
            above_input_tokens=each.above_input_tokens,
            nano_per_million=int(each.nano_usd_per_million),
            effective_from_ms=moment_ms(each.effective_from, "effective_from"),
        )
        for each in new.prices
    ]
    stored = prices.set_prices(ask.errand, wishes)
    return {"object": "list", "data": [price(each) for each in stored], "has_more": False}


def _one(ask: Ask) -> Told:
    return price(prices.price_of(ask.errand, ask.id))


def operations() -> tuple[Operation, ...]:
    some, read, write = "/prices", "prices:read", "prices:write"
    return (
        Operation(
            "GET",
            some,
            read,
            "Prices in force, then later ones.",
            _list_prices,
            PRICE.page,
            query=("model", "at", *PAGED),
        ),
        Operation(
            "POST",
            some,
            write,
            "Set prices of a model; what is stored is never changed.",
            _set_prices,
            whole_list_of(PRICE),
            NewPrices,
        ),
        Operation("GET", f"{some}/{{id}}", read, "One price, also of the past.", _one, PRICE.type),
    )
