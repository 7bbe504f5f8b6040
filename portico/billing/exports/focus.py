"""One row per meter line, in the columns of FOCUS 1.2 (finops.org).  Pure; amounts are exact.

What has no column there has one of ours, which begins with `x_`.  What was used beyond a request's
hold is the operator's loss: a row of its own (`Adjustment`, negative) takes it off, so that the sum
of BilledCost is what was charged.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal

import msgspec

from portico.ledger.receipts import Receipt
from portico.pricing.model import REQUEST, Line

COLUMNS = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType",
    "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory", "ChargeClass",
    "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart",
    "ConsumedQuantity", "ConsumedUnit", "ContractedCost", "ContractedUnitPrice", "EffectiveCost",
    "InvoiceId", "InvoiceIssuerName", "ListCost", "ListUnitPrice", "PricingCategory",
    "PricingCurrency", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName",
    "ResourceId", "ResourceName", "ResourceType", "ServiceCategory", "ServiceName",
    "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceId", "SubAccountId", "SubAccountName",
    "SubAccountType", "Tags",
    "x_ChargedAt", "x_KeyId", "x_ListNanoUsd", "x_Model", "x_NanoUsdPerMillion", "x_NetNanoUsd",
    "x_Outcome", "x_ReceiptHash", "x_ReceiptNumber", "x_RequestId", "x_ServiceTier",
)  # fmt: skip

_NANO = 1_000_000_000
_DIGITS = 18
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_HOUR_MS = 3_600_000
_lines = msgspec.json.Decoder(tuple[Line, ...])


@dataclass(frozen=True, slots=True)
class About:
    """What a receipt only names.  share: what is left of the list price (numerator, denominator).
    invoice: the number of the invoice it is on; "" while it is on none.
    """

    seller: str
    organisation_name: str
    project_name: str
    key_name: str
    share: tuple[int, int]
    invoice: str = ""


def rows(receipt: Receipt, hashed: bytes, about: About) -> Iterator[tuple[str, ...]]:
    """In the order of `COLUMNS`."""
    shared = _shared(receipt, hashed, about)
    for line in _lines.decode(receipt.lines):
        yield _in_order({**shared, **_usage(receipt, line, about.share)})
    absorbed_nano = int(receipt.absorbed_nano)
    if absorbed_nano:
        yield _in_order({**shared, **_absorbed(absorbed_nano)})


def dollars(nano: int) -> str:
    """With nine digits behind the point: nothing is rounded."""
    whole, rest = divmod(abs(nano), _NANO)
    return f"{'-' if nano < 0 else ''}{whole}.{rest:09d}"


def unit_price(nano_per_million: int, numerator: int = 1, denominator: int = 1) -> str:
    """Dollars for one unit; exact at list price, else to 18 digits behind the point."""
    exact = _EXACT.divide(
        Decimal(nano_per_million * numerator), Decimal(denominator * _NANO * 1_000_000)
    )
    return f"{exact.quantize(Decimal(1).scaleb(-_DIGITS), context=_EXACT):f}"


def _in_order(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row.get(column, "") for column in COLUMNS)


def _shared(receipt: Receipt, hashed: bytes, about: About) -> dict[str, str]:
    at = datetime.fromtimestamp(receipt.charged_at_ms // 1000, UTC)
    month = at.replace(day=1, hour=0, minute=0, second=0)
    next_month = month.replace(year=at.year + at.month // 12, month=at.month % 12 + 1)
    hour_s = receipt.charged_at_ms // _HOUR_MS * (_HOUR_MS // 1000)
    return {
        "BillingAccountId": receipt.organisation_id,
        "BillingAccountName": about.organisation_name,
        "BillingAccountType": "Organisation",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": _moment(next_month),
        "BillingPeriodStart": _moment(month),
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": _moment(datetime.fromtimestamp(hour_s + _HOUR_MS // 1000, UTC)),
        "ChargePeriodStart": _moment(datetime.fromtimestamp(hour_s, UTC)),
        "InvoiceId": about.invoice,
        "InvoiceIssuerName": about.seller,
        "ProviderName": about.seller,
        "PublisherName": about.seller,
        "ResourceId": receipt.key_id,
        "ResourceName": about.key_name,
        "ResourceType": "API key",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": receipt.model,
        "ServiceSubcategory": "Generative AI",
        "SubAccountId": receipt.project_id,
        "SubAccountName": about.project_name,
        "SubAccountType": "Project",
        "Tags": "{}",
        "x_ChargedAt": f"{_moment(at)[:-1]}.{receipt.charged_at_ms % 1000:03d}Z",
        "x_KeyId": receipt.key_id,
        "x_Model": receipt.model,
        "x_Outcome": receipt.outcome,
        "x_ReceiptHash": hashed.hex(),
        "x_ReceiptNumber": str(receipt.sequence),
        "x_RequestId": receipt.request_id,
        "x_ServiceTier": receipt.tier,
    }


def _usage(receipt: Receipt, line: Line, share: tuple[int, int]) -> dict[str, str]:
    unit = "Requests" if line.meter == REQUEST else "Tokens"
    net = dollars(line.net_nano)
    return {
        "BilledCost": net,
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{line.meter} of {receipt.model} ({receipt.tier})",
        "ConsumedQuantity": str(line.units),
        "ConsumedUnit": unit,
        "ContractedCost": net,
        "ContractedUnitPrice": unit_price(line.nano_per_million, *share),
        "EffectiveCost": net,
        "ListCost": dollars(line.list_nano),
        "ListUnitPrice": unit_price(line.nano_per_million),
        "PricingCategory": "Standard",
        "PricingCurrency": "USD",
        "PricingQuantity": str(line.units),
        "PricingUnit": unit,
        "SkuId": f"{receipt.model}/{line.meter}/{receipt.tier}",
        "SkuMeter": line.meter,
        "SkuPriceId": line.price_id,
        "x_ListNanoUsd": str(line.list_nano),
        "x_NanoUsdPerMillion": str(line.nano_per_million),
        "x_NetNanoUsd": str(line.net_nano),
    }


def _absorbed(nano: int) -> dict[str, str]:
    taken_off = dollars(-nano)
    return {
        "BilledCost": taken_off,
        "ChargeCategory": "Adjustment",
        "ChargeDescription": "Used beyond what was set aside for the request: not charged",
        "ContractedCost": taken_off,
        "EffectiveCost": taken_off,
        "ListCost": dollars(0),
        "x_ListNanoUsd": "0",
        "x_NetNanoUsd": str(-nano),
    }


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
