"""Which tax an invoice shows.  A table and a few rules, no advice: the operator's accountant
decides what is right (docs/guides/invoices.md).  Pure.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from portico.billing.invoices.model import NotInvoiced, TaxRate

Treatment = Literal["rate", "reverse_charge", "outside_scope", "none"]

REVERSE_CHARGE = (
    "Reverse charge: VAT is to be accounted for by the recipient "
    "(Article 196 of Council Directive 2006/112/EC)."
)
OUTSIDE_SCOPE = "No tax is charged: the customer is established in another country."
NO_TAX = "No tax is shown."
AT_TOP_UP = "Tax on prepaid credit was due when the credit was bought."

# What stands behind the two letters of the prefix.
_VAT_IDS = {
    "AT": r"U\d{8}",
    "BE": r"[01]\d{9}",
    "BG": r"\d{9,10}",
    "CY": r"\d{8}[A-Z]",
    "CZ": r"\d{8,10}",
    "DE": r"\d{9}",
    "DK": r"\d{8}",
    "EE": r"\d{9}",
    "ES": r"[A-Z]\d{7}[A-Z0-9]|\d{8}[A-Z]",
    "FI": r"\d{8}",
    "FR": r"[A-HJ-NP-Z0-9]{2}\d{9}",
    "GR": r"\d{9}",
    "HR": r"\d{11}",
    "HU": r"\d{8}",
    "IE": r"\d{7}[A-W][A-I]?|\d[A-Z+*]\d{5}[A-W]",
    "IT": r"\d{11}",
    "LT": r"\d{9}|\d{12}",
    "LU": r"\d{8}",
    "LV": r"\d{11}",
    "MT": r"\d{8}",
    "NL": r"\d{9}B\d{2}",
    "PL": r"\d{10}",
    "PT": r"\d{9}",
    "RO": r"[1-9]\d{1,9}",
    "SE": r"\d{10}01",
    "SI": r"[1-9]\d{7}",
    "SK": r"\d{10}",
}
EU = frozenset(_VAT_IDS)
_PREFIX = {"GR": "EL"}


@dataclass(frozen=True, slots=True)
class TaxRule:
    """How a customer is taxed.  rates: of the customer's country and kind, oldest first."""

    treatment: Treatment
    note: str
    rates: tuple[TaxRate, ...] = ()


class VatIdWrong(ValueError):
    """It does not have the form that its country gives out."""


def vat_id(country: str, text: str) -> str:
    """As printed: without spaces, dots and dashes, in capitals.  "" stays "".

    Only the form is looked at, and only where the country is in the EU: whether it was ever given
    out is for the operator to ask.  Raises: VatIdWrong.
    """
    plain = re.sub(r"[\s.\-]", "", text).upper()
    if not plain or country not in EU:
        return plain
    prefix = _PREFIX.get(country, country)
    if not plain.startswith(prefix) or not re.fullmatch(_VAT_IDS[country], plain[2:], re.ASCII):
        raise VatIdWrong(f"{text!r} is no VAT id of {country}; it begins with {prefix}.")
    return plain


def rule_for(
    seller_country: str, customer_country: str, customer_vat_id: str, rates: Iterable[TaxRate]
) -> TaxRule:
    """rates: of the customer's country (the seller's, where nobody said) and kind.

    Raises: NotInvoiced, where tax is due and the table has no rate.
    """
    if not seller_country:
        return TaxRule("none", NO_TAX)
    country = customer_country or seller_country
    abroad = country != seller_country
    within_eu = country in EU and seller_country in EU
    if abroad and within_eu and customer_vat_id:
        return TaxRule("reverse_charge", REVERSE_CHARGE)
    known = tuple(sorted(rates, key=lambda rate: rate.valid_from_ms))
    if known:
        return TaxRule("rate", "", known)
    if abroad and not within_eu:
        return TaxRule("outside_scope", OUTSIDE_SCOPE)
    raise NotInvoiced(f"There is no tax rate of {country}; 0 is a rate, too.")


def rate_at(rule: TaxRule, at_ms: int) -> TaxRate | None:
    """The rate for a use at that moment; None where none is shown.

    Raises: NotInvoiced, where the first rate starts later.
    """
    if rule.treatment != "rate":
        return None
    valid = [rate for rate in rule.rates if rate.valid_from_ms <= at_ms]
    if not valid:
        first = rule.rates[0]
        raise NotInvoiced(
            f"The rates of {first.country} ({first.kind}) start later than the first use."
        )
    return valid[-1]
