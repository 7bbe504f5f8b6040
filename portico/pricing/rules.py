"""What usage costs: exact arithmetic on whole nano-USD.  Pure.

A line of a charge is units x price x share, an exact fraction, rounded half to even once.  `bound`
is the most that any usage within given numbers of tokens can come to under the same quote.
"""

from collections.abc import Iterable

from msgspec.structs import astuple

from portico import errors
from portico.canon.usage import Meters
from portico.pricing.book import Book, Steps
from portico.pricing.model import (
    INPUT_METERS,
    NANO_MAX,
    OUTPUT_METERS,
    REQUEST,
    TIERS,
    UNIT,
    Charge,
    Line,
    Pinned,
    Quote,
    Terms,
    Tier,
)

REQUIRED = ("input_text", "output_text")
"""A model without a price for these is not for sale."""

BILLED_AS = {
    "input_cache_read": "input_text",
    "input_cache_write_5m": "input_cache_write_1h",
    "output_reasoning": "output_text",
}
"""A meter without a price of its own costs as much as this one.  Only where the other one is at
least as dear in every list price we know; images, audio and cache writes cost more than the text
they would be taken for, so those need a price (docs/guides/prices.md)."""

_COUNTED = Meters.__struct_fields__


class CannotRate(Exception):
    """Usage that has no amount.  Nothing must be charged for it, and somebody must be told."""


class MeterNotPriced(CannotRate):
    """Units were used of a meter that the quote has no price for."""


class NegativeUnits(CannotRate):
    """A count below zero: it would pay money out."""


class AmountTooLarge(CannotRate):
    """An amount or a count does not fit in a signed 64-bit integer."""


def line(units: int, nano_per_million: int, numerator: int = 1, denominator: int = 1) -> int:
    """Nano-USD for `units`, of which numerator / denominator is paid; rounded half to even."""
    whole, rest = divmod(units * nano_per_million * numerator, UNIT * denominator)
    twice = 2 * rest - UNIT * denominator
    return whole + 1 if twice > 0 or (twice == 0 and whole % 2) else whole


def rate(quote: Quote, meters: Meters, requests: int = 1) -> Charge:
    """The charge for `meters`, one line for every meter that was used.

    Which step of a price counts is decided by all input tokens together.  With nothing left to
    pay, meters without a price are left out instead of refused.
    Raises: MeterNotPriced, NegativeUnits, AmountTooLarge.
    """
    prices = _in_step(quote.prices, meters.input_tokens)
    numerator, denominator = quote.share_numerator, quote.share_denominator
    lines = []
    for meter, units in (*zip(_COUNTED, astuple(meters), strict=True), (REQUEST, requests)):
        if units < 0:
            raise NegativeUnits(f"{meter} of {quote.model} is {units}.")
        if not units:
            continue
        price = prices.get(meter)
        if price is None:
            if meter == REQUEST or not numerator:
                continue
            raise MeterNotPriced(f"{quote.model} has no price for {meter} (tier {quote.tier}).")
        nano = price.nano_per_million
        list_nano = line(units, nano)
        net_nano = line(units, nano, numerator, denominator)
        lines.append(Line(meter, units, price.price_id, nano, list_nano, net_nano))
    return _charge(lines)


def rerate(lines: Iterable[Line], share_numerator: int, share_denominator: int) -> tuple[int, int]:
    """(list, net) in nano-USD of a stored charge, from the numbers copied into its lines and the
    share of its terms: no price is looked up, so none that changed since can matter."""
    list_nano = net_nano = 0
    for each in lines:
        list_nano += line(each.units, each.nano_per_million)
        net_nano += line(each.units, each.nano_per_million, share_numerator, share_denominator)
    return list_nano, net_nano


