"""Prices and terms at hand for every request, and how they are changed.

`Prices` is a snapshot, refreshed beside the road: a price that was set counts on a running server
within `REFRESH_S`, one that was set ahead of its day counts from that very millisecond.

The functions work on a connection inside a transaction of the caller's: the server runs them with
`writer.run`, the command line with `database.write`, beside a running server if there is one.
"""

import asyncio
import logging
from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from portico import errors
from portico.db.readers import Readers
from portico.kit.clock import Clock
from portico.kit.ids import new_id
from portico.pricing import store
from portico.pricing.book import Book
from portico.pricing.checks import NotStorable, check_price, check_terms
from portico.pricing.model import Price, PriceWish, Quote, Terms, TermsWish
from portico.pricing.rules import pin, rerate

REFRESH_S = 2.0
log = logging.getLogger(__name__)


class Quoted(msgspec.Struct, frozen=True):
    """A quote, and the same as JSON for the rows that keep it."""

    quote: Quote
    text: str


class Rerated(msgspec.Struct, frozen=True):
    """What came of rating charges again.

    difference_nano: the sum of what each differs by; differing: the requests that do.
    """

    charges: int
    difference_nano: int
    differing: tuple[str, ...]


class Prices:
    """One event loop owns this object."""

    def __init__(self, readers: Readers, clock: Clock, *, quotes_max: int = 10_000) -> None:
        """quotes_max: quotes remembered."""
        self._readers = readers
        self._clock = clock
        self._book: Book | None = None
        self._quotes: dict[tuple[str, str, str], tuple[int, Quoted]] = {}
        self._quotes_max = quotes_max

    async def run(self) -> None:
        """Follow what is stored.  Ends when cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_S)

    async def refresh(self) -> None:
        """Take in what is stored now.  Where the database cannot say, the last snapshot stays."""
        known = None if self._book is None else self._book.size
        try:
            book = await self._readers.run(lambda connection: _changed(connection, known))
        except DBAPIError:
            log.warning("prices cannot be read now; those known stay in force")
            return
        if book is not None:
            self._book = book
            self._quotes.clear()

    def terms_of(self, organisation_id: str) -> Terms:
        """How the organisation pays now.  Raises: Refusal: storage_unavailable, while nothing could
        be read yet."""
        book = self._book or self._read()
        return book.terms_of(organisation_id, self._clock.wall_ms())

    def quote(self, model: str, tier: str, terms: Terms) -> Quoted:
        """What a request admitted now is rated by.

        Raises: Refusal: unknown_service_tier (400); model_not_priced, storage_unavailable (503).
        """
        key = (model, tier, terms.id)
        now_ms = self._clock.wall_ms()
        known = self._quotes.get(key)
        if known is not None and now_ms < known[0]:
            return known[1]
        book = self._read()
        if len(self._quotes) >= self._quotes_max:
            self._quotes.clear()
        quote = pin(book, model, tier, terms, now_ms)
        quoted = Quoted(quote, msgspec.json.encode(quote).decode())
        self._quotes[key] = (book.prices_change_at_ms(model, tier, now_ms), quoted)
        return quoted

    def in_force(self, organisation_id: str) -> list[Price]:
        """Every price that counts for the organisation now, discounts left out: models by name,
        tiers and meters in their order.  Raises: Refusal: storage_unavailable."""
        terms = self.terms_of(organisation_id)
        return self._read().all_in_force(terms.plan, self._clock.wall_ms())

    def _read(self) -> Book:
        if self._book is None:
            raise errors.STORAGE_UNAVAILABLE("Prices cannot be read now.", retry_after_ms=2_000)
        return self._book


def _changed(connection: Connection, known: tuple[int, int] | None) -> Book | None:
    """What is stored; None when it is what is known.  Rows are only ever added, so their number
    tells, and costs nothing beside reading them all."""
    return None if store.size(connection) == known else store.book(connection)


def read_book(connection: Connection) -> Book:
    return store.book(connection)


def set_prices(
    connection: Connection, wishes: Sequence[PriceWish], author: str, clock: Clock
) -> list[Price]:
    """Store prices, all or none; from now on where they name no day.

    Raises: NotStorable.
    """
    now_ms = clock.wall_ms()
    for wish in wishes:
        check_price(wish, author, now_ms)
    prices = [_price(wish, author, now_ms) for wish in wishes]
    # One after the other: a step may rest on a base, and clash with a price, of the same batch.
    for each in sorted(prices, key=lambda price: price.above_input_tokens):
        if store.has_price(connection, each):
            raise NotStorable(
                f"{each.model} has a price for {_described(each)} from that very moment already; "
                "prices are never changed.  Set another one from a later moment."
            )
        if each.above_input_tokens and not store.has_base(connection, each):
            raise NotStorable(
                f"{each.model} has no price for {_described(each, above=False)} to step up from; "
                "set the one that counts from 0 tokens first."
            )
        store.add_prices(connection, [each])
    return prices


def set_terms(connection: Connection, wish: TermsWish, author: str, clock: Clock) -> Terms:
    """Store how an organisation pays; from now on where no day is named.  Raises: NotStorable."""
    now_ms = clock.wall_ms()
    share = check_terms(wish, author, now_ms)
    if wish.organisation_id not in store.organisations(connection):
        raise NotStorable(f"There is no organisation {wish.organisation_id!r}.")
    secret = store.keeps_nothing(connection, wish.organisation_id) if wish.consent else []
    if secret:
        raise NotStorable(
            f"Nothing is kept of what {secret[0]} asks (zero retention), so no discount can be "
            "given for the use of its data."
        )
    effective_from_ms = now_ms if wish.effective_from_ms is None else wish.effective_from_ms
    if store.has_terms(connection, wish.organisation_id, effective_from_ms):
        raise NotStorable(
            f"{wish.organisation_id} has terms from that very moment already; terms are never "
            "changed.  Set others from a later moment."
        )
    terms = Terms(
        id=new_id("terms"),
        organisation_id=wish.organisation_id,
        kind=wish.kind,  # type: ignore[arg-type]  # checked above
        plan=wish.plan,
        share_numerator=share.numerator,
        share_denominator=share.denominator,
        discounts=wish.discounts,
        consent=wish.consent,
        effective_from_ms=effective_from_ms,
        author=author,
        created_at_ms=now_ms,
    )
    store.add_terms(connection, terms)
    return terms


def agreed(connection: Connection, organisation_id: str) -> list[Terms]:
    """All terms that an organisation ever had or will have, by the day from which they count."""
    return store.agreed(connection, organisation_id)


def whose_terms(connection: Connection, organisation_id: str | None, terms_id: str) -> str | None:
    """Of which organisation they are; None where there are none of that id, or not of this one."""
    return store.whose_terms(connection, organisation_id, terms_id)


def gives_data(connection: Connection, organisation_id: str, now_ms: int) -> bool:
    """It is given, or will be, a discount for the use of its data."""
    return bool(store.consented_since(connection, organisation_id, now_ms))


def organisations(connection: Connection) -> dict[str, str]:
    """Names by id, oldest first."""
    return store.organisations(connection)


def rerated(
    connection: Connection, organisation_id: str | None, since_ms: int, until_ms: int
) -> Rerated:
    """Rate the charges of a stretch of time again, from the numbers they carry.

    organisation_id: None for all.  The end is not included.
    """
    charges = difference_nano = 0
    differing: list[str] = []
    for each in store.charges(connection, organisation_id, since_ms, until_ms):
        charges += 1
        again = rerate(each.lines, each.share_numerator, each.share_denominator)
        if again != (each.list_nano, each.net_nano):
            differing.append(each.request_id)
            difference_nano += again[1] - each.net_nano
    return Rerated(charges, difference_nano, tuple(differing))


def _price(wish: PriceWish, author: str, now_ms: int) -> Price:
    return Price(
        id=new_id("price"),
        model=wish.model,
        meter=wish.meter,
        tier=wish.tier,  # type: ignore[arg-type]  # checked before
        plan=wish.plan,
        above_input_tokens=wish.above_input_tokens,
        nano_per_million=wish.nano_per_million,
        effective_from_ms=now_ms if wish.effective_from_ms is None else wish.effective_from_ms,
        author=author,
        created_at_ms=now_ms,
    )


def _described(price: Price, *, above: bool = True) -> str:
    words = f"{price.meter} (tier {price.tier}"
    if price.plan:
        words += f", plan {price.plan}"
    if above and price.above_input_tokens:
        words += f", above {price.above_input_tokens} input tokens"
    return words + ")"
