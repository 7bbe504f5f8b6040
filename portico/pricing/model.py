"""Prices, terms, quotes and charges.  Money is whole nano-USD; prices are whole nano-USD per
1,000,000 units; JSON carries both as integers of at most 2**63 - 1 (receipts: as strings)."""

from typing import Literal, get_args

import msgspec

from portico.canon.usage import Meters

Tier = Literal["standard", "flex", "priority", "batch"]
TermsKind = Literal["internal", "free", "prepaid", "postpaid", "commit"]

UNIT = 1_000_000
"""Prices are per so many units."""

TIERS: tuple[str, ...] = get_args(Tier)
TERMS_KINDS: tuple[str, ...] = get_args(TermsKind)
REQUEST = "request"
"""The meter that counts the request itself.  A model without a price for it charges nothing."""
INPUT_METERS = tuple(name for name in Meters.__struct_fields__ if name.startswith("input_"))
OUTPUT_METERS = tuple(name for name in Meters.__struct_fields__ if name.startswith("output_"))
METERS = (*INPUT_METERS, *OUTPUT_METERS, REQUEST)
NANO_MAX = 2**63 - 1
"""The largest amount that is stored: about 9.2 billion dollars."""


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What one meter of one model costs, from a day on.  Never changed once stored.

    meter: a field of canon.usage.Meters, or "request".
    plan: "" for every plan.
    above_input_tokens: counts where the input as a whole has more tokens than this.
    effective_from_ms: wall clock.
    """

    id: str
    model: str
    meter: str
    tier: Tier
    plan: str = ""
    above_input_tokens: int = 0
    nano_per_million: int
    effective_from_ms: int
    author: str
    created_at_ms: int


class PriceWish(msgspec.Struct, frozen=True, kw_only=True):
    """A price to store.  effective_from_ms: None for now."""

    model: str
    meter: str
    tier: str = "standard"
    plan: str = ""
    above_input_tokens: int = 0
    nano_per_million: int
    effective_from_ms: int | None = None


class Discount(msgspec.Struct, frozen=True):
    """One reason to pay less: what remains is numerator / denominator of it."""

    kind: str
    numerator: int
    denominator: int


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How an organisation pays, from a day on.  Never changed once stored.

    share_numerator / share_denominator: what is left of the list price after all discounts.
    consent: version of the data-sharing consent behind a contributor discount, or "".
    """

    id: str
    organisation_id: str
    kind: TermsKind
    plan: str = ""
    share_numerator: int = 1
    share_denominator: int = 1
    discounts: tuple[Discount, ...] = ()
    consent: str = ""
    effective_from_ms: int
    author: str
    created_at_ms: int


class TermsWish(msgspec.Struct, frozen=True, kw_only=True):
    """Terms to store; their share is the product of the discounts.  effective_from_ms: None for
    now."""

    organisation_id: str
    kind: str
    plan: str = ""
    discounts: tuple[Discount, ...] = ()
    consent: str = ""
    effective_from_ms: int | None = None


class Pinned(msgspec.Struct, frozen=True):
    """A price as a quote remembers it."""

    price_id: str
    meter: str
    above_input_tokens: int
    nano_per_million: int


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """What a request will be rated by, whatever changes while it runs.

    prices: every meter the model is priced for, at this tier, long-context steps included.
    """

    model: str
    tier: Tier
    terms_id: str
    share_numerator: int
    share_denominator: int
    prices: tuple[Pinned, ...]


class Line(msgspec.Struct, frozen=True):
    """One meter of a charge.  list_nano: before discounts; net_nano: what is paid.

    The two are rounded half to even, each once, from exact fractions.
    """

    meter: str
    units: int
    price_id: str
    nano_per_million: int
    list_nano: int
    net_nano: int


class Charge(msgspec.Struct, frozen=True):
    lines: tuple[Line, ...]
    list_nano: int
    net_nano: int


NOTHING = Charge((), 0, 0)
