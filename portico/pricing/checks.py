"""May a new price, or new terms, be stored?  Pure."""

import re
from datetime import UTC, datetime
from fractions import Fraction

from portico.kit.visible import unseen
from portico.pricing.model import (
    METERS,
    NANO_MAX,
    REQUEST,
    TERMS_KINDS,
    TIERS,
    UNIT,
    Discount,
    PriceWish,
    TermsWish,
)

TOKEN_NANO_MAX = 1_000_000_000 * UNIT
"""A dollar for one token.  More is a slip of the pen, such as nano-USD typed for dollars."""
REQUEST_NANO_MAX = 1_000 * 1_000_000_000 * UNIT
"""A thousand dollars for one request."""
CONTRIBUTOR = "contributor"
"""The discount for letting the operator use the data; only with a consent."""
DISCOUNTS = ("contract", CONTRIBUTOR)
_INPUT_TOKENS_MAX = 2**53 - 1
_NAME = re.compile(r"\S(?:.{0,198}\S)?")


class NotStorable(ValueError):
    """A price or terms that must not be stored: what is wrong, and what it may be."""


def check_price(wish: PriceWish, author: str, now_ms: int) -> None:
    """Raises: NotStorable."""
    _check_name("model", wish.model)
    _check_author(author)
    _check_plan(wish.plan)
    if wish.meter not in METERS:
        raise NotStorable(f"There is no meter {wish.meter!r}; there are: {', '.join(METERS)}.")
    if wish.tier not in TIERS:
        raise NotStorable(f"There is no tier {wish.tier!r}; there are: {', '.join(TIERS)}.")
    if not 0 <= wish.above_input_tokens <= _INPUT_TOKENS_MAX:
        raise NotStorable(
            f"A price cannot count above {wish.above_input_tokens} input tokens; "
            f"0 to {_INPUT_TOKENS_MAX} are possible."
        )
    if wish.nano_per_million < 0:
        raise NotStorable(f"The price of {wish.meter} is negative; 0 is the lowest.")
    nano_max = REQUEST_NANO_MAX if wish.meter == REQUEST else TOKEN_NANO_MAX
    if wish.nano_per_million > nano_max:
        raise NotStorable(
            f"The price of {wish.meter} is {wish.nano_per_million} nano-USD per million; more than "
            f"{nano_max} is taken for a mistake.  Were nano-USD given for dollars?"
        )
    _check_date(wish.effective_from_ms, now_ms)


def check_terms(wish: TermsWish, author: str, now_ms: int) -> Fraction:
    """What is left of the list price.  Raises: NotStorable."""
    _check_author(author)
    _check_plan(wish.plan)
    if wish.kind not in TERMS_KINDS:
        raise NotStorable(f"There are no terms {wish.kind!r}; there are: {', '.join(TERMS_KINDS)}.")
    if wish.kind == "internal" and (wish.discounts or wish.plan or wish.consent):
        raise NotStorable(
            "Internal use is charged nothing: plan, discounts and consent mean nothing there."
        )
    kinds = [each.kind for each in wish.discounts]
    if len(set(kinds)) != len(kinds):
        raise NotStorable(f"A kind of discount is given twice: {', '.join(kinds)}.")
    if (CONTRIBUTOR in kinds) != bool(wish.consent):
        raise NotStorable(
            "A contributor discount needs the version of the consent it rests on, and a consent "
            "belongs to a contributor discount."
        )
    if wish.consent:
        _check_name("consent", wish.consent)
    _check_date(wish.effective_from_ms, now_ms)
    share = Fraction(1)
    for discount in wish.discounts:
        share *= _remaining(discount)
    if share.denominator > NANO_MAX:
        raise NotStorable(f"The discounts multiply to {share}; that has too many digits to store.")
    return share


def _remaining(discount: Discount) -> Fraction:
    if discount.kind not in DISCOUNTS:
        raise NotStorable(
            f"There is no discount {discount.kind!r}; there are: {', '.join(DISCOUNTS)}."
        )
    if discount.denominator <= 0 or not 0 <= discount.numerator <= discount.denominator:
        raise NotStorable(
            f"The {discount.kind} discount leaves {discount.numerator}/{discount.denominator} of "
            "the price; between 0 and 1 is possible."
        )
    return Fraction(discount.numerator, discount.denominator)


def _check_date(effective_from_ms: int | None, now_ms: int) -> None:
    if effective_from_ms is None:
        return
    if effective_from_ms < now_ms:
        raise NotStorable(
            f"It cannot take effect on {_day(effective_from_ms)}, which is past (it is "
            f"{_day(now_ms)}): what has been charged stays as it is."
        )
    if effective_from_ms > NANO_MAX:
        raise NotStorable(f"There is no such moment: {effective_from_ms} ms.")


def _check_author(author: str) -> None:
    _check_name("author", author)


def _check_plan(plan: str) -> None:
    if plan:
        _check_name("plan", plan)


def _check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name) or unseen(name):
        raise NotStorable(
            f"The {what} is {name!r}; it needs 1 to 200 printable characters, no blank at an end."
        )


def _day(moment_ms: int) -> str:
    try:
        return f"{datetime.fromtimestamp(moment_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{moment_ms} ms"
