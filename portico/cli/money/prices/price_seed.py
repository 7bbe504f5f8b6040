"""Third-party list prices, from the data inside the `genai-prices` package: a seed for review.

Nothing is fetched, and nothing here is used to rate a request.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from portico.pricing.checks import NotStorable, check_price
from portico.pricing.model import REQUEST, PriceWish
from portico.pricing.rules import REQUIRED

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

_METERS = {
    "input_mtok": "input_text",
    "cache_read_mtok": "input_cache_read",
    "cache_write_mtok": "input_cache_write_5m",
    "cache_write_1h_mtok": "input_cache_write_1h",
    "input_image_mtok": "input_image",
    "input_audio_mtok": "input_audio",
    "output_mtok": "output_text",
    "output_reasoning_mtok": "output_reasoning",
    "output_audio_mtok": "output_audio",
    "requests_kcount": REQUEST,
}
_TIERS = {
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "batch": {"processing": "batch"},
}
_NANO = 1_000_000_000
_THOUSANDS = 1_000
"""`requests_kcount` is per 1,000 requests, everything else per 1,000,000 tokens."""


class ExtraMissing(Exception):
    """The package is not installed."""


@dataclass(frozen=True, slots=True)
class Seed:
    """One model of a provider.  left_out: what its list has and Portico cannot store, and why."""

    provider: str
    model: str
    prices: tuple[PriceWish, ...]
    left_out: tuple[str, ...]


def providers() -> dict[str, int]:
    """How many models each provider lists.  Raises: ExtraMissing."""
    return {each.id: len(each.models) for each in _providers()}


def seeds(provider: str | None, model: str | None, name: str | None, now_ms: int) -> list[Seed]:
    """The list prices at `now_ms`.

    provider, model: None for any.  name: what the model is called here; None for the same.
    Raises: ExtraMissing.
    """
    return [
        _seed(found.id, listed, name or listed.id, now_ms)
        for found in _providers()
        if provider in (None, found.id)
        for listed in found.models
        if model in (None, listed.id)
    ]


def _providers() -> "list[Provider]":
    try:
        from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 - an extra, and slow to load
    except ModuleNotFoundError as error:
        raise ExtraMissing("The list prices are in an extra that is not installed.") from error
    return list(get_snapshot().providers)


def _seed(provider: str, model: "ModelInfo", name: str, now_ms: int) -> Seed:
    from genai_prices.types import TimeOfDateConstraint  # noqa: PLC0415 - see above

    conditional = model.prices if isinstance(model.prices, list) else []
    if any(isinstance(each.constraint, TimeOfDateConstraint) for each in conditional):
        return Seed(provider, model.id, (), ("its prices depend on the time of day",))
    prices: list[PriceWish] = []
    left_out: list[str] = []
    for tier, listed in _tiers(model, now_ms):
        for wish, problem in _wishes(listed, name, tier, now_ms):
            if problem:
                left_out.append(problem)
            else:
                prices.append(wish)
    standard = {wish.meter for wish in prices if wish.tier == "standard"}
    missing = [meter for meter in REQUIRED if meter not in standard]
    if missing:
        return Seed(provider, model.id, (), (f"it lists no {' and no '.join(missing)}",))
    return Seed(provider, model.id, tuple(prices), tuple(dict.fromkeys(left_out)))


def _tiers(model: "ModelInfo", now_ms: int) -> "Iterator[tuple[str, ModelPrice]]":
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    yield "standard", model.get_prices(now)
    for tier, context in _TIERS.items():
        for variant in model.price_variants or ():
            counts = variant.constraint is None or variant.constraint.active(now)
            if variant.when == context and counts:
                yield tier, model.get_prices(now, context)
                break


def _wishes(
    listed: "ModelPrice", name: str, tier: str, now_ms: int
) -> Iterator[tuple[PriceWish, str]]:
    """Each with what is wrong with it, "" for nothing."""
    for key, price in vars(listed).items():
        if price is None:
            continue
        meter = _METERS.get(key, "")
        steps = [(0, price)] if isinstance(price, Decimal) else [(0, price.base)]
        if not isinstance(price, Decimal):
            steps += [(step.start, step.price) for step in price.tiers]
        for above, dollars in steps:
            exact = dollars * _NANO * (_THOUSANDS if meter == REQUEST else 1)
            wish = PriceWish(
                model=name,
                meter=meter,
                tier=tier,
                above_input_tokens=above,
                nano_per_million=int(exact),
            )
            yield wish, _problem(wish, key, exact, now_ms)


def _problem(wish: PriceWish, key: str, exact: Decimal, now_ms: int) -> str:
    if not wish.meter:
        return f"{key} (not metered here)"
    if exact != wish.nano_per_million:
        return f"{key} ({exact} nano-USD is not a whole number)"
    try:
        check_price(wish, "seed", now_ms)
    except NotStorable as error:
        return f"{key} ({error})"
    return ""
