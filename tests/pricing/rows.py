"""Prices, terms and quotes, said shortly."""

from typing import Any

import msgspec

from portico.pricing.model import Pinned, Price, Quote, Terms

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000


def price(meter: str, nano: int, **other: Any) -> Price:
    given = {
        "id": f"price_{meter}_{nano}_{len(other)}_{other.get('above_input_tokens', 0)}",
        "model": "m",
        "tier": "standard",
        "effective_from_ms": 0,
        "author": "me",
        "created_at_ms": 0,
    }
    return Price(meter=meter, nano_per_million=nano, **{**given, **other})


def terms(kind: str = "prepaid", **other: Any) -> Terms:
    given = {
        "id": "terms_1",
        "organisation_id": "org_1",
        "effective_from_ms": 0,
        "author": "me",
        "created_at_ms": 0,
    }
    return msgspec.convert({"kind": kind, **given, **other}, Terms)


def quote(
    *prices: tuple[str, int] | tuple[str, int, int], share: tuple[int, int] = (1, 1)
) -> Quote:
    """prices: (meter, nano per million) or (meter, nano per million, above)."""
    pinned = tuple(
        Pinned(f"price_{n}", each[0], each[2] if len(each) == 3 else 0, each[1])
        for n, each in enumerate(prices)
    )
    return Quote(
        model="m",
        tier="standard",
        terms_id="terms_1",
        share_numerator=share[0],
        share_denominator=share[1],
        prices=pinned,
    )
