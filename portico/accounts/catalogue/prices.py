"""Prices, for whoever may see or set them."""

from collections.abc import Sequence

import msgspec

from portico import errors
from portico.accounts.actors.model import Errand, unknown
from portico.pricing.book import Book
from portico.pricing.checks import NotStorable
from portico.pricing.model import Price, PriceWish
from portico.pricing.service import read_book
from portico.pricing.service import set_prices as store_prices


def price_book(errand: Errand) -> Book:
    errand.require("prices:read")
    return read_book(errand.connection)


def price_of(errand: Errand, price_id: str) -> Price:
    """Also one of the past.  Raises: Refusal: permission_denied, resource_not_found."""
    for each in price_book(errand).prices():
        if each.id == price_id:
            return each
    raise unknown("price", price_id)


def set_prices(errand: Errand, wishes: Sequence[PriceWish], author: str = "") -> list[Price]:
    """All or none; what is stored is never changed.

    author: who decided it; "" for whoever asks.
    Raises: Refusal: invalid_value.
    """
    errand.require("prices:write")
    author = author or errand.by.actor.id
    try:
        stored = store_prices(errand.connection, wishes, author, errand.clock)
    except NotStorable as error:
        raise errors.INVALID_VALUE(str(error), field="prices") from error
    for price in stored:
        errand.note("", "price.set", price.id, after=msgspec.structs.asdict(price))
    return stored
