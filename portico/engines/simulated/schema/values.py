"""Single values for a JSON schema: texts and numbers, within their limits."""

import math
from collections.abc import Callable
from fractions import Fraction
from random import Random
from typing import Any
from uuid import UUID

from portico.engines.simulated.filler import words
from portico.engines.simulated.schema.pattern import UnknownPattern, matching

TEXT_CHARACTERS_MAX = 50_000
_PATTERN_TRIES = 10
_NUMBER_SPREAD = 100
_LIMITS = frozenset(("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"))


class NoInstance(Exception):
    """Nothing satisfies the schema, or nothing that is found here.

    place: a JSON pointer into the schema, "#" for its root.
    """

    def __init__(self, place: str, why: str) -> None:
        super().__init__(f"{place}: {why}")
        self.place = place
        self.why = why


def _day(rng: Random) -> str:
    return f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def _time(rng: Random) -> str:
    return f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}Z"


def _host(rng: Random) -> str:
    return f"{words(1, rng)}.example.com"


def _email(rng: Random) -> str:
    return f"{words(1, rng)}@example.com"


def _uri(rng: Random) -> str:
    return f"https://example.com/{words(1, rng)}"


FORMATS: dict[str, Callable[[Random], str]] = {
    "date": _day,
    "time": _time,
    "date-time": lambda rng: f"{_day(rng)}T{_time(rng)}",
    "duration": lambda rng: f"PT{rng.randint(1, 59)}M",
    "email": _email,
    "idn-email": _email,
    "hostname": _host,
    "idn-hostname": _host,
    "ipv4": lambda rng: f"192.0.2.{rng.randint(1, 254)}",
    "ipv6": lambda rng: f"2001:db8::{rng.randint(1, 9999)}",
    "uri": _uri,
    "iri": _uri,
    "uri-reference": _uri,
    "iri-reference": _uri,
    "uuid": lambda rng: str(UUID(int=rng.getrandbits(128), version=4)),
    "json-pointer": lambda rng: f"/{words(1, rng)}",
    "regex": lambda rng: f"^{words(1, rng)}$",
}


def text(schema: dict[str, Any], place: str, rng: Random) -> str:
    """A string: by `pattern`, else by `format`, else a few words."""
    least = schema.get("minLength", 0)
    most = schema.get("maxLength", max(least, TEXT_CHARACTERS_MAX))
    if least > TEXT_CHARACTERS_MAX or most < least:
        raise NoInstance(place, f"no text has from {least} to {most} characters here")
    make = FORMATS.get(schema.get("format", ""))
    if "pattern" in schema:
        return _by_pattern(schema["pattern"], (least, most), place, rng)
    if make is None:
        return _words_within(least, most, rng)
    made = make(rng)
    if not least <= len(made) <= most:
        raise NoInstance(place, f"no {schema['format']} of {least} to {most} characters here")
    return made


def _by_pattern(pattern: str, lengths: tuple[int, int], place: str, rng: Random) -> str:
    least, most = lengths
    try:
        for made in matching(pattern, rng, _PATTERN_TRIES):
            if least <= len(made) <= most:
                return made
    except UnknownPattern as unknown:
        raise NoInstance(place, f"its pattern is not understood: {unknown}") from unknown
    raise NoInstance(place, f"no match of its pattern has {least} to {most} characters")


def _words_within(least: int, most: int, rng: Random) -> str:
    made = words(rng.randint(1, 3), rng)
    while len(made) < least:
        made += " " + words(8, rng)
    return made if len(made) <= most else made[:most]


def number(schema: dict[str, Any], place: str, rng: Random, *, whole: bool) -> int | float:
    """Near the lower limit if there is one, else near zero; a hundredth where fractions may be."""
    step = _step(schema, place, whole=whole)
    low, high, low_open, high_open = _limits(schema)
    if low is None:
        low = Fraction(0) if high is None or high >= 0 else high - _NUMBER_SPREAD
    first = math.ceil(low / step)
    if low_open and first * step == low:
        first += 1
    last = first + _NUMBER_SPREAD
    if high is not None:
        last = min(last, math.floor(high / step))
        if high_open and last * step == high:
            last -= 1
    if first <= last:
        return _plain(rng.randint(first, last) * step)
    if whole or "multipleOf" in schema or high is None or low >= high:
        raise NoInstance(place, "no number is within its limits")
    return _plain((low + high) / 2)


def _step(schema: dict[str, Any], place: str, *, whole: bool) -> Fraction:
    if "multipleOf" not in schema:
        return Fraction(1) if whole else Fraction(1, 100)
    step = Fraction(str(schema["multipleOf"]))
    if step <= 0:
        raise NoInstance(place, "multipleOf must be above 0")
    # The whole multiples of p/q are the multiples of p.
    return Fraction(step.numerator) if whole else step


def _limits(schema: dict[str, Any]) -> tuple[Fraction | None, Fraction | None, bool, bool]:
    """The tighter lower and upper limit, and whether each is itself excluded."""
    lows = [
        (Fraction(str(schema[key])), key != "minimum")
        for key in ("minimum", "exclusiveMinimum")
        if key in schema
    ]
    highs = [
        (Fraction(str(schema[key])), key == "maximum")
        for key in ("maximum", "exclusiveMaximum")
        if key in schema
    ]
    low, low_open = max(lows, default=(None, False))
    high, high_closed = min(highs, default=(None, True))
    return low, high, low_open, not high_closed


def within_limits(schema: dict[str, Any], value: Any) -> bool:
    """Does `value`, given by the schema itself, keep the limits the schema sets beside it?"""
    if isinstance(value, str):
        least, most = schema.get("minLength", 0), schema.get("maxLength", len(value))
        return bool(least <= len(value) <= most)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return True
    if _LIMITS.isdisjoint(schema) and "multipleOf" not in schema:
        return True
    exact = Fraction(str(value))
    step = Fraction(str(schema.get("multipleOf", 0)))
    if step > 0 and exact % step != 0:
        return False
    low, high, low_open, high_open = _limits(schema)
    above = low is None or exact > low or (exact == low and not low_open)
    below = high is None or exact < high or (exact == high and not high_open)
    return above and below


def _plain(value: Fraction) -> int | float:
    return value.numerator if value.denominator == 1 else float(value)
