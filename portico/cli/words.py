"""What people type, read exactly: dollars, moments, discounts."""

import re
from datetime import UTC, datetime
from fractions import Fraction

from portico.kit.visible import unseen
from portico.pricing.model import Discount

_DOLLARS = re.compile(r"\$?(\d{1,18})(?:\.(\d{1,30}))?", re.ASCII)
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,9})?)%", re.ASCII)
_RATIONAL = re.compile(r"(\d{1,9})/(\d{1,9})", re.ASCII)
NANO_DIGITS = 9
_SENTENCE_MAX = 500


class Unreadable(ValueError):
    """What was typed, and how to write it."""


def scaled(text: str, digits: int = NANO_DIGITS) -> int:
    """Dollars as a whole number of 10**-digits dollars: "0.15" is 150000000 nano-USD.

    Never by way of a float, and nothing is rounded.  Raises: Unreadable.
    """
    found = _DOLLARS.fullmatch(text)
    if text.startswith("-"):
        raise Unreadable(f"{text} is negative; 0 is the lowest.")
    if found is None:
        raise Unreadable(f"{text!r} is no amount; write dollars as 0.15 or 12.")
    behind = (found[2] or "").rstrip("0")
    if len(behind) > digits:
        raise Unreadable(f"{text} has {len(behind)} digits behind the point; {digits} can be kept.")
    return int(found[1] + behind.ljust(digits, "0"))


def moment_ms(text: str) -> int:
    """Milliseconds since the epoch of a day (its start, UTC) or a moment.  Raises: Unreadable."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Unreadable(
            f"{text!r} is no date; write 2026-12-01 or 2026-12-01T08:00:00+01:00."
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def moment(epoch_ms: int) -> str:
    return f"{datetime.fromtimestamp(epoch_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def sentence(text: str) -> str:
    """As it was typed: it is kept, printed and shown to others.  Raises: Unreadable."""
    if len(text) > _SENTENCE_MAX:
        raise Unreadable(f"The text has {len(text)} characters; it may have {_SENTENCE_MAX}.")
    found = unseen(text)
    if found:
        raise Unreadable(f"The text has the character {found} in it; leave it out.")
    return text


def discount(text: str) -> Discount:
    """`contract=20%` or `contract=1/5`: what is taken off.  Raises: Unreadable."""
    kind, _, off = text.partition("=")
    percent, rational = _PERCENT.fullmatch(off), _RATIONAL.fullmatch(off)
    if percent is not None:
        taken = Fraction(percent[1]) / 100
    elif rational is not None and int(rational[2]):
        taken = Fraction(int(rational[1]), int(rational[2]))
    else:
        raise Unreadable(f"{text!r} is no discount; write contract=20% or contract=1/5.")
    left = 1 - taken
    return Discount(kind, left.numerator, left.denominator)
