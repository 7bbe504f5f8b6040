"""Why a meter may be billed as another one: in public price lists that one is as dear, or dearer.

The figures in docs/guides/prices.md are those counted here.
"""

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from genai_prices.data_snapshot import get_snapshot

from portico.pricing.rules import BILLED_AS

LISTED = {
    "input_text": "input_mtok",
    "input_cache_read": "cache_read_mtok",
    "input_cache_write_5m": "cache_write_mtok",
    "input_cache_write_1h": "cache_write_1h_mtok",
    "input_image": "input_image_mtok",
    "input_audio": "input_audio_mtok",
    "output_text": "output_mtok",
    "output_reasoning": "output_reasoning_mtok",
    "output_audio": "output_audio_mtok",
}
DAY = datetime(2026, 11, 21, tzinfo=UTC)


def base(price: Any) -> Decimal | None:
    return getattr(price, "base", price)


def compared(meter: str, other: str) -> tuple[int, int]:
    """In how many price lists `meter` costs at most as much as `other`, and in how many more."""
    found: Counter[bool] = Counter()
    for provider in get_snapshot().providers:
        for model in provider.models:
            prices = model.get_prices(DAY)
            one, two = base(getattr(prices, LISTED[meter])), base(getattr(prices, LISTED[other]))
            if one is not None and two is not None:
                found[one <= two] += 1
    return found[True], found[False]


def test_where_a_meter_falls_back_the_other_one_is_as_dear() -> None:
    assert len(get_snapshot().providers) == 47
    assert {meter: compared(meter, other) for meter, other in BILLED_AS.items()} == {
        "input_cache_read": (967, 1),
        "input_cache_write_5m": (77, 0),
        "output_reasoning": (2, 0),
    }


def test_where_it_does_not_the_text_would_be_too_cheap() -> None:
    assert compared("input_image", "input_text") == (0, 14)
    assert compared("input_audio", "input_text") == (0, 21)
    assert compared("output_audio", "output_text") == (0, 12)
    assert compared("input_cache_write_5m", "input_text") == (35, 258)
    assert compared("input_cache_write_1h", "input_text") == (0, 77)
    without = {"input_image", "input_audio", "output_audio", "input_cache_write_1h"}
    assert without.isdisjoint(BILLED_AS)