def bound(quote: Quote, input_tokens_max: int, output_tokens_max: int, choices: int) -> int:
    """The most one request can cost, in nano-USD: all input at the dearest input price and step
    within reach, all output of every choice at the dearest output price.

    output_tokens_max: per choice.  The input is counted once, however many choices there are.
    Raises: AmountTooLarge.
    """
    if not quote.share_numerator:
        return 0
    dearest: dict[str, int] = {}
    for price in quote.prices:
        if price.above_input_tokens and price.above_input_tokens >= input_tokens_max:
            continue  # so much input cannot be there
        if price.nano_per_million > dearest.get(price.meter, 0):
            dearest[price.meter] = price.nano_per_million
    output_tokens = output_tokens_max * choices
    inputs = [dearest[meter] for meter in INPUT_METERS if meter in dearest]
    outputs = [dearest[meter] for meter in OUTPUT_METERS if meter in dearest]
    units_nano = (
        input_tokens_max * max(inputs, default=0)
        + output_tokens * max(outputs, default=0)
        + dearest.get(REQUEST, 0)
    )
    # Every line that is not free may have been rounded up, by half a nano at most.
    lines = min(len(inputs), input_tokens_max) + min(len(outputs), output_tokens)
    lines += REQUEST in dearest
    unit = UNIT * quote.share_denominator
    most_nano = (2 * units_nano * quote.share_numerator + lines * unit) // (2 * unit)
    if most_nano > NANO_MAX:
        raise AmountTooLarge(
            f"{input_tokens_max} tokens in and {output_tokens} out of {quote.model} may cost "
            f"{most_nano} nano-USD; {NANO_MAX} is the most there is."
        )
    return most_nano


def pin(book: Book, model: str, tier: str, terms: Terms, now_ms: int) -> Quote:
    """What a request for `model` is rated by if it is admitted at `now_ms`.

    Internal use is charged nothing and needs no price.
    Raises: Refusal: unknown_service_tier (400), also where the model is not priced for a tier that
    was asked for; model_not_priced (503).
    """
    if tier not in TIERS:
        raise _unknown_tier(book, model, tier, terms, now_ms)
    known: Tier = tier  # type: ignore[assignment]  # it is one of them
    if terms.kind == "internal":
        return Quote(
            model=model,
            tier=known,
            terms_id=terms.id,
            share_numerator=0,
            share_denominator=1,
            prices=(),
        )
    priced = book.in_force(model, tier, terms.plan, now_ms)
    if not priced and tier != "standard":
        raise _unknown_tier(book, model, tier, terms, now_ms)
    missing = [meter for meter in REQUIRED if meter not in priced]
    if missing:
        raise errors.NOT_PRICED(
            f"The model {model!r} has no price for {' and '.join(missing)} (tier {tier}).",
            field="model",
            value=model,
        )
    return Quote(
        model=model,
        tier=known,
        terms_id=terms.id,
        share_numerator=terms.share_numerator,
        share_denominator=terms.share_denominator,
        prices=_pinned(priced),
    )


def _pinned(priced: dict[str, Steps]) -> tuple[Pinned, ...]:
    """Fallbacks included, under the id of the price they are billed at."""
    pinned = []
    for meter in (*INPUT_METERS, *OUTPUT_METERS, REQUEST):
        for step in priced.get(meter) or priced.get(BILLED_AS.get(meter, ""), ()):
            pinned.append(Pinned(step.id, meter, step.above_input_tokens, step.nano_per_million))
    return tuple(pinned)


def _unknown_tier(book: Book, model: str, tier: str, terms: Terms, now_ms: int) -> errors.Refusal:
    if terms.kind == "internal":
        offered = list(TIERS)
    else:
        offered = [each for each in TIERS if book.in_force(model, each, terms.plan, now_ms)]
    return errors.UNKNOWN_TIER(
        f"The model {model!r} is not served at the tier {tier!r}; it is at: "
        f"{', '.join(offered) or 'none'}.",
        field="service_tier",
        value=tier,
        limit=offered,
    )


def _in_step(prices: Iterable[Pinned], input_tokens: int) -> dict[str, Pinned]:
    """By meter: the price of the highest step that the input is above."""
    found: dict[str, Pinned] = {}
    for price in prices:
        above = price.above_input_tokens
        if above and input_tokens <= above:
            continue
        other = found.get(price.meter)
        if other is None or above > other.above_input_tokens:
            found[price.meter] = price
    return found


def _charge(lines: list[Line]) -> Charge:
    list_nano = sum(each.list_nano for each in lines)
    net_nano = sum(each.net_nano for each in lines)
    for each in lines:
        if each.units > NANO_MAX:
            raise AmountTooLarge(f"{each.meter} is {each.units}; {NANO_MAX} is the most there is.")
    largest_nano = max(list_nano, net_nano)
    if largest_nano > NANO_MAX:
        raise AmountTooLarge(
            f"The charge is {largest_nano} nano-USD; {NANO_MAX} is the most there is."
        )
    return Charge(tuple(lines), list_nano, net_nano)
