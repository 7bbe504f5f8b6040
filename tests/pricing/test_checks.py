"""What may be stored as a price or as terms, and how a refusal is told."""

from fractions import Fraction
from typing import Any

import pytest

from portico.pricing.checks import (
    REQUEST_NANO_MAX,
    TOKEN_NANO_MAX,
    NotStorable,
    check_price,
    check_terms,
)
from portico.pricing.model import METERS, TERMS_KINDS, TIERS, Discount, PriceWish, TermsWish
from tests.pricing.rows import DAY_MS, NOW_MS


def accept(author: str = "me", **wish: Any) -> None:
    given = {"model": "m", "meter": "input_text", "nano_per_million": 150_000_000}
    check_price(PriceWish(**{**given, **wish}), author, NOW_MS)


def agree(author: str = "me", **wish: Any) -> Fraction:
    given = {"organisation_id": "org_1", "kind": "prepaid"}
    return check_terms(TermsWish(**{**given, **wish}), author, NOW_MS)


@pytest.mark.parametrize(
    "wish",
    [
        *({"meter": meter} for meter in METERS),
        *({"tier": tier} for tier in TIERS),
        {"nano_per_million": 0},
        {"nano_per_million": TOKEN_NANO_MAX},
        {"meter": "request", "nano_per_million": REQUEST_NANO_MAX},
        {"effective_from_ms": NOW_MS},
        {"effective_from_ms": NOW_MS + 400 * DAY_MS},
        {"effective_from_ms": 2**63 - 1},
        {"above_input_tokens": 200_000},
        {"above_input_tokens": 2**53 - 1},
        {"plan": "gold"},
        {"model": "m"},
        {"model": "my model"},
        {"model": "x" * 200},
        {"author": "A"},
    ],
)
def test_a_price_that_may_be_stored(wish: dict[str, Any]) -> None:
    accept(**wish)


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"meter": "input_smell"}, "no meter 'input_smell'; there are: input_text, "),
        ({"meter": ""}, "no meter ''"),
        ({"tier": "ultrafast"}, "no tier 'ultrafast'; there are: standard, flex"),
        ({"nano_per_million": -1}, "input_text is negative"),
        ({"nano_per_million": TOKEN_NANO_MAX + 1}, "Were nano-USD given for dollars"),
        ({"meter": "request", "nano_per_million": REQUEST_NANO_MAX + 1}, "taken for a mistake"),
        ({"effective_from_ms": NOW_MS - 1}, "which is past"),
        ({"effective_from_ms": 0}, "1970-01-01 00:00:00 UTC, which is past"),
        ({"effective_from_ms": -(10**18)}, "-1000000000000000000 ms, which is past"),
        ({"effective_from_ms": 2**63}, "no such moment"),
        ({"above_input_tokens": -1}, "above -1 input tokens"),
        ({"above_input_tokens": 2**53}, "above 9007199254740992 input tokens"),
        ({"model": ""}, "model is ''"),
        ({"model": " m"}, "model is ' m'"),
        ({"model": "m\n"}, "model is"),
        ({"model": "x" * 201}, "1 to 200 printable"),
        ({"plan": "gold "}, "plan is 'gold '"),
        ({"author": ""}, "author is ''"),
    ],
)
def test_a_price_that_may_not(wish: dict[str, Any], says: str) -> None:
    with pytest.raises(NotStorable) as caught:
        accept(**wish)
    assert says in str(caught.value)


CONTRIBUTOR = Discount("contributor", 4, 5)


@pytest.mark.parametrize(
    ("wish", "share"),
    [
        *(({"kind": kind}, Fraction(1)) for kind in TERMS_KINDS),
        ({"discounts": (Discount("contract", 9, 10),)}, Fraction(9, 10)),
        ({"discounts": (Discount("contract", 0, 1),)}, Fraction(0)),
        ({"discounts": (Discount("contract", 1, 1),)}, Fraction(1)),
        ({"discounts": (CONTRIBUTOR,), "consent": "2026-11"}, Fraction(4, 5)),
        (
            {"discounts": (Discount("contract", 2, 3), CONTRIBUTOR), "consent": "v1"},
            Fraction(8, 15),
        ),
        ({"plan": "gold", "effective_from_ms": NOW_MS}, Fraction(1)),
    ],
)
def test_terms_that_may_be_agreed(wish: dict[str, Any], share: Fraction) -> None:
    assert agree(**wish) == share


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"kind": "barter"}, "no terms 'barter'; there are: internal, free"),
        ({"discounts": (Discount("contract", 11, 10),)}, "leaves 11/10 of the price"),
        ({"discounts": (Discount("contract", -1, 10),)}, "leaves -1/10"),
        ({"discounts": (Discount("contract", 0, 0),)}, "leaves 0/0"),
        ({"discounts": (Discount("contract", -1, -2),)}, "leaves -1/-2"),
        ({"discounts": (Discount("friend", 1, 2),)}, "no discount 'friend'"),
        ({"discounts": (Discount("contract", 1, 2), Discount("contract", 1, 3))}, "twice"),
        ({"discounts": (CONTRIBUTOR,)}, "needs the version of the consent"),
        ({"consent": "v1"}, "belongs to a contributor discount"),
        ({"discounts": (CONTRIBUTOR,), "consent": " "}, "consent is ' '"),
        ({"discounts": (Discount("contract", 1, 2**63),)}, "too many digits"),
        ({"effective_from_ms": NOW_MS - 1}, "which is past"),
        ({"kind": "internal", "plan": "gold"}, "Internal use is charged nothing"),
        ({"kind": "internal", "discounts": (Discount("contract", 1, 2),)}, "Internal use"),
        ({"kind": "internal", "consent": "v1"}, "Internal use"),
        ({"plan": "\x00"}, "plan is"),
        ({"author": " me"}, "author is ' me'"),
    ],
)
def test_terms_that_may_not(wish: dict[str, Any], says: str) -> None:
    with pytest.raises(NotStorable) as caught:
        agree(**wish)
    assert says in str(caught.value)


def test_the_smallest_share_that_can_be_stored() -> None:
    assert agree(discounts=(Discount("contract", 1, 2**63 - 1),)) == Fraction(1, 2**63 - 1)
